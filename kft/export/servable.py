"""What the exporter needs to know of a trained model, and nothing more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.errors import InputError
from kft.export.promises import LABEL_SEPARATOR

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


@dataclass(frozen=True)
class Servable:
    """A trained model with the way from raw inputs to its inputs.

    Args:
        model: A functional model whose one output is the scores, [n, k]: probabilities of the
            classes, or the values of a regression.
        decode: Raw inputs, a string tensor [n], to the model's inputs of the rows that can be used,
            and a status for every row, a string tensor [n]: empty, or why the row is missing. In
            TensorFlow's graph ops, none of which raises for a bad row.
        predict: Raw inputs, a list, to scores, float32 [n, k] in the order of `classes`: the
            reference that the export must equal.
        modality: `"image"` (raw inputs are encoded files) or `"text"`.
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        classes: The class names, None for regression.
        examples: Real raw inputs, from which warmup requests are made; at least one.
        features: The tensor of `model` that `embed` answers with, [n, d]; None for what enters the
            head's first layer.
        threshold: Score from which on a multi-label model gives a label.
        resources: Layers with tables that `decode` uses and the export has to carry.
        facts: What else to say in the metadata, ready for JSON.

    Raises:
        InputError: If the arguments contradict one another.
    """

    model: "keras.Model"
    decode: Callable[["tf.Tensor"], tuple[Any, "tf.Tensor"]]
    predict: Callable[[Sequence[bytes | str]], np.ndarray]
    modality: str
    task: str
    classes: tuple[str, ...] | None
    examples: tuple[bytes, ...]
    features: "keras.KerasTensor | None" = None
    threshold: float = 0.5
    resources: tuple[Any, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.modality not in ("image", "text"):
            raise InputError(f"modality={self.modality!r}; expected 'image' or 'text'.")
        if self.task not in ("single_label", "multi_label", "regression"):
            raise InputError(
                f"task={self.task!r}; expected 'single_label', 'multi_label' or 'regression'."
            )
        if not self.examples:
            raise InputError("examples=(), but warmup needs a real input: pass at least one.")
        if (self.classes is None) != (self.task == "regression"):
            raise InputError(f"classes={self.classes!r} with task={self.task!r}: name the classes")
        if self.classes is not None and len(self.classes) != self.targets:
            raise InputError(
                f"{len(self.classes)} classes, but the model gives {self.targets} scores."
            )

    @property
    def targets(self) -> int:
        """The number of scores of an example."""
        return int(self.model.output_shape[-1])

    @property
    def feature_name(self) -> str:
        """The feature of a `tf.Example` that holds the raw input."""
        return self.modality

    @property
    def embedding(self) -> "keras.KerasTensor":
        """The tensor that `embed` answers with."""
        if self.features is not None:
            return self.features
        names = [layer.name for layer in self.model.layers]
        for name in ("head_dropout_1", "head_hidden_1", "head_dropout", "predictions"):
            if name in names:
                return self.model.get_layer(name).input
        raise InputError(
            "the model has no layer 'predictions' to take the features from; pass `features`."
        )

    def answer(self, scores: np.ndarray, status: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs of `serving_default`, without TensorFlow.

        Args:
            scores: float32 [n, k], in the order of `classes`; those of a bad row do not matter.
            status: Why a row is bad, as bytes [n]; empty where it is good.
        """
        bad = status != b""
        scores = np.where(bad[:, None], np.float32(np.nan), np.asarray(scores, np.float32))
        if self.classes is None:
            return {"value": scores[:, 0] if self.targets == 1 else scores, "status": status}
        order = np.argsort(-scores, axis=1, kind="stable")
        names = np.array([name.encode() for name in self.classes], dtype=object)
        classes, ordered = names[order], np.take_along_axis(scores, order, axis=1)
        classes[bad] = b""
        threshold = self.threshold if self.task == "multi_label" else None
        label = labels_of(classes, ordered, threshold)
        return {"classes": classes, "scores": ordered, "label": label, "status": status}


def labels_of(classes: np.ndarray, scores: np.ndarray, threshold: float | None) -> np.ndarray:
    """Return the label of each row.

    Args:
        classes: Labels as bytes, [n, k], best first.
        scores: float32 [n, k], in the same order.
        threshold: Score from which on a class is one of several labels; None where the best class
            is the label.
    """
    if threshold is None:
        return classes[:, 0]
    labels = np.empty(len(classes), dtype=object)
    for row, chosen in enumerate(scores >= threshold):
        labels[row] = LABEL_SEPARATOR.encode().join(classes[row][chosen])
    return labels
