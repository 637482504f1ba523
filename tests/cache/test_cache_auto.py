"""`cache="auto"`: the machine is measured once if it matters, and never in a resumed run."""

import itertools
import json
import os
import time

import keras
import numpy as np
import pytest

import kft
from kft.cache import speed
from kft.cache.cost import Cost, estimate
from kft.cache.cut import find_cut
from kft.cache.speed import LAPTOP, Speed, measured
from kft.cache.store import FeatureStore
from kft.callbacks import RunCheckpoint
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels
from kft.distribution import processes
from kft.stages.plan import kept_flags, plan
from kft.training import cached_stages
from kft.training.cached_stages import decide
from tests.models import convnet, images
from tests.small_images import TinyRecipe, bright_sides
from tests.test_resuming import Crash

HEAD = [kft.Stage(0, 3, 1e-2)]


@pytest.fixture
def slow_disk(monkeypatch):
    """Return a function after whose call a sync takes eleven days by the clock of measurements."""
    sync, late = os.fsync, [0.0]

    def syncing(descriptor):
        late[0] += 1e6
        sync(descriptor)

    def begin():
        monkeypatch.setattr(os, "fsync", syncing)
        monkeypatch.setattr(speed, "_clock", lambda: time.perf_counter() + late[0])

    return begin


@pytest.fixture
def measurements(monkeypatch):
    """Return a list of the speeds that are measured."""
    found = []

    def measuring(*args):
        found.append(measured(*args))
        return found[-1]

    monkeypatch.setattr(cached_stages, "measured", measuring)
    return found


def decided(store, stages=HEAD, *, cache="auto", sample=lambda: images(8, size=32)[0], **options):
    model = convnet(size=32)
    return decide(
        model, plan(model, stages), store, examples=100, augments=False, cache=cache, sample=sample,
        **options,
    )  # fmt: skip


def test_a_resumed_run_gives_its_own_reason_for_what_it_does_not_keep(tmp_path):
    store = FeatureStore(tmp_path)
    stage = decided(store, before=[False])[0]
    assert stage.reason == "not kept, as was decided when the run began"
    assert decided(store, before=[False], cache=False)[0].reason == "not kept, since cache=False"


def cut_of(model, stages=HEAD):
    with kept_flags(model):
        plan(model, stages)[0].enter(model)
        cut, _ = find_cut(model)
    return cut


def test_a_slow_disk_turns_the_cache_off(tmp_path, slow_disk):
    store = FeatureStore(tmp_path / "features")
    assert decided(store)[0].reason.startswith("kept: ")
    slow_disk()
    assert decided(store)[0].reason.startswith("not kept, since keeping them would not pay")
    assert decided(store, cache=True)[0].reason.startswith("kept: "), "which was asked for"
    assert list(tmp_path.iterdir()) == [], "what measures leaves nothing behind"


def test_a_machine_is_measured_once_for_all_stages(tmp_path, measurements):
    stages = [*HEAD, kft.Stage(1, 3, 1e-3)]
    found = decided(FeatureStore(tmp_path), stages)
    assert [one.cut is None for one in found] == [False, False]
    assert len(measurements) == 1
    assert measurements[0].operations > 0
    assert measurements[0].written > 0


def test_what_is_compiled_to_measure_is_used_to_compute(tmp_path, monkeypatch):
    compiled = []
    original = keras.Model.make_predict_function

    def compiling(model, force=False):
        if model.predict_function is None or force:
            compiled.append(model)
        return original(model, force)

    monkeypatch.setattr(keras.Model, "make_predict_function", compiling)
    store, cut = FeatureStore(tmp_path), cut_of(convnet())
    x, y = images(20)
    measured(cut, store, x[:8])
    assert len(compiled) == 1
    data = Examples("arrays", x, y, ("a", "b", "c"), "arrays", task=SingleLabels())
    (kept,) = store.fetch([cut], Batches(data, np.asarray, batch_size=8), "pixels")
    assert kept.computed
    assert len(compiled) == 1


