"""A search with folds: each trial is fitted once per fold, and scored by the mean."""

import dataclasses
import json

import numpy as np
import pytest

import kft
from kft.data.folds import folds_of
from kft.tuning.refit import stages_to_the_best
from kft.tuning.trials import read_trial
from tests.small_images import TinyRecipe, bright_sides

STAGES = [kft.Stage(0, 3, 1e-2), kft.Stage(1, 2, 1e-3)]


def space(hp):
    hp.Float("head_lr", 1e-3, 1e-1, sampling="log")


SETTINGS = {
    "folds": 3, "max_trials": 1, "space": space, "stages": STAGES, "batch_size": 8, "verbose": 0,
}  # fmt: skip


def tune(run_dir, data=None, **settings):
    data = bright_sides(25) if data is None else data
    return TinyRecipe(num_classes=2).tune(data, run_dir=run_dir, **(SETTINGS | settings))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return a finished search with three folds."""
    return tune(tmp_path_factory.mktemp("folds") / "search")


def history(trial, fold):
    return json.loads((trial.run_dir / f"fold-{fold}" / "history.json").read_text())


def test_the_score_is_the_mean_over_all_held_out_examples(found):
    examples = TinyRecipe(num_classes=2).read(bright_sides(25))
    folds = folds_of(examples, 3, seed=0)
    for trial in found.trials:
        right = 0.0
        for fold, score in enumerate(trial.fold_scores):
            held_out = np.flatnonzero(folds == fold)
            model = kft.load(trial.run_dir / f"fold-{fold + 1}", recipe=TinyRecipe)
            assert model.evaluate(examples.take(held_out)).accuracy == pytest.approx(score)
            assert score == pytest.approx(max(history(trial, fold + 1)["val_accuracy"]))
            right += score * len(held_out)
        assert trial.score == pytest.approx(right / 25), "each example is held out once"
        error = np.std(trial.fold_scores, ddof=1) / np.sqrt(3)
        assert trial.standard_error == pytest.approx(error)
        assert trial.shown_score == f"{trial.score:.4f} ± {error:.4f}"
    assert found.best_score == max(trial.score for trial in found.trials)


@pytest.mark.once
def test_the_result_shows_folds_and_standard_errors(found):
    assert "the mean of 3 folds" in found.title
    assert found.best_trial.shown_score in str(found)
    page = found.report().read_text()
    assert "standard error over 3 folds" in page
    assert "±" in page


@pytest.mark.once
def test_the_best_plan_is_refitted_on_all_data_for_the_median_of_the_epochs(found):
    trial = found.best_trial
    by_fold = []
    for fold in (1, 2, 3):
        logged = history(trial, fold)
        best = int(np.argmax(logged["val_accuracy"]))
        lengths = []
        for stage in (1, 2):
            own = [
                accuracy
                for accuracy, number in zip(logged["val_accuracy"], logged["stage"], strict=True)
                if number == stage
            ]
            reached = stage <= logged["stage"][best]
            lengths.append(int(np.argmax(own)) + 1 if reached else 0)
        by_fold.append(lengths)
    expected = [round(epochs) for epochs in np.median(by_fold, axis=0) if round(epochs)]
    kept = stages_to_the_best(trial, found.objective)
    assert [stage.epochs for stage in kept] == expected
    run = found.refit(verbose=0)
    assert len(run.history["loss"]) == sum(expected)
    assert len(run.training) == 25


@pytest.mark.once
def test_a_stage_is_refitted_for_the_median_of_its_epochs(found, tmp_path):
    logged = [  # the best epochs by stage: the third, the first and second, the second and first
        {"stage": [1, 1, 1, 2], "val_accuracy": [0.5, 0.6, 0.9, 0.7]},
        {"stage": [1, 1, 2, 2], "val_accuracy": [0.6, 0.5, 0.7, 0.9]},
        {"stage": [1, 1, 2, 2], "val_accuracy": [0.5, 0.6, 0.9, 0.7]},
    ]
    for number, one in enumerate(logged):
        fold = tmp_path / f"fold-{number + 1}"
        fold.mkdir()
        (fold / "history.json").write_text(json.dumps(one))
    trial = dataclasses.replace(found.best_trial, run_dir=tmp_path)
    kept = stages_to_the_best(trial, found.objective)
    assert [stage.epochs for stage in kept] == [2, 1]


@pytest.mark.once
def test_no_single_model_of_the_folds_is_passed_off_as_the_best(found):
    with pytest.raises(kft.InputError, match=r"3 folds.*search\.refit\(\)"):
        _ = found.best_recipe
    with pytest.raises(kft.InputError, match=r"search\.refit\(\)"):
        found.train_further(verbose=0)


class Killed(BaseException):
    """An exception that ends a process like a signal, since nothing catches it."""


@pytest.mark.once
def test_a_killed_search_continues_within_a_trial(found, tmp_path, monkeypatch):
    fits, original = [], kft.Recipe.fit

    def dying(self, *args, **kwargs):
        fits.append(kwargs["run_dir"].name)
        if len(fits) == 3:
            raise Killed
        return original(self, *args, **kwargs)

    monkeypatch.setattr(kft.Recipe, "fit", dying)
    with pytest.raises(Killed):
        tune(tmp_path / "search")
    assert fits == ["fold-1", "fold-2", "fold-3"]
    begun = next((tmp_path / "search" / "trials").iterdir()) / "run"
    weights = (begun / "fold-1" / "history.json").stat().st_mtime_ns
    again = tune(tmp_path / "search")
    assert (begun / "fold-1" / "history.json").stat().st_mtime_ns == weights, "fitted once"
    assert [trial.fold_scores for trial in again.trials] == [
        trial.fold_scores for trial in found.trials
    ]


@pytest.mark.once
def test_groups_are_never_divided_between_folds(tmp_path, monkeypatch):
    people = np.arange(24) // 4
    examples = TinyRecipe(num_classes=2).read(bright_sides(24), groups=people)
    parts, original = [], kft.Recipe.fit

    def seen(self, train, validation, **settings):
        parts.append((set(train.groups), set(validation.groups)))
        return original(self, train, validation, **settings)

    monkeypatch.setattr(kft.Recipe, "fit", seen)
    tune(tmp_path / "search", examples, stages=STAGES[:1])
    assert len(parts) == 3
    assert all(train.isdisjoint(validation) for train, validation in parts)


@pytest.mark.once
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "`folds=1`"),
        ({"folds": 99}, "folds=99"),
        ({"validation_data": 0.3}, r"leave out `validation_data`"),
        ({"validation_data": bright_sides(8)}, r"leave out `validation_data`"),
        ({"prune": "median"}, r"`prune='median'`.*`folds`"),
    ],
    ids=["one", "many", "fraction", "data", "prune"],
)
def test_wrong_settings_are_refused_before_any_fit(tmp_path, monkeypatch, settings, message):
    monkeypatch.setattr(kft.Recipe, "fit", None)
    with pytest.raises(kft.InputError, match=message):
        tune(tmp_path / "search", **settings)
    assert not (tmp_path / "search" / "trials").exists()


@pytest.mark.once
def test_a_search_with_other_folds_is_another_search(found):
    with pytest.raises(kft.InputError, match=r"another search.*folds"):
        tune(found.run_dir, folds=4)


@pytest.mark.once
def test_tampered_fold_scores_are_refused(found, tmp_path):
    folder = found.best_trial.run_dir.parent
    content = json.loads((folder / "trial.json").read_text())
    for wrong in ("abc", [0.5], [0.5, "x"], None, 3):
        (tmp_path / folder.name).mkdir(exist_ok=True)
        (tmp_path / folder.name / "trial.json").write_text(
            json.dumps({**content, "fold_scores": wrong})
        )
        with pytest.raises(kft.InputError, match="is damaged"):
            read_trial(tmp_path / folder.name)
