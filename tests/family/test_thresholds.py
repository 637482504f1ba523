"""Thresholds that a fit finds on its validation data, and what keeps them."""

import dataclasses
import json

import numpy as np
import pytest

import kft
from kft.family.merging import merged
from kft.tasks import Classification, MultiLabel, Several, Spans
from kft.testing.families import TinyImages, TinyTexts, save_tiny_bert, tiny_texts
from tests.family.test_solving import SOLVED, TinyRecipe, pictures, recipe_of


def rare(count=90, seed=0):
    """Return images of which every third has the label that all of its kind look like."""
    x, kinds, _ = pictures(count, seed)
    labels = np.eye(3, dtype="float32")[kinds] * (np.arange(count) % 9 < 3)[:, None]
    return x, labels


def fitted(task=None, **settings):
    recipe = recipe_of(task or MultiLabel(3))
    return recipe.fit(rare(), rare(60, 1), stages=[SOLVED], verbose=0, **settings)


def test_a_fit_finds_the_threshold_of_its_labels(tmp_path):
    fixed, found = fitted(MultiLabel(3, threshold=0.5)), fitted(run_dir=tmp_path / "run")
    value = found.recipe.task.label_threshold
    assert found.journal["thresholds"] == {"threshold": value}
    assert 0 < value < 0.4
    assert found.evaluation.threshold == value
    assert found.evaluation.f1_micro > fixed.evaluation.f1_micro + 0.2
    assert "thresholds" not in fixed.journal
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"The threshold of the answers, {value:.3g}, was found on the validation data" in page
    loaded = kft.load(tmp_path / "run", recipe=TinyRecipe)
    assert loaded.task.label_threshold == value
    x, labels = rare(30, 2)
    assert loaded.predict(x).labels == found.recipe.predict(x).labels
    assert loaded.evaluate((x, labels)).threshold == value


@pytest.mark.once
def test_a_repeated_call_answers_with_the_threshold_of_the_finished_run(tmp_path):
    first = fitted(run_dir=tmp_path / "run")
    weights = (tmp_path / "run" / "weights.safetensors").read_bytes()
    again = fitted(run_dir=tmp_path / "run")
    assert again.recipe.task.label_threshold == first.recipe.task.label_threshold != 0.5
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == weights
    assert first.recipe.arguments() == recipe_of(MultiLabel(3)).arguments(), "it is no argument"


@pytest.mark.once
def test_the_next_fit_finds_another_threshold(tmp_path):
    recipe = fitted().recipe
    before = recipe.task.label_threshold
    x, kinds, _ = pictures(60, 3)
    separable = x, np.eye(3, dtype="float32")[kinds]
    run = recipe.fit(separable, separable, stages=[SOLVED], verbose=0)
    assert run.journal["thresholds"]["threshold"] == recipe.task.label_threshold != before
    recipe.fit(separable, separable, stages=[SOLVED], verbose=0, finish=kft.Finish(report=False))
    assert recipe.task.label_threshold == 0.5, "it belonged to other weights"
    recipe = fitted().recipe
    assert recipe.task.label_threshold < 0.4
    settings = {"stages": [SOLVED], "verbose": 0, "finish": kft.Finish(report=False)}
    recipe.fit(rare(), rare(60, 1), **settings)
    assert recipe.task.label_threshold == 0.5


@pytest.mark.once
def test_a_merged_recipe_keeps_the_threshold_when_it_is_saved(tmp_path):
    recipe = with_adapters(0.2)
    saved = merged(recipe).save(tmp_path / "merged")
    assert kft.load(saved, recipe=TinyImages).task.label_threshold == 0.2


@pytest.mark.once
def test_adapters_are_loaded_with_their_own_threshold(tmp_path):
    one, other = with_adapters(0.2), with_adapters(0.3)
    one.save_adapters(tmp_path / "one")
    other.load_adapters(tmp_path / "one")
    assert other.task.label_threshold == 0.2
    with_adapters(None).save_adapters(tmp_path / "none")
    other.load_adapters(tmp_path / "none")
    assert other.task.label_threshold == 0.5


@pytest.mark.once
def test_the_known_labels_keep_their_threshold_beside_new_ones(tmp_path):
    recipe = fitted(run_dir=tmp_path / "run").recipe
    wider = kft.load(tmp_path / "run", recipe=TinyRecipe, more_classes="new")
    assert wider.task.label_threshold == recipe.task.label_threshold != 0.5
    assert wider.task.num_classes == 4


