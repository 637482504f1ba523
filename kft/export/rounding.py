"""How much rounding alone changes a model's answers, and so how much an export's may differ.

No fixed bound suits every model: fifty layers in float32 change large features by more than the
scores of a shallow network will ever need. So it is measured. Each weight, and each input that is a
float, is randomly changed by a few units in its last place; this changes the answers as much as
another processor, another order of additions or folded BatchNorm may (Monte Carlo arithmetic, Parker
1997).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kft.answers import NumpyOps

STEP = 2.0**-21  # relative: four units in the last place of float32
DRAWS = 8
MARGIN = 2.0  # one more draw may change an answer by more than these did
LEAST = 2.0**-18  # relative to the largest answer: 32 units in its last place

_OPS = NumpyOps()


def draws(model: keras.Model, inputs: Any) -> Iterator[list[np.ndarray]]:
    """Yield a model's outputs, and then `DRAWS` times the outputs with random rounding.

    Args:
        model: A model with a list of outputs; its weights do not change.
        inputs: The inputs.

    Yields:
        The outputs; floats are float32.
    """
    weights = [
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    yield _outputs(model, weights, inputs)
    for draw in range(DRAWS):
        yield _outputs(model, *_moved([weights, inputs], draw))


def bound(apart: float, largest: float) -> float:
    """Return how much rounding may change a value.

    Args:
        apart: The largest difference in any draw.
        largest: The largest absolute value.
    """
    return max(MARGIN * apart, LEAST * largest)


def measure(model: keras.Model, inputs: Any) -> tuple[list[np.ndarray], list[float]]:
    """Return a model's outputs, and how much rounding may change each of them.

    Args:
        model: A model with a list of outputs; its weights do not change.
        inputs: The inputs.

    Returns:
        The values of each output, and the largest absolute difference by rounding.
    """
    outputs, *others = draws(model, inputs)
    spread = np.max([distances(outputs, other) for other in others], axis=0)
    scales = [np.max(np.abs(output), initial=0.0) for output in outputs]
    return outputs, [bound(float(s), float(m)) for s, m in zip(spread, scales, strict=True)]


def distances(expected: Sequence[np.ndarray], answered: Sequence[np.ndarray]) -> np.ndarray:
    """Return the largest difference of each output; infinite if one is NaN."""
    found = [
        np.max(np.abs(before - after), initial=0.0)
        for before, after in zip(expected, answered, strict=True)
    ]
    return np.nan_to_num(np.array(found, np.float64), nan=np.inf)


def _outputs(model: keras.Model, weights: list, inputs: Any) -> list[np.ndarray]:
    outputs, _ = model.stateless_call(*weights, inputs, training=False)
    return [_OPS.served(output) for output in outputs]


def _moved(values: Any, draw: int) -> Any:
    """Change each float randomly by plus or minus `STEP` times itself; leave integers unchanged."""
    leaves = []
    for index, leaf in enumerate(map(tf.convert_to_tensor, tf.nest.flatten(values))):
        if leaf.dtype.is_floating:
            up = tf.random.stateless_uniform(leaf.shape, (draw, index)) < 0.5
            leaf = leaf * tf.where(up, tf.cast(1 + STEP, leaf.dtype), 1 - STEP)
        leaves.append(leaf)
    return tf.nest.pack_sequence_as(values, leaves)
