"""The model's own answers to the examples, with which its export is compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kft.answers import Answers, NumpyOps
from kft.errors import InputError
from kft.export import rounding
from kft.export.comparison import distances
from kft.export.launch import ExportError
from kft.export.promises import LARGEST_SCORE_TOLERANCE, REGRESSION
from kft.export.servable import Servable

Arrays = dict[str, np.ndarray]

LEAST_OF_PIXELS = (
    2.0**-10
)  # of a picture's pixels: that no draw changed one does not prove that none can change

_OPS = NumpyOps()


@dataclass(frozen=True)
class Reference:
    """The answers to the examples of a servable.

    Attributes:
        decode: `servable.decode` as a graph, traced once for all uses.
        inputs: The examples as the model's inputs.
        outputs: The result of `servable.predict`, in the model's own structure, arrays [n, ...].
        answer: The task's answer, by the names of its outputs.
        features: The outputs of `embed`.
        tolerance: Name of an output of any signature to how much rounding may change it.
    """

    decode: Callable[[tf.Tensor], tuple[Any, tf.Tensor]]
    inputs: Any
    outputs: Any
    answer: Arrays
    features: Arrays
    tolerance: dict[str, float]


def ask(servable: Servable) -> Reference:
    """Compute a model's answers to its examples.

    Raises:
        InputError: If an example is a bad row.
        ExportError: If the answers are not finite numbers, or if rounding alone changes scores so much,
            or changes integers or strings, that a comparison would prove nothing.
    """
    raw = list(servable.examples)
    spec = tf.TensorSpec([None, *servable.shape], tf.string, name="inputs")
    decode = tf.function(servable.decode, autograph=False).get_concrete_function(spec)
    inputs, status = decode(tf.constant(raw, tf.string))
    for index, reason in enumerate(status.numpy()):
        if reason:
            raise InputError(f"example {index} cannot be used: {reason.decode()}. Pass another.")
    tolerance, features = _measured(servable, inputs)
    _check(servable, tolerance)
    outputs = servable.predict(raw)
    regress = servable.description.answers.rules.regress
    if regress is not None:
        tolerance[REGRESSION] = tolerance[regress]
    answer = servable.answer(outputs, _OPS, raw)
    return Reference(decode, inputs, outputs, answer, features, tolerance)


def with_features(servable: Servable) -> keras.Model:
    """Return a model with everything that an export needs: a list of outputs, and features."""
    features = servable.named_features().values()
    outputs = [*keras.tree.flatten(servable.model.output), *features]
    return keras.Model(servable.model.input, outputs)


def answers_and_features(servable: Servable, found: list[np.ndarray]) -> tuple[Arrays, Arrays]:
    """Return a server's answers to the examples, from the outputs of the model of `with_features`."""
    names = list(servable.named_features())
    count = len(found) - len(names)
    outputs = keras.tree.pack_sequence_as(servable.model.output, found[:count])
    features = [_OPS.cast(one, "float32") for one in found[count:]]
    return servable.answer(outputs, _OPS, servable.examples), dict(
        zip(names, features, strict=True)
    )


def bound_of_output(servable: Servable, asked: Reference) -> float:
    """Return how much rounding may change the single output of a model."""
    _, bounds = rounding.measure(with_features(servable), asked.inputs)
    if not np.isfinite(bounds[0]):
        raise ExportError("the model's outputs for the examples are not all finite numbers.")
    return bounds[0]


def differences(servable: Servable, before: Arrays, after: Arrays) -> dict[str, float]:
    """Return by how much answers and features differ, measured as in the check."""
    description = servable.description
    outputs = {**description.answers.outputs, **description.features.outputs}
    return distances(before, after, Answers(outputs, description.answers.rules))


def _measured(servable: Servable, inputs: Any) -> tuple[dict[str, float], Arrays]:
    """Return how much rounding may change each output, and the features."""

    def found() -> Iterator[tuple[Arrays, Arrays]]:
        # Eagerly: tracing a deep model takes longer than running a few examples.
        for outputs in rounding.draws(with_features(servable), inputs):
            yield answers_and_features(servable, outputs)

    drawn = found()
    answer, features = next(drawn)
    first = {**answer, **features}
    apart: dict[str, float] = {}
    for moved, moved_features in drawn:
        for name, one in differences(servable, first, {**moved, **moved_features}).items():
            apart[name] = max(apart.get(name, 0.0), one)
    bounds = {name: rounding.bound(one, _largest(first[name])) for name, one in apart.items()}
    for name in servable.description.answers.rules.pictures:
        bounds[name] = max(bounds[name], LEAST_OF_PIXELS)
    return bounds, features


def _largest(values: np.ndarray) -> float:
    """Return the largest absolute value; 0 for values that must be equal, which have no tolerance."""
    return float(np.max(np.abs(values), initial=0.0)) if values.dtype.kind == "f" else 0.0


def _check(servable: Servable, tolerance: dict[str, float]) -> None:
    """Refuse answers with which no export could be compared."""
    answers = servable.description.answers
    exact = [
        name
        for name, one in answers.outputs.items()
        if one.dtype != "float32" and name not in answers.rules.pictures
    ]
    changed = [name for name in exact if tolerance.get(name, 0.0) > 0]
    if changed:
        raise ExportError(
            f"rounding alone changes {changed[0]!r} of the answers to the examples, so that no export "
            "can be compared with it: also answer with the numbers that it follows from, and declare it in the "
            "task's `answer_rules()`."
        )
    if not np.isfinite(list(tolerance.values())).all():
        raise ExportError("the model's answers to the examples are not all finite numbers.")
    judged = [
        *(one.scores for one in answers.rules.rankings),
        *(one.boxes for one in answers.rules.detections),
    ]
    for name in judged:
        if tolerance[name] > LARGEST_SCORE_TOLERANCE:
            raise ExportError(
                f"rounding alone moves the model's {name} by {tolerance[name]:.2g}, so that no export can "
                "be compared with them: export other weights, such as weights='float32'."
            )
