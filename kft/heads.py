"""New heads: what a recipe puts on top of a pretrained backbone, with their losses and metrics."""

from dataclasses import dataclass

import keras
from keras import ops

from kft.arguments import LARGEST_SEED, is_number, is_whole, shown
from kft.errors import InputError

TASKS = ("single_label", "multi_label", "regression")
POOLINGS = ("avg", "max", "flatten", "cls", "mean", None)
MOST_CLASSES, WIDEST = 1_000_000, 65_536  # more than any machine has memory for, or a slip


@dataclass(frozen=True, kw_only=True)
class Head:
    """A head for one task: pooling, hidden layers, dropout, and a last layer called `scores`.

    Calling it on the features of a backbone adds its layers to the same functional graph, so a
    model made with it stays flat. The scores are probabilities (softmax for one label, sigmoid for
    several) or, for regression, numbers in the unit of the targets. They are float32 under mixed
    precision too.

    Args:
        num_classes: Number of classes, at least 2. For `"regression"` the number of values
            predicted, at least 1.
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        pooling: `"avg"`, `"max"` or `"flatten"` for feature maps `(batch, height, width,
            channels)`; `"cls"` (the first position) or `"mean"` (over the unmasked positions) for
            sequences `(batch, length, channels)`; None for features that are vectors already.
        hidden: Widths of hidden ReLU layers between pooling and output.
        dropout: Fraction of the values dropped before every Dense layer, from 0 to below 1.
        label_smoothing: Fraction of the target spread over all classes, from 0 to below 1. Not for
            regression.
        seed: Seed of the new layers' initial weights and of the dropout.

    Raises:
        InputError: If an argument is out of its range.

    Example:

    ```python
    backbone = keras.applications.VGG16(include_top=False, weights=None)
    head = Head(num_classes=5, pooling="avg", dropout=0.2)
    model = keras.Model(backbone.input, head(backbone.output))
    model.compile("adam", loss=head.loss(), metrics=head.metrics())
    ```
    """

    num_classes: int
    task: str = "single_label"
    pooling: str | None = "avg"
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    label_smoothing: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if self.task not in TASKS:
            known = ", ".join(map(repr, TASKS))
            raise InputError(f"`task={self.task!r}` is unknown: pass one of {known}.")
        least = 1 if self.task == "regression" else 2
        if not is_whole(self.num_classes, least, MOST_CLASSES):
            what = "values to predict" if self.task == "regression" else "classes (2 for yes or no)"
            raise InputError(
                f"`num_classes={shown(self.num_classes)}`, but `task={self.task!r}` needs a whole "
                f"number of {what}, at least {least} and at most {MOST_CLASSES:,}."
            )
        if self.pooling not in POOLINGS:
            raise InputError(
                f"`pooling={self.pooling!r}` is unknown: pass 'avg', 'max' or 'flatten' for images, "
                "'cls' or 'mean' for text, None for features that are vectors."
            )
        widths = self.hidden if isinstance(self.hidden, (tuple, list)) else ("no sequence",)
        if not all(is_whole(width, 1, WIDEST) for width in widths):
            raise InputError(
                f"`hidden={shown(self.hidden)}` is not a list of layer widths from 1 to {WIDEST:,}: "
                "pass for example hidden=(128,)."
            )
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for name in ("dropout", "label_smoothing"):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value < 1:
                raise InputError(f"`{name}={shown(value)}` is not a fraction: pass 0 to below 1.")
        if self.label_smoothing and self.task == "regression":
            raise InputError(
                f"`label_smoothing={self.label_smoothing}`, but `task='regression'` has no labels: "
                "leave it out."
            )

    def __call__(self, features, mask=None):
        """Add the head to a graph.

        Args:
            features: A Keras tensor with the backbone's features.
            mask: For `"mean"` pooling, a Keras tensor `(batch, length)` that is not 0 where there
                is something.

        Returns:
            The scores, a float32 Keras tensor `(batch, num_classes)`.
        """
        x = self._pool(features, mask)
        for index, width in enumerate(self.hidden, start=1):
            x = self._drop(x, f"head_dropout_{index}", index)
            x = keras.layers.Dense(
                width,
                activation="relu",
                kernel_initializer=keras.initializers.HeNormal(seed=self._seed(index)),
                name=f"head_hidden_{index}",
            )(x)
        x = self._drop(x, "head_dropout", 0)
        x = keras.layers.Dense(
            self.num_classes,
            kernel_initializer=keras.initializers.GlorotUniform(seed=self.seed),
            dtype="float32",
            name="predictions",
        )(x)
        if self.task == "regression":
            return keras.layers.Rescaling(1.0, dtype="float32", name="scores")(x)
        activation = "softmax" if self.task == "single_label" else "sigmoid"
        return keras.layers.Activation(activation, dtype="float32", name="scores")(x)

    def loss(self) -> keras.losses.Loss:
        """The loss of the task: cross-entropy with label smoothing, or the mean squared error."""
        if self.task == "single_label":
            return LabelCrossEntropy(label_smoothing=self.label_smoothing)
        if self.task == "multi_label":
            return keras.losses.BinaryCrossentropy(label_smoothing=self.label_smoothing)
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        """New metrics of the task: `accuracy` for labels, `rmse` and `mae` for numbers."""
        if self.task == "single_label":
            return [keras.metrics.MeanMetricWrapper(_label_matches, name="accuracy")]
        if self.task == "multi_label":
            return [keras.metrics.BinaryAccuracy(name="accuracy")]
        return [
            keras.metrics.RootMeanSquaredError(name="rmse"),
            keras.metrics.MeanAbsoluteError(name="mae"),
        ]

    def _pool(self, x, mask):
        rank = len(x.shape)
        wanted = {"avg": 4, "max": 4, "flatten": 4, "cls": 3, "mean": 3, None: 2}[self.pooling]
        if rank != wanted:
            raise InputError(
                f"`pooling={self.pooling!r}` takes features with {wanted} axes, but these have the "
                f"shape {x.shape}."
            )
        if self.pooling == "avg":
            return keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
        if self.pooling == "max":
            return keras.layers.GlobalMaxPooling2D(name="head_pool")(x)
        if self.pooling == "flatten":
            return keras.layers.Flatten(name="head_pool")(x)
        if self.pooling == "mean":
            return keras.layers.GlobalAveragePooling1D(name="head_pool")(x, mask=mask)
        return x[:, 0, :] if self.pooling == "cls" else x

    def _drop(self, x, name, index):
        if not self.dropout:
            return x
        return keras.layers.Dropout(self.dropout, seed=self._seed(index), name=name)(x)

    def _seed(self, index):
        """The seed of one of several layers, within what generators hold."""
        return (self.seed + index) % (LARGEST_SEED + 1)


