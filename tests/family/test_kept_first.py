"""A trained model is saved before any later step that can fail."""

import pytest

import kft
from kft.family.run_files import read_journal
from kft.stages.stage import Stage
from kft.tasks import Classification
from tests.small_images import TinyRecipe, bright_sides

pytestmark = pytest.mark.once


def fit(run_dir=None, **settings):
    recipe = TinyRecipe(num_classes=2)
    data = bright_sides(16), bright_sides(8, seed=1)
    return recipe.fit(
        *data, stages=[Stage(0, 1, 1e-2)], run_dir=run_dir, batch_size=8, verbose=0, **settings
    )


def fails(*args, **kwargs):
    raise ValueError("no such font.")


def test_a_page_that_fails_costs_neither_the_weights_nor_the_figures(tmp_path, monkeypatch):
    monkeypatch.setattr("kft.family.run.write_report", fails)
    repeat = rf"ValueError: no such font\..*kft report {tmp_path / 'run'} --data"
    with pytest.warns(UserWarning, match=repeat):
        run = fit(tmp_path / "run")
    assert run.evaluation.accuracy >= 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"recipe.json", "weights.safetensors", "history.json", "journal.json"} <= names
    assert not names & {"begun.json", "state", "report.html"}
    assert kft.load(tmp_path / "run", recipe=TinyRecipe).is_fitted


def test_the_same_call_completes_a_finished_run_without_training_again(tmp_path, monkeypatch):
    monkeypatch.setattr("kft.family.run.write_report", fails)
    with pytest.warns(UserWarning, match="no such font"):
        first = fit(tmp_path / "run")
    with pytest.warns(UserWarning, match="no such font"):
        fit(tmp_path / "run")
    monkeypatch.undo()
    weights = (tmp_path / "run" / "weights.safetensors").read_bytes()
    again = fit(tmp_path / "run")
    assert again.history == first.history
    assert again.evaluation.to_dict() == first.evaluation.to_dict()
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == weights
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Stage plan" in page
    assert "The weights are those of epoch 1 (stage 1)" in page
    assert read_journal(tmp_path / "run")["data"]


def test_an_evaluation_that_fails_costs_nothing_but_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(Classification, "scorer", fails)
    kept = r"its weights are kept, but evaluating the run failed.*kft evaluate .*run --data"
    with pytest.warns(UserWarning, match=kept):
        run = fit(tmp_path / "run")
    assert run.evaluation is None
    assert kft.load(tmp_path / "run", recipe=TinyRecipe).is_fitted
    held = r"the recipe has its weights, but evaluating the run failed.*recipe\.evaluate"
    with pytest.warns(UserWarning, match=held):
        run = fit()
    assert run.evaluation is None
    assert run.recipe.is_fitted
    assert len(run.recipe.predict(bright_sides(4)[0]).labels) == 4


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ("kft.family.fit.find_temperatures", "finding the temperature of its scores"),
        ("kft.family.fit.evaluate_held_out", "evaluating the run"),
        ("kft.family.run.write_report", "writing the page of the run"),
    ],
)
def test_what_fails_before_the_weights_are_kept_does_not_say_that_they_are(
    tmp_path, monkeypatch, broken, what
):
    standing = []

    def failing(*args, **kwargs):
        standing.append((tmp_path / "run" / "recipe.json").exists())
        fails()

    monkeypatch.setattr(broken, failing)
    said = f"^The stages are trained and the fit continues, but {what} failed"
    with pytest.warns(UserWarning, match=said):
        fit(tmp_path / "run", finish=kft.Finish(calibrate=True))
    assert standing == [False]
    assert kft.load(tmp_path / "run", recipe=TinyRecipe).is_fitted


def test_a_stop_while_the_outcome_is_evaluated_leaves_a_finished_run(tmp_path, monkeypatch):
    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Classification, "scorer", stopped)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run")
    monkeypatch.undo()
    assert kft.load(tmp_path / "run", recipe=TinyRecipe).is_fitted
    assert fit(tmp_path / "run").evaluation is not None
