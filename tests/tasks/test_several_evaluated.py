"""Models with several heads, from batches to figures and answers."""

import keras
import numpy as np
import pytest

from kft.data.streams import Stream
from kft.family.answers import evaluate
from kft.tasks import Classification, Regression, Several
from tests.tiny_recipe import TinyRecipe


class Pairs(keras.utils.PyDataset):
    """Batches of images with a target for each of two tasks."""

    def __init__(self, x, targets, size):
        super().__init__()
        self.x, self.targets, self.size = x, targets, size

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, index):
        part = slice(index * self.size, (index + 1) * self.size)
        return self.x[part], {name: values[part] for name, values in self.targets.items()}


def test_two_heads_are_evaluated_and_answer():
    task = Several({"kind": Classification(3), "age": Regression()})
    recipe = TinyRecipe(task=task, image_size=(16, 16))
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (10, 16, 16, 3)).astype("float32")
    targets = {"kind": random.integers(0, 3, 10), "age": random.normal(size=10)}
    batches = Pairs(x, targets, 4)
    stream = Stream(batches, None, len(batches), False, "PyDataset")
    found = evaluate(recipe, stream, 4, (recipe.model, batches))
    outputs = recipe.model.predict_on_batch(x)
    answers = outputs["kind"].argmax(axis=1)
    assert found.kind_accuracy == np.mean(answers == targets["kind"])
    errors = outputs["age"][:, 0].astype("float64") - targets["age"]
    assert found.age_mae == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    said = recipe.predict(x.astype("uint8"), batch_size=4)
    assert said.columns()["kind_label"] == [str(one) for one in answers]
    np.testing.assert_allclose(said.tasks["age"].scores, outputs["age"], rtol=1e-5)
