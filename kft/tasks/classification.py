"""Classification with one label per example, or any number of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from kft.answers import Ops, Ranking, Rules
from kft.arguments import is_number, is_whole, shown
from kft.data.kinds import MultiLabels, SingleLabels
from kft.errors import InputError
from kft.tasks.calibrated_loss import SMALLEST, CalibratedLoss
from kft.tasks.evaluation.best_threshold import USUAL
from kft.tasks.evaluation.figures import Better
from kft.tasks.evaluation.multi_label import MultiLabelScorer
from kft.tasks.evaluation.single_label import SingleLabelScorer
from kft.tasks.layers import DenseHead
from kft.tasks.linear import Loss, Sigmoid, Softmax, temperature
from kft.tasks.losses import LabelCrossEntropy, label_matches
from kft.tasks.predictions import ClassPredictions, ClassSets, LabelPredictions
from kft.tasks.task import Task
from kft.tasks.thresholds import FoundThreshold

MOST_CLASSES = 1_000_000  # more would not fit in memory, so it must be a mistake


@dataclass(frozen=True, kw_only=True, repr=False)
class _Labels(DenseHead):
    objective: ClassVar[tuple[str, Literal["max", "min"]]] = ("val_accuracy", "max")
    directions: ClassVar[Mapping[str, Better]] = {"accuracy": "max"}

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
        """Number of outputs per example."""
        return self.num_classes

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return self.num_classes

    @property
    def label_threshold(self) -> float | None:
        """The lowest score of an assigned label; None if the best class is the only label."""
        return None

    def calibrates(self, model: keras.Model) -> bool:
        """Return whether there is a last Dense layer that a temperature can scale."""
        return self.last_dense(model) is not None

    def calibrated_loss(self) -> keras.metrics.Metric:
        """Return the loss at the best temperature."""
        assert self.activation is not None
        return CalibratedLoss(self.activation)

    def temperatures(
        self, model: keras.Model, outputs: Any, targets: Any, usual: float = 1.0
    ) -> dict[str, float]:
        """Return the temperature of the last Dense layer; see `kft.tasks.linear.temperature`."""
        found = temperature(self.before_activation(outputs), targets, self.convex, usual)
        return {self.named("predictions"): found}

    def before_activation(self, scores: np.ndarray) -> np.ndarray:
        """Return the logits of scores, up to a constant per example."""
        raise NotImplementedError

    def answer_label(self, classes: Any, scores: Any, ops: Ops) -> Any:
        """Return the label of each row in a server's answer, strings `[n]`.

        Args:
            classes: Class names `[n, k]`, best first.
            scores: Their scores `[n, k]`.
            ops: As for `answer`.
        """
        raise NotImplementedError

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return `classes` and `scores` `[n, k]`, best first, and the `label` `[n]`."""
        order = ops.descending(outputs)
        ranked = ops.labels(self._named_classes(classes), order)
        scores = ops.take(outputs, order)
        return {
            "classes": ranked,
            "scores": scores,
            "label": self.answer_label(ranked, scores, ops),
        }

    def answer_rules(self) -> Rules:
        """Return a ranking rule: classes are sorted by their scores, and the label follows from both."""
        ranking = Ranking("classes", "scores", "label", self.label_threshold)
        return Rules((ranking,), classify=True)

    def _named_classes(self, classes: Sequence[str] | None) -> Sequence[str]:
        """Return the class names, or the class numbers as strings if there are none."""
        if classes is None:
            return [str(index) for index in range(self.num_classes)]
        if len(classes) != self.num_classes:
            raise InputError(
                f"{len(classes)} classes, but the model gives {self.num_classes} scores: name each."
            )
        return classes


