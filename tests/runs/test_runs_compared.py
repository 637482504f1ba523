"""`kft runs` compares finished runs."""

import csv
import io
import json

import pytest

import kft
from kft.errors import InputError
from kft.runs.comparison import Comparison
from kft.testing import families

pytestmark = pytest.mark.once


def write_run(folder, accuracy, epochs=5, validation="a", **journal):
    """Write the files of a run that `kft runs` reads."""
    folder.mkdir(parents=True)
    plan = {
        "stages": [{"unfreeze": 0, "epochs": epochs}],
        "validation": {"examples": 9, "sha256": validation},
        "seed": 0,
    }
    described = {"class": "recipes.bert:BertRecipe", "plan": plan}
    (folder / "recipe.json").write_text(json.dumps(described))
    figures = {"accuracy": {"value": accuracy, "interval": [accuracy - 0.1, 1.0], "better": "max"}}
    best = {"monitor": "val_loss", "mode": "min", "value": 1 - accuracy, "epoch": 3, "stage": 2}
    journal = {"figures": figures, "best": best, "seconds": {"1": 4.0, "2": 5.0}, **journal}
    (folder / "journal.json").write_text(json.dumps(journal))


def test_the_best_run_comes_first_with_its_interval_and_the_epoch_that_was_kept(cli, tmp_path):
    write_run(tmp_path / "runs" / "a", 0.7)
    write_run(tmp_path / "runs" / "b", 0.9, epochs=20)
    write_run(tmp_path / "runs" / "c", 0.8)
    (tmp_path / "runs" / "unfinished").mkdir()
    code, said, _ = cli("runs", tmp_path / "runs")
    lines = said.splitlines()
    assert code == 0
    table = lines[-6:-3]
    assert [line.split()[0] for line in table] == ["b", "c", "a"]
    assert "0.9000 (0.8000 to 1.0000)  epoch 3, stage 2  9 s" in table[0]
    assert "stages[0].epochs: 20, 5, 5" in said
    assert "seed" not in said


def test_runs_of_several_tasks_show_the_figure_of_most_and_no_settings(tmp_path):
    for name, accuracy in {"b": 0.7, "c": 0.9}.items():
        write_run(tmp_path / name, accuracy)
    write_run(tmp_path / "a", 0.5, epochs=9, figures={"mean_ap": {"value": 0.4, "better": "max"}})
    found = Comparison.of([tmp_path])
    assert (found.figure, found.runs[0].path.name) == ("accuracy", "c")
    assert "These runs have different tasks" in str(found)
    assert "stages[0].epochs" not in str(found)


def test_a_logged_value_is_sorted_by_its_own_direction(tmp_path):
    for name, accuracy in {"a": 0.7, "b": 0.9}.items():
        write_run(tmp_path / name, accuracy)
    found = Comparison.of([tmp_path], "val_loss")
    assert [run.path.name for run in found.runs] == ["b", "a"]


def test_runs_that_were_validated_on_other_examples_are_pointed_out(tmp_path):
    for name in "ab":
        write_run(tmp_path / name, 0.8)
    assert "not all validated on the same" not in str(Comparison.of([tmp_path]))
    write_run(tmp_path / "c", 0.8, validation="b")
    assert "not all validated on the same examples" in str(Comparison.of([tmp_path]))


def test_rows_for_other_programs_have_every_figure_and_setting_that_differs(cli, tmp_path):
    write_run(tmp_path / "a", 0.7)
    write_run(tmp_path / "b", 0.9, epochs=20)
    expected = [("0.9", "20"), ("0.7", "5")]
    _, said, _ = cli("runs", tmp_path / "a", tmp_path / "b", "--csv")
    rows = list(csv.DictReader(io.StringIO(said)))
    assert [(row["accuracy"], row["stages[0].epochs"]) for row in rows] == expected
    _, said, _ = cli("runs", tmp_path, "--json")
    assert [row["accuracy"] for row in json.loads(said)] == [0.9, 0.7]


def test_no_setting_of_a_run_is_a_formula(tmp_path):
    write_run(tmp_path / "a", 0.7, epochs="=1+1")
    write_run(tmp_path / "b", 0.6)
    assert "'=1+1" in Comparison.of([tmp_path], "accuracy").as_csv()


def test_a_run_that_was_not_evaluated_comes_last(tmp_path):
    write_run(tmp_path / "a", 0.7, figures={})
    write_run(tmp_path / "b", 0.6)
    found = Comparison.of([tmp_path], "accuracy")
    assert [run.path.name for run in found.runs] == ["b", "a"]
    assert str(found).splitlines()[-1].split()[:3] == ["a", "BertRecipe", "-"]


@pytest.mark.parametrize(
    ("figure", "where", "message"),
    [
        ("f1", "a", "`figure='f1'` is in none of these runs, which have accuracy, val_loss"),
        (None, "none", "none: no such directory"),
        (None, "empty", "empty contains no finished run"),
    ],
)
def test_what_cannot_be_compared_is_an_error_that_says_why(tmp_path, figure, where, message):
    write_run(tmp_path / "a", 0.7)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        Comparison.of([tmp_path / where], figure)


def test_damaged_files_are_named_and_names_cannot_harm_a_terminal(tmp_path):
    write_run(tmp_path / "a\x1b[2J", 0.7)
    assert "\x1b" not in str(Comparison.of([tmp_path]))
    (tmp_path / "a\x1b[2J" / "journal.json").write_text("[]")
    with pytest.raises(InputError, match="is not a JSON object"):
        Comparison.of([tmp_path])


def test_a_fit_keeps_its_figures(tmp_path):
    recipe = families.TinyImages(num_classes=2)
    data = (families.tiny_images(20), ["a", "b"] * 10)
    run = recipe.fit(data, stages=[kft.Stage(0, 1, 1e-2)], run_dir=tmp_path / "run", verbose=0)
    found = Comparison.of([tmp_path / "run"]).runs[0].figures["accuracy"]
    described = run.evaluation.figures.figure("accuracy")
    assert {name: found[name] for name in ("value", "interval", "better", "label")} == {
        "value": described.value,
        "interval": list(described.interval),
        "better": "max",
        "label": "accuracy",
    }


def test_interrupted_runs_are_named(tmp_path):
    for name in ("begun", "twice"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "begun.json").write_text("{}")
    with pytest.raises(
        InputError, match="no finished run: begun, twice were interrupted; the same"
    ):
        Comparison.of([tmp_path])
    with pytest.raises(InputError, match=r"not a finished run: .* Its fit was interrupted"):
        Comparison.of([tmp_path / "begun"])
    write_run(tmp_path / "a", 0.7)
    (tmp_path / "twice" / "begun.json").unlink()
    found = Comparison.of([tmp_path])
    said = "Not listed: begun was interrupted; the same call again continues it."
    assert said in str(found)
    assert len(found.rows()) == 1
    assert "Not listed" not in str(Comparison.of([tmp_path / "a"]))
