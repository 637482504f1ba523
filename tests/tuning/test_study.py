"""A search as a table, as a page, and as a stages file."""

import dataclasses
import re
from pathlib import Path

import keras_tuner
import pytest

import kft
from kft.stages import read_stages, write_stages
from kft.tuning import Search, Trial
from kft.tuning.importance import importance
from kft.tuning.plots import heat
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


def test_the_heat_map_has_the_best_score_of_each_cell(tmp_path):
    cells, depths, edges = heat(found(tmp_path), "head_lr", "unfreeze", bins=2)
    assert depths == [0, 1, 2]
    assert edges == pytest.approx([1e-3, 1e-2, 1e-1])
    assert cells == [[0.6, None], [None, 0.9], [None, 0.8]]