def with_adapters(threshold):
    recipe = TinyImages(task=MultiLabel(3), adapters=kft.LoRA(rank=2))
    recipe.model  # noqa: B018  built, so that there are adapters to save
    recipe.use_thresholds({} if threshold is None else {"threshold": threshold})
    return recipe


@pytest.mark.once
def test_a_fit_that_fails_keeps_the_threshold_of_the_weights_that_it_restores(monkeypatch):
    recipe = fitted().recipe
    before = recipe.task.label_threshold

    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(MultiLabel, "scorer", stopped)
    with pytest.raises(KeyboardInterrupt):
        recipe.fit(rare(), rare(60, 1), stages=[SOLVED], verbose=0)
    assert recipe.task.label_threshold == before != 0.5


@pytest.mark.once
def test_a_threshold_that_cannot_be_found_is_a_warning(monkeypatch):
    def fails(*args):
        raise ValueError("no idea.")

    monkeypatch.setattr(MultiLabel, "thresholds", fails)
    with pytest.warns(
        UserWarning, match=r"finding the thresholds .* failed with ValueError: no id"
    ):
        run = fitted()
    assert run.recipe.task.label_threshold == 0.5
    assert run.evaluation.threshold == 0.5


@pytest.mark.once
def test_each_of_several_tasks_has_its_own_threshold(tmp_path):
    x, labels = rare()
    kinds = pictures(90)[1]
    task = Several(
        {"tags": MultiLabel(3), "kind": Classification(3), "set": MultiLabel(3, threshold=0.4)}
    )
    recipe = recipe_of(task)
    data = x, {"tags": labels, "kind": kinds, "set": labels}
    run = recipe.fit(data, data, stages=[SOLVED], run_dir=tmp_path / "run", verbose=0)
    loaded = kft.load(tmp_path / "run", recipe=TinyRecipe)
    for one in (recipe, loaded):
        tasks = one.task.tasks
        assert run.journal["thresholds"] == {"tags": {"threshold": tasks["tags"].label_threshold}}
        assert tasks["set"].label_threshold == 0.4
        assert tasks["tags"].label_threshold not in (0.4, 0.5)


@pytest.mark.once
@pytest.mark.parametrize("value", [{"threshold": 2}, {"threshold": "a"}, [1]])
def test_a_damaged_threshold_is_refused(tmp_path, value):
    fitted(run_dir=tmp_path / "run")
    path = tmp_path / "run" / "recipe.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "thresholds": value}), encoding="utf-8")
    with pytest.raises(kft.InputError, match=r"recipe\.json"):
        kft.load(tmp_path / "run", recipe=TinyRecipe)


@pytest.mark.once
def test_cross_validation_answers_with_thresholds_that_its_fits_find():
    found = kft.cross_validate(
        recipe_of(MultiLabel(3)), rare(), folds=3, stages=[SOLVED], verbose=0
    )
    assert found.evaluation.threshold == found.folds[0].threshold < 0.4
    assert found.evaluation.f1_micro > 0.3, "at 0.5, no label would be given"


@pytest.mark.once
def test_classes_with_names_tell_their_number():
    recipe = TinyRecipe(classes=["a", "b", "c"], task="multi_label", image_size=(16, 16))
    assert recipe.task == MultiLabel(3)
    with pytest.raises(kft.InputError, match=r"num_classes"):
        TinyRecipe(classes=["a", "b", "c"], num_classes=2, image_size=(16, 16))


@pytest.mark.once
def test_the_threshold_of_no_answer_is_found_and_kept(tmp_path):
    """Without training, the model is sure of an answer to each question, and half of them have none."""
    texts = tiny_texts(40)
    pairs = [("was it", text) for text in texts]
    answers = [(0, text.split()[0]) if n % 2 else [] for n, text in enumerate(texts)]
    preset = save_tiny_bert(tmp_path / "preset")
    recipe = TinyTexts(preset, task=Spans(), sequence_length=16)
    data, stages = (pairs, answers), [kft.Stage(0, 1, 1e-9)]
    run = recipe.fit(data, data, stages=stages, run_dir=tmp_path / "run", verbose=0)
    value = recipe.task.known_threshold
    assert run.journal["thresholds"] == {"threshold": value}
    loaded = kft.load(tmp_path / "run", recipe=TinyTexts)
    assert loaded.task.known_threshold == value
    assert loaded.evaluate(data).f1 == run.evaluation.f1
    always = dataclasses.replace(loaded.task, threshold=1e9)
    assert always.known_threshold == 1e9, "what was passed counts"
    assert not always.finds_thresholds
    assert "found_threshold" not in json.dumps(loaded.task.described())
