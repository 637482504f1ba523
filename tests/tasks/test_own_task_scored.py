"""Evaluation of a user's own task that defines only a head and a loss."""

import keras
import numpy as np
import pytest

from kft.data.examples import Examples
from kft.errors import InputError
from kft.family import answers
from kft.family.predicting import empty_predictions
from kft.insight.robustness import evaluate_perturbed
from kft.report.page import write_report
from kft.tasks import Task, evaluate
from tests.tiny_recipe import TinyRecipe


class Masks(Task):
    name = "masks"
    needs = "map"
    objective = ("val_overlap", "max")

    def head(self, features, inputs):
        x = keras.layers.UpSampling2D(4)(features)
        return keras.layers.Conv2D(1, 1, activation="sigmoid")(x)

    def loss(self):
        return "binary_crossentropy"

    def metrics(self):
        return [keras.metrics.BinaryAccuracy(name="overlap"), "mae"]


class ReadAlready(TinyRecipe):
    """A recipe whose data are already examples."""

    def read(self, source, **arguments):
        return source

    def name_classes(self, classes, source):
        assert classes is None


@pytest.fixture(scope="module")
def masks():
    """Return a recipe with such a task, examples, and their metrics according to Keras."""
    keras.utils.set_random_seed(0)
    recipe = ReadAlready(task=Masks(), image_size=(16, 16))
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (10, 16, 16, 3)).astype("uint8")
    y = random.integers(0, 2, (10, 16, 16, 1)).astype("float32")
    examples = Examples("arrays", x, y, None, "arrays", task=recipe.task)
    recipe.model.compile(loss=recipe.loss(), metrics=recipe.metrics())
    batches = recipe.batches(examples, batch_size=4)
    return recipe, examples, recipe.model.evaluate(batches, verbose=0, return_dict=True)


def test_an_own_task_is_evaluated_by_its_loss_and_metrics(masks):
    recipe, examples, expected = masks
    found = answers.evaluate(recipe, examples, 4)
    assert list(found.figures) == ["overlap", "mae", "loss"]
    assert dict(found.figures) == pytest.approx(expected, rel=1e-5)
    assert found.overlap == found.figures["overlap"]
    assert [one.better for one in found.figures.described] == ["max", None, "min"]
    assert (len(found), found.mistakes(), found.sections()) == (10, (), ())
    assert "Masks, 10 examples" in str(found)
    assert f"{found.overlap:.4g}" in found._repr_html_()
    assert len(found.plot().axes[0].patches) == 3
    assert found.to_dict() == {"task": "masks", "examples": 10, **found.figures, "remarks": []}


def test_batches_of_an_own_task_count_by_their_examples(masks):
    recipe, examples, _ = masks
    outputs = recipe.model.predict_on_batch(recipe.load(examples.inputs))
    scorer = recipe.task.scorer(None)
    for part in (slice(0, 9), slice(9, 10)):
        scorer.update(examples.targets[part], outputs[part])
    whole = evaluate(examples.targets, outputs, task=recipe.task)
    assert dict(scorer.result().figures) == pytest.approx(dict(whole.figures), rel=1e-5)
    with pytest.raises(InputError, match="2 targets for 10 rows of outputs"):
        recipe.task.scorer(None).update(examples.targets[:2], outputs)


class Boxes(Task):
    """A task with several outputs, and a metric with a value per class."""

    name = "boxes"

    def loss(self):
        return {"kind": "categorical_crossentropy", "box": "mse"}

    def metrics(self):
        return {"kind": [keras.metrics.F1Score(threshold=0.5)], "box": ["mae"]}


def test_outputs_of_any_structure_and_length_are_evaluated():
    random = np.random.default_rng(0)
    scorer = Boxes().scorer(None)
    for length in (3, 5):
        kinds = random.dirichlet(np.ones(2), 4).astype("float32")
        outputs = {"kind": kinds, "box": random.normal(size=(4, length, 4)).astype("float32")}
        targets = {"kind": np.eye(2, dtype="float32")[[0, 1, 1, 0]], "box": outputs["box"] + 1}
        scorer.update(targets, outputs)
    found = scorer.result()
    assert found.box_mae == pytest.approx(1)
    assert found.loss == pytest.approx(found.kind_loss + found.box_loss)
    assert {"kind_f1_score_0", "kind_f1_score_1"} < set(found.figures)


def test_the_page_shows_an_own_task(masks, tmp_path):
    recipe, examples, _ = masks
    found = answers.evaluate(recipe, examples, 4)
    page = write_report(
        tmp_path / "page.html", title="masks", history={}, evaluation=found, examples=examples
    ).read_text()
    assert f'<dt>overlap</dt><dd class=figure><data value="{found.overlap!r}">' in page
    assert "Masks, 10 examples, from arrays" in page


def test_an_own_task_is_asked_for_how_it_fares_on_worse_data(masks):
    recipe, examples, expected = masks
    found = evaluate_perturbed(recipe, examples, ["jpeg"], batch_size=4)
    assert found.figure == "overlap"
    assert found.clean.overlap == pytest.approx(expected["overlap"], rel=1e-5)
    assert len(found.values["jpeg"]) == 5
    assert "overlap by severity, 10 examples" in str(found)
    assert found.plot().axes[0].get_ylabel() == "overlap"
    with pytest.raises(InputError, match="'fgsm' does not fit ReadAlready"):
        evaluate_perturbed(recipe, examples, "fgsm")


def test_an_own_task_answers_with_its_arrays(masks):
    recipe, examples, _ = masks
    found = recipe.predict(examples.inputs[:5], batch_size=2)
    assert found.outputs.shape == (5, 16, 16, 1)
    assert str(found).splitlines()[1].startswith("input 0  16 x 16 x 1, ")
    assert empty_predictions(recipe).class_count == 0
