"""Classification: one label of several, or any number of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import keras

from kft.arguments import is_whole, shown
from kft.data.kinds import MultiLabels, SingleLabels
from kft.errors import InputError
from kft.tasks.layers import DenseHead
from kft.tasks.losses import LabelCrossEntropy, label_matches

MOST_CLASSES = 1_000_000  # more than any machine has memory for, or a slip


@dataclass(frozen=True, kw_only=True)
class _Labels(DenseHead):
    num_classes: int = field(kw_only=False)
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_whole(self.num_classes, 2, MOST_CLASSES):
            raise InputError(
                f"`num_classes={shown(self.num_classes)}`, but `task={self.name!r}` needs a whole "
                "number of classes (2 for yes or no), at least 2 and at most "
                f"{MOST_CLASSES:,}."
            )
        object.__setattr__(self, "num_classes", int(self.num_classes))
        self.check_fraction("label_smoothing")

    @property
    def width(self) -> int:
        """Numbers that the head puts out for an example."""
        return self.num_classes

    @property
    def class_count(self) -> int:
        """How many classes there are."""
        return self.num_classes


@dataclass(frozen=True, kw_only=True)
class Classification(_Labels, SingleLabels):
    """One label an example: the scores are a softmax over the classes.

    Args:
        num_classes: Number of classes, at least 2.
        hidden: Widths of hidden ReLU layers between the features and the scores. Defaults to none.
        dropout: Fraction of the values dropped before every Dense layer, from 0 to below 1. Defaults
            to 0.2.
        label_smoothing: Fraction of each target spread over all classes, from 0 to below 1. Defaults
            to 0.

    Raises:
        InputError: If an argument is out of its range.
    """

    name: ClassVar[str] = "single_label"
    activation: ClassVar[str] = "softmax"

    def loss(self) -> keras.losses.Loss:
        """Cross-entropy with label smoothing."""
        return LabelCrossEntropy(label_smoothing=self.label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """The accuracy."""
        return [keras.metrics.MeanMetricWrapper(label_matches, name="accuracy")]


@dataclass(frozen=True, kw_only=True)
class MultiLabel(_Labels, MultiLabels):
    """Any number of labels an example: each score is a sigmoid of its own.

    The arguments and errors are those of `Classification`.
    """

    name: ClassVar[str] = "multi_label"
    activation: ClassVar[str] = "sigmoid"

    def loss(self) -> keras.losses.Loss:
        """Binary cross-entropy with label smoothing."""
        return keras.losses.BinaryCrossentropy(label_smoothing=self.label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """The accuracy of the decisions on single labels."""
        return [keras.metrics.BinaryAccuracy(name="accuracy")]
