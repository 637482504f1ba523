"""Model cards agree with the run's files and escape their markup."""

import json

import pytest
import yaml

import kft

pytestmark = pytest.mark.once

HOSTILE = "<script>|`[a](javascript:b)` _x_ a_b\n# head"


def described(**changes):
    return {
        "format": 1,
        "class": "recipes.bert:BertRecipe",
        "classes": ["bad", HOSTILE],
        "modality": "text",
        "plan": {
            "recipe": "recipes.bert:BertRecipe",
            "stages": [{"unfreeze": "all", "epochs": 3, "learning_rate": 1.5e-5}],
            "seed": 7,
        },
        "versions": {"keras": "3.15.1"},
    } | changes


JOURNAL = {
    "seconds": {"before": 1.0, "1": 2.5},
    "best": {"monitor": "val_loss", "value": 0.25, "epoch": 2, "stage": 1},
    "starting_weights": {"source": "preset", "pretrained": True},
    "figures": {
        "accuracy": {"value": 0.75, "interval": [0.5, 0.9], "better": "max"},
        "roc_auc": {"value": None, "interval": None, "better": "max", "label": "ROC AUC"},
        "val_loss": {"value": 1.25, "interval": None, "better": "min"},
    },
    "data": {
        "parts": {
            "training": {"examples": 1200, "counts": {"bad": 600, HOSTILE: 600}, "copies": 3},
            "validation": {"examples": 40, "counts": {"bad": 20, HOSTILE: 20}, "copies": 0},
        }
    },
}


@pytest.fixture
def run(tmp_path):
    """Return a function that writes the files of a run and returns its card."""

    def write(journal=JOURNAL, **changes):
        (tmp_path / "recipe.json").write_text(json.dumps(described(**changes)))
        (tmp_path / "journal.json").write_text(json.dumps(journal))
        return kft.model_card(tmp_path)

    return write


def test_it_says_what_the_run_noted(run, tmp_path):
    card = run()
    _, header, body = card.split("---\n", 2)
    assert yaml.safe_load(header) == {"library_name": "keras", "tags": ["kft", "text"]}
    assert body.lstrip().startswith(f"# {tmp_path.name}")
    assert "Its starting weights: preset. It knows 2 classes: bad, " in card
    assert "On 40 validation examples" in card
    assert "So few examples leave wide intervals." in card
    assert "| accuracy | 0.75 | 0.5 to 0.9 |" in card
    assert "| ROC AUC |  |  |" in card
    assert "| val loss | 1.25 |  |" in card
    assert "| training | 1,200 | 3 |" in card
    assert "| 1 | all | 3 | 1.5e-05 |" in card
    assert "epoch 2 (stage 1), where val_loss was 0.25. The stages took 4 s with seed 7." in card
    assert f"kft.load({str(tmp_path)!r})" in card


def test_it_says_that_validation_examples_were_trained_on(run):
    card = run({**JOURNAL, "refit": {"examples": 1240}})
    assert "it cannot be evaluated on them" in card
    assert "trained again on all examples" in card
    assert "it cannot be evaluated on them" not in run()


def test_many_validation_examples_get_no_warning(run):
    parts = {"validation": {"examples": 200, "counts": None, "copies": 0}}
    assert "So few" not in run({**JOURNAL, "data": {"parts": parts}})


def test_nothing_in_a_file_is_markup(run):
    card = run()
    assert r"\<script\>\|\`\[a\](javascript:b)\` \_x\_ a_b \# head" in card
    tables = [line for line in card.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in tables} == {4, 5}


@pytest.mark.parametrize("journal", [{}, {"figures": 1, "data": [], "best": "x", "seconds": None}])
def test_it_leaves_out_what_is_not_known(run, journal):
    card = run(journal, plan={"stages": 3}, classes=None, versions=None)
    assert "The run was not evaluated." in card
    assert "None" not in card


def test_a_recipe_of_your_own_is_named_to_load(run):
    plan = {**described()["plan"], "recipe": "mine:MyRecipe"}
    assert ", recipe=MyRecipe)" in run(**{"class": "mine:MyRecipe", "plan": plan})


def test_the_command_prints_it_or_writes_it(cli, run, tmp_path):
    card = run()
    assert cli("card", tmp_path) == (0, card, "")
    file = tmp_path / "MODEL_CARD.md"
    assert cli("card", tmp_path, "--output", file) == (0, f"{file}\n", "")
    assert file.read_text(encoding="utf-8") == card
    file.write_text("filled in")
    code, _, err = cli("card", tmp_path, "--output", file)
    assert (code, file.read_text()) == (2, "filled in")
    assert f"--output: {file} exists" in err


def test_what_is_no_run_is_named(cli, tmp_path):
    code, _, err = cli("card", tmp_path)
    assert code == 2
    assert "is not a finished run" in err
