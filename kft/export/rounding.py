"""How far rounding alone moves a model's answers, and so how far an export may be from them.

No fixed bound suits every model: fifty layers in float32 move large features by more than the scores
of a shallow network will ever need. So the model itself is asked. Each weight, and each input that is
a float, is moved at random by a few units in its last place; what that does to the answers is what
another processor, another order of additions or folded BatchNorm may do to them (Monte Carlo
arithmetic, Parker 1997).
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

STEP = 2.0**-21  # relative: four units in the last place of float32
DRAWS = 8
MARGIN = 2.0  # one more draw may move an answer further than these did
LEAST = 2.0**-18  # relative to the largest answer: 32 units in its last place


def measure(model: keras.Model, inputs: Any) -> tuple[list[np.ndarray], list[float]]:
    """Return a model's answers, and how far from each of them rounding may lead.

    Args:
        model: A model with a list of outputs; its weights stay as they are.
        inputs: What to ask it.

    Returns:
        For each output its values, and the absolute difference that rounding explains.
    """
    weights = [
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    answers = _answers(model, weights, inputs)
    spread = np.zeros(len(answers))
    for draw in range(DRAWS):
        moved = _moved([weights, inputs], draw)
        spread = np.maximum(spread, distances(answers, _answers(model, *moved)))
    scales = [np.max(np.abs(answer), initial=0.0) for answer in answers]
    return answers, [
        max(MARGIN * float(found), LEAST * float(scale))
        for found, scale in zip(spread, scales, strict=True)
    ]


def distances(expected: Sequence[np.ndarray], answered: Sequence[np.ndarray]) -> np.ndarray:
    """Return the largest difference of each output; infinite where one is not a number."""
    found = [
        np.max(np.abs(before - after), initial=0.0)
        for before, after in zip(expected, answered, strict=True)
    ]
    return np.nan_to_num(np.array(found, np.float64), nan=np.inf)


def _answers(model: keras.Model, weights: list, inputs: Any) -> list[np.ndarray]:
    outputs, _ = model.stateless_call(*weights, inputs, training=False)
    return [np.asarray(output, np.float32) for output in outputs]


def _moved(values: Any, draw: int) -> Any:
    """Move each float up or down by `STEP` of itself; leave whole numbers alone."""
    leaves = []
    for index, leaf in enumerate(map(tf.convert_to_tensor, tf.nest.flatten(values))):
        if leaf.dtype.is_floating:
            up = tf.random.stateless_uniform(leaf.shape, (draw, index)) < 0.5
            leaf = leaf * tf.where(up, tf.cast(1 + STEP, leaf.dtype), 1 - STEP)
        leaves.append(leaf)
    return tf.nest.pack_sequence_as(values, leaves)