@dataclass(frozen=True, kw_only=True, repr=False)
class Classification(_Labels, SingleLabels):
    """One label per example: the scores are a softmax over the classes.

    Args:
        num_classes: Number of classes, at least 2.
        hidden: Widths of hidden ReLU layers between the features and the scores. Defaults to none.
        dropout: Dropout rate before every Dense layer, from 0 to below 1. Defaults to 0.2.
        label_smoothing: Fraction of each target spread over all classes, from 0 to below 1. Defaults
            to 0.

    Raises:
        InputError: If an argument is out of range.
    """

    name: ClassVar[str] = "single_label"
    activation: ClassVar[str] = "softmax"
    convex: ClassVar[Loss] = Softmax()

    def loss(self) -> keras.losses.Loss:
        """Return the cross-entropy with label smoothing."""
        return LabelCrossEntropy(label_smoothing=self.label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the accuracy."""
        return [keras.metrics.MeanMetricWrapper(label_matches, name="accuracy")]

    def before_activation(self, scores: np.ndarray) -> np.ndarray:
        """Return the logarithms of the probabilities."""
        return np.log(np.maximum(scores, SMALLEST))

    def answer_label(self, classes: Any, scores: Any, ops: Ops) -> Any:
        """Return the best class."""
        return classes[:, 0]

    def scorer(self, classes: Sequence[str] | None) -> SingleLabelScorer:
        """Return a scorer of class probabilities against class numbers."""
        return SingleLabelScorer(classes, self.name)

    def predictions(
        self, names: Sequence[str], outputs: np.ndarray, classes: Sequence[str] | None
    ) -> ClassPredictions:
        """Return the most probable class of each input."""
        return ClassPredictions(names, outputs, tuple(self._named_classes(classes)))

    def distances(self, outputs: np.ndarray, targets: Any) -> np.ndarray:
        """Return 1 minus the probability of the true class, `[n]`."""
        rows = self.convex.prepared(targets, self.num_classes)
        return 1 - (outputs * rows).sum(axis=1)

    def covering(
        self,
        names: Sequence[str],
        outputs: np.ndarray,
        classes: Sequence[str] | None,
        reach: Callable[[Any], np.ndarray],
        distances: Any,
    ) -> ClassSets:
        """Return the most probable class of each input, and a prediction set of classes."""
        named = tuple(self._named_classes(classes))
        return ClassSets(names, outputs, named, distance=float(reach(distances)))

    def slopes(self, targets: Any, outputs: np.ndarray) -> np.ndarray:
        """Return the gradient of the loss with respect to the logits."""
        return super().slopes(self.convex.prepared(targets, self.num_classes), outputs)


@dataclass(frozen=True, kw_only=True, repr=False)
class MultiLabel(FoundThreshold, _Labels, MultiLabels):
    """Any number of labels per example: each class has its own sigmoid score.

    The other arguments and errors are those of `Classification`.

    Args:
        threshold: The lowest score of an assigned label, above 0 and below 1. Defaults to None: each fit
            finds it on its validation data, see `MultiLabelEvaluation.safe_threshold`; until then 0.5.
        found_threshold: The threshold that a fit found, which sets it. Defaults to None.
    """

    name: ClassVar[str] = "multi_label"
    activation: ClassVar[str] = "sigmoid"
    convex: ClassVar[Loss] = Sigmoid()
    set_by_recipe: ClassVar[tuple[str, ...]] = (*Task.set_by_recipe, "found_threshold")
    usual_threshold: ClassVar[float] = USUAL

    threshold: float | None = None
    found_threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("threshold", "found_threshold"):
            value = getattr(self, name)
            if value is None:
                continue
            if not is_number(value) or not 0 < value < 1:
                raise InputError(
                    f"`{name}={shown(value)}`: pass a score above 0 and below 1, such as 0.5."
                )
            object.__setattr__(self, name, float(value))

    def loss(self) -> keras.losses.Loss:
        """Return the binary cross-entropy with label smoothing."""
        return keras.losses.BinaryCrossentropy(label_smoothing=self.label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the accuracy over all decisions on single labels."""
        passed = USUAL if self.threshold is None else self.threshold
        return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=passed)]

    @property
    def label_threshold(self) -> float:
        """The lowest score of an assigned label."""
        return self.known_threshold

    def calibrates(self, model: keras.Model) -> bool:
        """Return whether a temperature can scale the last layer; it would move a threshold that was passed."""
        return super().calibrates(model) and self.threshold in (None, USUAL)

    def before_activation(self, scores: np.ndarray) -> np.ndarray:
        """Return the log-odds."""
        odds = np.clip(scores.astype("float64"), SMALLEST, 1 - 1e-7)  # 1 in float32 is infinite
        return np.log(odds / (1 - odds))

    def answer_label(self, classes: Any, scores: Any, ops: Ops) -> Any:
        """Return the classes whose score reaches the threshold, joined by `|`."""
        return ops.join(classes, scores >= self.label_threshold)

    def scorer(self, classes: Sequence[str] | None) -> MultiLabelScorer:
        """Return a scorer of label probabilities against rows of 0 and 1."""
        return MultiLabelScorer(classes, self.name, self.label_threshold)

    def predictions(
        self, names: Sequence[str], outputs: np.ndarray, classes: Sequence[str] | None
    ) -> LabelPredictions:
        """Return the labels of each input whose probability is at least the threshold."""
        named = tuple(self._named_classes(classes))
        return LabelPredictions(names, outputs, named, threshold=self.label_threshold)
