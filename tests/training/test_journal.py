"""The journal of a run: how far each block moved, and how long each stage took."""

import dataclasses
import json
import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import kft
from kft.cache.cut import find_cut
from kft.family.reopening import reopen
from kft.stages.plan import plan
from kft.training.cached_stages import CachedStage
from kft.training.journal import Journal
from kft.training.saved_work import savings
from tests.models import convnet
from tests.small_images import TinyRecipe, bright_sides

STAGES = [
    kft.Stage(0, epochs=2, learning_rate=1e-2, warmup=3),
    kft.Stage(1, epochs=1, learning_rate=4e-3, layer_decay=0.5),
]


def test_movement_is_the_way_as_a_part_of_the_length():
    model = convnet()
    journal = Journal(model)
    kernel = model.get_layer("head").kernel
    bias = model.get_layer("head").bias
    values = keras.ops.convert_to_numpy(kernel)
    kernel.assign(values * 1.5)
    model.get_layer("b1").moving_mean.assign(np.full(4, 100.0))
    length = float(np.sqrt((values**2).sum() + (keras.ops.convert_to_numpy(bias) ** 2).sum()))
    moved = journal.content()["moved"]
    assert moved["head"] == pytest.approx(0.5 * np.linalg.norm(values) / length)
    assert [part for name, part in moved.items() if name != "head"] == [0.0] * (len(moved) - 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe = TinyRecipe(num_classes=2)
    directory = tmp_path_factory.mktemp("journal") / "run"
    settings = {"stages": STAGES, "batch_size": 16, "cache": True, "verbose": 0}
    return recipe.fit(bright_sides(), run_dir=directory, **settings)


def test_a_run_knows_what_moved_and_what_each_stage_took(run):
    moved, seconds = run.journal["moved"], run.journal["seconds"]
    assert list(moved) == ["head", "block3", "block2", "block1"]
    assert moved["head"] > 0
    assert moved["block3"] > 0
    assert moved["block2"] == moved["block1"] == 0
    assert list(seconds) == ["before", "1", "2"]
    assert min(seconds.values()) > 0
    assert run.journal["epochs"] == {"1": 2, "2": 1}


def test_each_block_has_the_rate_that_its_last_step_took(run):
    rates = run.journal["rates"]
    assert list(rates) == ["head", "block3"]
    assert rates["head"] == pytest.approx([1e-2, 1e-2, 4e-3])
    assert rates["head"] == run.history["learning_rate"]
    assert rates["block3"] == [None, None, pytest.approx(2e-3)]
    page = (run.run_dir / "report.html").read_text()
    assert re.findall(r'<bdi>(\w+)</bdi> <span class="end">([^<]*)<', page)[:2] == [
        ("head", "0.004"),
        ("block3", "0.002"),
    ]


def test_memory_is_the_most_so_far_and_a_cpu_has_no_device_memory(run):
    memory = run.journal["memory"]
    assert list(memory) == ["1", "2"]
    assert 50e6 < memory["1"]["host"] <= memory["2"]["host"]
    assert [stage["device"] for stage in memory.values()] == [None, None]
    page = (run.run_dir / "report.html").read_text()
    assert "memory so far" in page
    assert "device memory so far" not in page


def test_the_cache_saved_what_the_epochs_would_have_needed_again(run):
    saved = run.journal["cache"]
    assert saved["stages"] == {"1": 2 * 48, "2": 48}
    assert (saved["needed"], saved["computed"]) == (144, 48)
    assert saved["saved"] > 0
    assert "ran over 48 examples" in (run.run_dir / "report.html").read_text()


@pytest.mark.once
def test_what_was_saved_is_less_by_the_pass_that_filled_the_cache():
    model = convnet()
    plan(model, STAGES)[1].enter(model)
    cut, _ = find_cut(model)
    deep, shallow = (dataclasses.replace(cut, operations=number) for number in (10, 4))
    stages = [CachedStage(one, "") for one in (deep, shallow, None)]
    found = savings(stages, {"1": 3, "2": 2, "3": 5}, examples=7, passes=7)
    assert found["stages"] == {"1": 21, "2": 14}
    assert found["saved"] == 21 * 10 + 14 * 4 - 7 * 10


def test_without_a_cache_nothing_is_said_to_be_saved(tmp_path):
    settings = {
        "stages": STAGES[:1],
        "cache": False,
        "finish": kft.Finish(report=False),
        "verbose": 0,
    }
    run = TinyRecipe(num_classes=2).fit(bright_sides(), **settings)
    assert run.journal["cache"]["needed"] == run.journal["cache"]["computed"] == 0
    assert "data" not in run.journal
    page = run.report(tmp_path / "page.html").read_text()
    assert "What the cache saved" not in page
    assert "Examples by class" in page  # computed only when a page is written


def test_the_page_has_the_figures_of_evaluate_and_the_seeds(run):
    again = run.recipe.evaluate(run.validation, batch_size=16)
    page = (run.run_dir / "report.html").read_text()
    shown = [float(value) for value in re.findall(r'<data value="([^"]+)"', page)]
    figures = [value for value in again.figures.values() if value is not None]
    assert shown[: len(figures)] == pytest.approx(figures, abs=1e-6)  # computed from features
    for fact in ("fit: seed", "fit: batch_size", "fit: train: sha256", "keras"):
        assert f'<th scope="row">{fact}</th>' in page


def test_the_page_shows_the_balance_of_both_parts(run):
    parts = run.journal["data"]["parts"]
    assert {name: part["examples"] for name, part in parts.items()} == {
        "training": 38,
        "validation": 10,
    }
    page = (run.run_dir / "report.html").read_text()
    assert "Examples by class" in page
    assert "Share of each class in training and validation" in page
    assert f"10 examples, 2 classes, from {run.validation.source}." in page


def test_the_page_says_so_and_a_reopened_run_writes_it_again(run, tmp_path):
    kept = json.loads((run.run_dir / "journal.json").read_text())
    assert kept == run.journal
    page = (run.run_dir / "report.html").read_text()
    assert f"{100 * run.journal['moved']['block3']:.3g}%" in page
    assert "before the first epoch" in page
    opened = reopen(run.run_dir, recipe=TinyRecipe)
    assert opened.journal == run.journal
    assert opened.history == run.history
    again = opened.report(tmp_path / "again.html").read_text()
    assert f"{100 * run.journal['moved']['block3']:.3g}%" in again
    assert "Stage plan" in again


def test_a_resumed_run_goes_on_with_the_times():
    first, second = Journal(convnet()), Journal(convnet())
    first.on_epoch_begin(0)
    first.on_epoch_end(0, {"stage": 1})
    second.set_state(first.get_state())
    second.on_epoch_begin(1)
    second.on_epoch_end(1, {"stage": 1})
    content = second.content()
    assert content["epochs"] == {"1": 2}
    assert list(content["memory"]) == ["1"]
    assert second.rates == [{}, {}]
    assert content["seconds"]["1"] > first.seconds["1"]
    assert content["seconds"]["before"] > first.seconds["before"]


@pytest.mark.once
def test_a_stage_takes_the_seconds_of_its_own_epochs(monkeypatch):
    """Work between epochs, such as an evaluation, is not counted."""
    clock = iter([0.0, 5.0, 7.0, 10.0, 13.0, 20.0, 21.0])
    monkeypatch.setattr("kft.training.journal.time", SimpleNamespace(perf_counter=clock.__next__))
    journal = Journal(convnet())
    for epoch, stage in enumerate((1, 2, 2)):
        journal.on_epoch_begin(epoch)
        journal.on_epoch_end(epoch, {"stage": stage})
    assert journal.content()["seconds"] == {"before": 5.0, "1": 2.0, "2": 4.0}


def test_a_saved_recipe_is_no_run(tmp_path):
    recipe = TinyRecipe(num_classes=2)
    recipe.name_classes(["a", "b"], "test")
    recipe.save(tmp_path / "saved")
    with pytest.raises(kft.InputError, match="but no run"):
        reopen(tmp_path / "saved", recipe=TinyRecipe)
