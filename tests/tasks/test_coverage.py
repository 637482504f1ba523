"""Answers with a requested coverage."""

import json

import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.tasks import Classification, MultiLabel, Regression, Several
from kft.tasks.predictions.covering import ClassSets, NumberRanges, kept_distances, quantile
from tests.family.test_solving import SOLVED, pictures, recipe_of
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once


def test_the_quantile_is_the_one_that_covers_in_finite_samples():
    distances = [float(one) for one in range(1, 10)]  # nine of them
    assert quantile(distances, 0.9) == 9  # ceil(10 * 0.9)
    assert quantile(distances, 0.5) == 5
    assert quantile(distances, 0.95) == np.inf, "nine examples cannot tell"


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_sets_hold_the_truth_as_often_as_was_asked_for(coverage):
    """Holds on average over many draws of 50 calibration examples, however bad the model is."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        scores = rng.dirichlet(np.ones(6) * 0.5, 60)
        labels = rng.integers(0, 6, 60)  # independent of the scores
        task = Classification(6)
        found = kept_distances(task.distances(scores[:50], labels[:50]), 0)
        answers = ClassSets(
            [""] * 10, scores[50:], list("abcdef"), distance=float(quantile(found, coverage))
        )
        held += ["abcdef"[y] in one for y, one in zip(labels[50:], answers.sets, strict=True)]
    assert coverage - 0.02 < np.mean(held) < coverage + 0.05


def test_ranges_hold_the_truth_of_each_of_several_numbers():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4000, 2))
    truth = scores + rng.normal(size=(4000, 2)) * [1, 10]
    task = Regression(2)
    found = kept_distances(task.distances(scores[:2000], truth[:2000]), 0)
    ranges = NumberRanges([""] * 2000, scores[2000:], distance=quantile(found, 0.9)).ranges
    inside = (ranges[..., 0] <= truth[2000:]) & (truth[2000:] <= ranges[..., 1])
    np.testing.assert_allclose(inside.mean(0), 0.9, atol=0.02)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    x, kinds, brightness = pictures(90)
    task = Several({"kind": Classification(3), "light": Regression(), "tags": MultiLabel(3)})
    recipe = recipe_of(task, classes={"kind": ["red", "green", "blue"], "tags": list("abc")})
    targets = {"kind": kinds, "light": brightness, "tags": np.eye(3, dtype="float32")[kinds]}
    folder = tmp_path_factory.mktemp("covered") / "run"
    recipe.fit((x, targets), stages=[SOLVED], run_dir=folder, verbose=0)
    return recipe, folder, x


def test_a_trained_recipe_answers_with_sets_and_ranges_and_so_does_the_saved_one(trained):
    recipe, folder, x = trained
    answers = recipe.predict(x[:3], coverage=0.8)
    head, rows = answers.cells()
    assert head == [
        *("input", "kind_label", "kind_probability", "kind_set"),
        *("light_value", "light_low", "light_high", "tags_label", "tags_probability"),
    ]
    assert [row[3] for row in rows] == ["red", "green", "blue"]
    loaded = kft.load(folder, recipe=TinyRecipe)
    assert loaded.predict(x[:3], coverage=0.8).columns() == answers.columns()
    assert "kind_set" not in recipe.predict(x[:3]).columns()
    assert json.loads(json.dumps(answers.to_dict()))["kind_set"] == [["red"], ["green"], ["blue"]]


@pytest.mark.parametrize("coverage", [0, 1, -0.5, "0.9", True, float("nan")])
def test_a_coverage_that_is_no_probability_is_refused(trained, coverage):
    with pytest.raises(InputError, match=r"coverage=.*above 0 and below 1"):
        trained[0].predict(trained[2][:1], coverage=coverage)


def test_a_recipe_that_knows_of_no_distance_says_so():
    x, kinds, _ = pictures()
    recipe = recipe_of(Classification(3))
    with pytest.raises(InputError, match=r"coverage=0\.9.*errors on validation data"):
        recipe.predict(x[:1], coverage=0.9)
    recipe.fit((x, kinds), stages=[SOLVED], verbose=0)
    assert recipe.distances is not None
    recipe.fit((x, kinds), stages=[SOLVED], finish=kft.Finish(report=False), verbose=0)
    assert recipe.distances is None, "those of the fit before are of another model"


@pytest.mark.parametrize(
    "content", [[], {}, [[[0.1]]], ["a"], [None], 3, [1e999], {"kind": []}, [[0.1], [0.2, 0.3]]]
)
def test_damaged_distances_are_named(trained, tmp_path, content):
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(trained[1], copy)
    (copy / "distances.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"distances\.json.*damaged"):
        kft.load(copy, recipe=TinyRecipe)


def test_distances_are_read_within_the_run_alone(trained, tmp_path):
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(trained[1], copy)
    (copy / "distances.json").rename(tmp_path / "elsewhere.json")
    (copy / "distances.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(InputError, match=r"distances\.json` is a link out of"):
        kft.load(copy, recipe=TinyRecipe)


def test_distances_of_another_task_are_refused_as_they_are_used(trained, tmp_path):
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(trained[1], copy)
    (copy / "distances.json").write_text("[0.5]")
    loaded = kft.load(copy, recipe=TinyRecipe)
    with pytest.raises(InputError, match="of another task"):
        loaded.predict(trained[2][:1], coverage=0.5)
