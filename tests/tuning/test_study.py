"""A search as a table, as a page, and as a stages file."""

import dataclasses
import re
from pathlib import Path

import keras
import keras_tuner
import pytest

import kft
from kft.callbacks import RelativeEarlyStopping
from kft.callbacks.stage_early_stopping import describe_rule
from kft.stages.stage import read_stages, write_stages
from kft.tuning import Search, Trial
from kft.tuning.best_plan import Asked
from kft.tuning.importance import importance
from kft.tuning.plots import heat
from kft.tuning.trials import score_of
from tests.small_images import TinyRecipe

pytestmark = pytest.mark.once


def trial(number, score, **values):
    stages = (kft.Stage(0, 2, values["head_lr"]),)
    if values.get("unfreeze"):
        stages += (kft.Stage(values["unfreeze"], 3, values["backbone_lr"]),)
    return Trial(
        number, values, stages, {"dropout": values["dropout"]}, None, score, 2, 1, 5, 1.5,
        run_dir=Path("x"),
    )  # fmt: skip


def found(tmp_path, direction="max"):
    trials = [
        trial(1, 0.5, head_lr=1e-3, unfreeze=0, dropout=0.1),
        trial(2, 0.7, head_lr=1e-2, unfreeze=1, backbone_lr=1e-4, dropout=0.2),
        trial(3, 0.9, head_lr=1e-1, unfreeze=1, backbone_lr=1e-3, dropout=0.1),
        trial(4, 0.6, head_lr=2e-3, unfreeze=0, dropout=0.2),
        trial(5, 0.8, head_lr=3e-2, unfreeze=2, backbone_lr=1e-4, dropout=0.1),
        dataclasses.replace(
            trial(6, None, head_lr=0.2, unfreeze=0, dropout=0.2), reason="`loss` is <nan>."
        ),
    ]
    objective = keras_tuner.Objective("val_accuracy", direction)
    return Search(TinyRecipe(num_classes=2), objective, tuple(trials), tmp_path)


def test_the_table_ranks_and_names_the_plan(tmp_path):
    search = found(tmp_path)
    printed = str(search)
    scores = re.findall(r"│ +(0\.\d{4}|failed) │", printed)
    assert scores == ["0.9000", "0.8000", "0.7000", "0.6000", "0.5000", "failed"]
    assert "6 trials of TinyRecipe by val_accuracy, 1 failed" in printed
    assert "recipe = TinyRecipe(num_classes=2, dropout=0.1)" in printed
    assert search._repr_html_().count("<tr>") == 7
    assert "&lt;nan&gt;" in search._repr_html_()


def test_the_best_depends_on_the_direction(tmp_path):
    assert found(tmp_path).best_trial.number == 3
    assert found(tmp_path, "min").best_trial.number == 1


def test_the_best_stages_are_a_file_for_kft_fit(tmp_path):
    search = found(tmp_path)
    write_stages(tmp_path / "best.yaml", search.best_stages)
    assert read_stages(tmp_path / "best.yaml") == tuple(search.best_stages)


def test_the_page_has_all_of_it(tmp_path):
    page = found(tmp_path).report().read_text()
    for heading in ("Best plan", "Trials", "Values and scores", "Importance", "Rate against depth"):
        assert f">{heading}</h2>" in page
    assert "failed: `loss` is &lt;nan&gt;." in page
    assert page.count("<svg") >= 5
    assert "unfreeze: 1" in page


def test_importance_finds_what_the_scores_hang_on(tmp_path):
    shares = importance(found(tmp_path))
    assert sum(shares.values()) == pytest.approx(1)
    assert next(iter(shares)) == "head_lr"
    assert shares["head_lr"] > 3 * shares["dropout"]


@pytest.mark.parametrize(
    ("name", "mode", "found"),
    [("val_accuracy", "max", (0.9, 2, 1)), ("val_loss", "min", (0.1, 3, 2))],
)
def test_a_score_comes_with_the_first_epoch_that_had_it_and_its_stage(name, mode, found):
    history = {
        "val_accuracy": [0.5, 0.9, 0.9, 0.7, 0.8],
        "val_loss": [0.4, 0.3, 0.1, 0.2, 0.1],
        "stage": [1, 1, 2, 3, 3],
    }
    assert score_of(history, keras_tuner.Objective(name, mode)) == found


def test_the_heat_map_has_the_best_score_of_each_cell(tmp_path):
    cells, depths, edges = heat(found(tmp_path), "head_lr", "unfreeze", bins=2)
    assert depths == [0, 1, 2]
    assert edges == pytest.approx([1e-3, 1e-2, 1e-1])
    assert cells == [[0.6, None], [None, 0.9], [None, 0.8]]


@pytest.mark.parametrize(
    "rule",
    [
        "auto",
        None,
        keras.callbacks.EarlyStopping("loss", 0.1, 1),
        RelativeEarlyStopping("val_loss", 0.01, 5, start_from_epoch=2),
    ],
    ids=["auto", "none", "Keras'", "relative"],
)
def test_the_call_that_is_printed_has_the_rule_and_the_data_of_the_search(tmp_path, rule):
    asked = Asked(str(tmp_path / "a 'path'"), fraction=0.3, on_bad_example="skip")
    settings = {"early_stopping": rule, "batch_size": 8, "cache": True, "seed": 0}
    search = dataclasses.replace(found(tmp_path), asked=asked, settings=settings)
    write_stages(tmp_path / "best_stages.yaml", search.best_stages)
    fits = []

    class Recording(TinyRecipe):
        def fit(self, *data, **settings):
            fits.append((data, settings))

    code = search.command.replace("recipe = TinyRecipe(", "recipe = Recording(")
    exec(code, {"Recording": Recording})
    ((data, settings),) = fits
    assert data == (str(tmp_path / "a 'path'"),)
    assert settings["batch_size"] == 8
    assert settings["validation_data"] == 0.3
    assert settings["on_bad_example"] == "skip"
    assert settings["restore_best"] == kft.BestEpoch(monitor="val_accuracy")
    chosen = settings.get("early_stopping", "auto")
    if rule in ("auto", None):
        assert chosen == rule
    else:
        assert type(chosen) is type(rule)
        assert describe_rule(chosen) == describe_rule(rule)
        assert chosen.mode == rule.mode