@pytest.mark.once
def test_of_several_processes_the_first_one_measures_and_the_others_follow(
    tmp_path, monkeypatch, measurements, slow_disk
):
    told = []
    monkeypatch.setattr(processes, "from_first", lambda value: told.append(value) or value)
    first = decided(FeatureStore(tmp_path))
    assert told == [[True]]
    slow_disk()
    monkeypatch.setattr(processes, "rank", lambda: 1)
    monkeypatch.setattr(processes, "from_first", lambda value: told[0])
    other = decided(FeatureStore(tmp_path))
    assert [one.reason for one in other] == [one.reason for one in first]
    assert len(measurements) == 1


@pytest.mark.once
def test_nothing_is_measured_where_no_machine_would_decide_otherwise(tmp_path, measurements):
    single = [kft.Stage(0, 1, 1e-2)]  # with one epoch nothing can be saved
    assert decided(FeatureStore(tmp_path), single)[0].cut is None
    sure = Cost(1_000, 10**12, 4_000, fits=True)
    assert sure.is_clear
    assert sure.pays(Speed(operations=1e14, written=1e4))
    assert not Cost(1_000, 2_000, 4_000, fits=True).pays(Speed(operations=1e6, written=1e12))
    assert decided(FeatureStore(tmp_path), cache=True, before=[True])[0].cut is not None
    assert measurements == []


@pytest.mark.once
def test_the_measured_machine_decides_and_not_the_constants():
    cost = Cost(1_000, 100_000, 4_000, fits=True)  # 25 operations per byte
    assert not cost.is_clear
    assert not cost.pays(LAPTOP)
    assert cost.pays(Speed(operations=1e9, written=1e9))


@pytest.mark.once
@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float16", 2), ("bfloat16", 2)])
def test_a_cost_knows_what_features_are_kept_as(tmp_path, dtype, size):
    cost = estimate(cut_of(convnet()), 100, 3, FeatureStore(tmp_path, dtype=dtype))
    assert cost.size == 100 * 6 * size
    assert cost.moved == 4 * cost.size


@pytest.mark.once
def test_a_disk_is_given_a_quarter_of_a_second(tmp_path, monkeypatch):
    """On a clock that advances by a tenth per reading, the third part is the last one."""
    ticks = itertools.count()
    monkeypatch.setattr(speed, "_clock", lambda: next(ticks) / 10)
    assert speed._bytes_per_second(tmp_path / "not" / "there") == pytest.approx(2**18 * 2 / 0.4)
    assert list(tmp_path.iterdir()) == []


def fitted(run_dir, callbacks=()):
    return TinyRecipe(num_classes=2).fit(
        bright_sides(32), bright_sides(16, seed=1), stages=HEAD, run_dir=run_dir, batch_size=8,
        callbacks=callbacks, resume=kft.Resume(every=1), finish=kft.Finish(report=False), verbose=0,
    )  # fmt: skip


def test_a_resumed_run_keeps_its_decision_although_the_machine_has_changed(
    tmp_path, slow_disk, measurements
):
    whole = fitted(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="crashed"):
        fitted(tmp_path / "run", [Crash(3)])
    assert json.loads((tmp_path / "run" / "begun.json").read_text())["cached"] == [True]
    assert len(measurements) == 2
    slow_disk()
    resumed = fitted(tmp_path / "run")
    assert len(measurements) == 2, "a resumed run measures nothing"
    assert "are kept: " in resumed.stages_table
    assert resumed.history == whole.history
    for ours, theirs in zip(resumed.recipe.model.weights, whole.recipe.model.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert "keeping them would not pay" in fitted(tmp_path / "another").stages_table


@pytest.mark.once
def test_a_fit_that_resumes_without_a_run_directory_measures_nothing(tmp_path, measurements):
    """A resumed fit could not know what was decided."""
    model, (x, y) = convnet(), images(16)
    model.compile("adam", "sparse_categorical_crossentropy")
    settings = {"stages": HEAD, "batch_size": 8, "verbose": 0}
    kft.fit_in_stages(model, x, y, callbacks=[RunCheckpoint(tmp_path / "commits")], **settings)
    fitted(None, [RunCheckpoint(tmp_path / "others")])
    assert measurements == []
    kft.fit_in_stages(model, x, y, **settings)
    assert len(measurements) == 1
