"""Gradients that are added up over several batches."""

import keras
import numpy as np

import kft
from tests.small_images import TinyRecipe, bright_sides


def fitted(batch_size, **settings):
    recipe = TinyRecipe(num_classes=2, dropout=0.0)
    recipe.fit(
        bright_sides(32), bright_sides(8, seed=1), verbose=0, batch_size=batch_size,
        stages=[kft.Stage(0, 1, 0.1), kft.Stage("all", 2, 0.05, decay="linear")],
        optimizer=keras.optimizers.SGD(**settings), early_stopping=None, restore_best=None,
    )  # fmt: skip
    return [keras.ops.convert_to_numpy(weight) for weight in recipe.model.trainable_weights]


def test_two_batches_are_as_one_of_twice_the_size():
    once, twice = fitted(8), fitted(4, gradient_accumulation_steps=2)
    moved = max(np.abs(one - other).max() for one, other in zip(fitted(4), once, strict=True))
    for one, other in zip(once, twice, strict=True):
        assert np.abs(one - other).max() < moved / 5