class LabelCrossEntropy(keras.losses.Loss):
    """Cross-entropy over probabilities whose targets are class numbers or rows of probabilities.

    Class numbers `(batch,)` and soft targets `(batch, classes)`, as MixUp and CutMix make them, are
    told apart by their shape, so training on soft targets can be validated on class numbers. Keras'
    own pair of losses takes one kind each, and its sparse one knows no label smoothing. The loss of a
    class number that does not exist is NaN, on every backend.

    Args:
        label_smoothing: Fraction of each target spread evenly over all classes, from 0 to below 1.
            Defaults to 0.
    """

    def __init__(self, *, label_smoothing: float = 0.0, name: str = "cross_entropy"):
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """The loss of each example, `(batch,)`."""
        if _is_soft(y_true, y_pred):
            return self._of_rows(y_true, y_pred)
        labels, classes = _class_numbers(y_true), y_pred.shape[-1]
        # Backends differ in what they make of a label out of range: an error that names no label, or
        # nothing at all. No loss can raise inside a compiled step, so it is not a number.
        exists = ops.logical_and(labels >= 0, labels < classes)
        labels = ops.where(exists, labels, 0)
        if self.label_smoothing:
            losses = self._of_rows(ops.one_hot(labels, classes, dtype=y_pred.dtype), y_pred)
        else:
            losses = ops.sparse_categorical_crossentropy(labels, y_pred)
        return ops.where(exists, losses, float("nan"))

    def _of_rows(self, rows, y_pred):
        rows = ops.cast(rows, y_pred.dtype)
        rows = rows * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[-1]
        return ops.categorical_crossentropy(rows, y_pred)

    def get_config(self) -> dict:
        """The arguments, for Keras' serialisation."""
        return {"name": self.name, "label_smoothing": self.label_smoothing}


def _label_matches(y_true, y_pred):
    labels = ops.argmax(y_true, axis=-1) if _is_soft(y_true, y_pred) else _class_numbers(y_true)
    return ops.cast(ops.equal(ops.cast(labels, "int32"), ops.argmax(y_pred, axis=-1)), "float32")


def _is_soft(y_true, y_pred):
    return len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == y_pred.shape[-1]


def _class_numbers(y_true):
    """Class numbers as int32 `(batch,)`: Keras hands a column `(batch, 1)` on as it got it."""
    labels = ops.cast(y_true, "int32")
    return ops.squeeze(labels, axis=-1) if len(labels.shape) > 1 else labels
