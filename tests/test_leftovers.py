"""Fits close what they open: threads, files and memory maps do not accumulate."""

import gc
import os
import tempfile
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

import kft
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.kinds import Numbers
from kft.stages.stage import Stage
from tests.models import convnet, images
from tests.small_images import TinyRecipe, bright_sides

STAGES = [Stage(0, 1, 1e-2), Stage("all", 1, 1e-3)]


class Crash(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1:
            raise RuntimeError("crashed")


def opened():
    """Return Python's threads, open files, and mapped files other than libraries."""
    gc.collect()  # TensorFlow's iterators are reference cycles
    maps = [line.split()[5:] for line in Path("/proc/self/maps").read_text().splitlines()]
    return {
        "threads": [t.name for t in threading.enumerate() if not t.name.startswith("Dummy-")],
        "files": len(os.listdir("/proc/self/fd")),
        "maps": len({path[0] for path in maps if path and ".so" not in path[0]}),
        "temporary": os.listdir(tempfile.gettempdir()),
    }


def repeat(work, times=3):
    """Repeat the work, and check that nothing more is open after the first time."""
    work(0)
    before = opened()
    kept = [work(number) for number in range(1, times)]
    assert opened() == before
    return kept


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def fit(tmp_path, number, **settings):
    return TinyRecipe(num_classes=2).fit(
        bright_sides(16), bright_sides(8, seed=1), stages=STAGES[:1], batch_size=8, cache=True,
        run_dir=tmp_path / str(number), verbose=0, **settings,
    )  # fmt: skip


def test_fits_leave_nothing_open(tmp_path, monkeypatch):
    monkeypatch.setattr("kft.cache.rows._MOST", 0)  # force features to be read from files
    repeat(lambda number: fit(tmp_path, number, finish=kft.Finish(report=False)))


@pytest.mark.once
def test_pages_leave_nothing_open(tmp_path):
    repeat(lambda number: fit(tmp_path, number))


def test_fits_that_fail_leave_nothing_open(tmp_path, monkeypatch):
    monkeypatch.setattr("kft.cache.rows._MOST", 0)

    def crash(number):
        with pytest.raises(RuntimeError, match="crashed"):
            fit(tmp_path, number, callbacks=[Crash()])

    repeat(crash)


def test_fits_of_ones_own_model_leave_nothing_open(monkeypatch):
    monkeypatch.setattr("kft.cache.rows._MOST", 0)
    x, y = images(16)

    def work(number):
        model = convnet()
        model.compile("adam", "sparse_categorical_crossentropy")
        return kft.fit_in_stages(
            model, x, y, stages=STAGES[:1], validation_data=(x[:8], y[:8]), batch_size=8,
            cache=True, verbose=0,
        )  # fmt: skip

    repeat(work)


def test_evaluations_and_predictions_leave_nothing_open():
    recipe = TinyRecipe(num_classes=2)
    data = bright_sides(24)
    repeat(lambda number: (recipe.evaluate(data, batch_size=8), recipe.predict(data[0][:4])))


@pytest.mark.once
def test_range_tests_leave_nothing_open():
    recipe = TinyRecipe(num_classes=2)
    repeat(
        lambda number: kft.find_learning_rate(
            recipe, bright_sides(96), STAGES[:1], steps=10, batch_size=8
        )
    )


@pytest.mark.once
def test_searches_leave_nothing_open(tmp_path):
    repeat(
        lambda number: TinyRecipe(num_classes=2).tune(
            bright_sides(24), bright_sides(8, seed=1), run_dir=tmp_path / str(number), max_trials=2,
            stages=STAGES[:1], batch_size=8, verbose=0,
        ),
        times=2,
    )  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize("end", ["last batch", "close", "garbage"])
def test_batches_end_their_threads(end):
    x, y = images(64)
    batches = Batches(
        Examples("arrays", x, y, None, "arrays", task=Numbers()), np.asarray, batch_size=8
    )
    assert len(batches[0][0]) == 8
    assert any(thread.name.startswith("kft-batches") for thread in threading.enumerate())
    if end == "last batch":
        assert len(batches[7][0]) == 8
    elif end == "close":
        batches.part(0, 2)[1]
        batches.close()
        batches.close()
    threads = [t for t in threading.enumerate() if t.name.startswith("kft-batches")]
    del batches
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert not threads or end == "garbage"
