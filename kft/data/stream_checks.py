"""Checks of a stream's batches as they flow: labels in their range, pixels from 0 to 255.

A loss or a metric cannot raise inside a compiled step, and on JAX and GPUs a label out of range only
makes the loss NaN. So the check is part of the data: on a `tf.data.Dataset` a mapping in its own graph,
on a `PyDataset` a wrapper.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kft.data.batches import Batches
from kft.data.pixels import check_range, out_of_range, range_rules
from kft.data.streams import is_tf_dataset
from kft.errors import InputError

__all__ = ["StreamCheck", "checked", "plain_errors"]

# TensorFlow hands on a message of ours inside its own, in brackets or before a traceback.
_OURS = re.compile(r"InputError: (.+?)(?:\]\n|\nTraceback|\Z)", re.DOTALL)

_NO_STRINGS = (
    "the {} yields labels that are strings, but class numbers are expected: map them first"
)


@dataclass(frozen=True)
class StreamCheck:
    """What the batches of a stream have to be.

    Args:
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        count: Number of classes, or of values for regression.
        images: Whether inputs that are numbers are images, 0 to 255.
    """

    task: str
    count: int
    images: bool = False

    def check(self, batch: Any, index: int) -> None:
        """Check a batch of `(inputs, targets, ...)` of any backend.

        Raises:
            InputError: A target or a pixel is out of range.
        """
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            return
        y = _as_array(batch[1])
        if y is not None and y.ndim:
            if y.dtype.kind in "OUS":
                raise InputError(_NO_STRINGS.format("PyDataset"))
            self.check_targets(y, f"batch {index} of the PyDataset")
        x = _as_array(batch[0]) if self.images and index == 0 else None
        if x is not None and x.ndim == 4 and x.dtype.kind in "biuf":
            check_range([x], "the PyDataset")

    def check_targets(self, y: np.ndarray, where: str) -> None:
        """Check targets that are numbers.

        Args:
            y: The targets.
            where: What to call them in a message.

        Raises:
            InputError: One is out of range.
        """
        self.check_width(y.shape, where)
        low, high, name, expected = self._expectation(y.ndim, y.shape[-1])
        outside = y[~((y >= low) & (y <= high))]
        if outside.size:
            raise InputError(f"{name} {outside[0]} in {where}, but {expected}")

    def check_in_graph(self, index: Any, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a batch of a `tf.data.Dataset` behind assertions, in its graph."""
        import tensorflow as tf

        inputs, targets, *rest = batch
        assertions = []
        if isinstance(targets, tf.Tensor) and _is_numeric(targets):
            # Of an unknown shape: rows from 0 to 1 lie within the numbers of the classes as well.
            rank = targets.shape.rank or 1
            last = targets.shape[-1] if targets.shape.rank else None
            low, high, name, expected = self._expectation(rank, last)
            values = tf.reshape(targets, [-1])
            inside = (tf.cast(values, tf.float64) >= low) & (tf.cast(values, tf.float64) <= high)
            wrong = tf.concat([tf.boolean_mask(values, ~inside), tf.zeros([1], values.dtype)], 0)
            said = f"InputError: {name} {{}} in batch {{}} of the tf.data.Dataset, but {expected}"
            message = tf.strings.format(said, (wrong[0], index))
            assertions.append(tf.debugging.Assert(tf.reduce_all(inside), [message]))
        if self.images and isinstance(inputs, tf.Tensor) and inputs.shape.rank == 4:
            assertions += _pixels_in_graph(inputs, index)
        with tf.control_dependencies(assertions):
            return (tf.nest.map_structure(tf.identity, inputs), targets, *rest)

    def check_width(self, shape: Any, where: str) -> None:
        """Check the last axis of targets `[n, k]`.

        Args:
            shape: Their shape; None for an axis that is not known.
            where: What to call them in a message.

        Raises:
            InputError: It is not the number of classes.
        """
        widths = {"single_label": (None, 1, self.count), "multi_label": (None, self.count)}
        if len(shape) == 2 and shape[1] not in widths.get(self.task, (shape[1],)):
            raise InputError(
                f"targets of shape {tuple(shape)} in {where}, but the recipe has {self.count} classes: "
                f"pass class numbers [n] or rows [n, {self.count}]"
            )

    def _expectation(self, rank: int, last: int | None) -> tuple[float, float, str, str]:
        """The least and the largest target, what to call one, and what to say of another."""
        if self.task == "regression":
            largest = float(np.finfo(np.float32).max)
            said = "finite numbers of float32 are expected: leave such examples out"
            return -largest, largest, "target", said
        if self.task == "multi_label" or (rank > 1 and last != 1):
            return 0, 1, "target", "rows of targets lie from 0 to 1: encode the labels so"
        said = (
            f"labels must lie in 0 to {self.count - 1}, one for each of the {self.count} classes: "
            "renumber the labels, leave out examples without a class, or build the recipe with more "
            "classes"
        )
        return 0, self.count - 1, "label", said


class _CheckedDataset(keras.utils.PyDataset):
    """A person's dataset whose batches are checked; in all else it is that dataset."""

    _OWN = ("dataset", "_stream_check", "_workers", "_use_multiprocessing", "_max_queue_size")

    def __init__(self, dataset: keras.utils.PyDataset, check: StreamCheck) -> None:
        self.dataset, self._stream_check = dataset, check
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )

    def __getattr__(self, name: str) -> Any:
        if name in self._OWN:  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        target = self if name in self._OWN else self.dataset
        object.__setattr__(target, name, value)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def num_batches(self) -> int | None:
        return self.dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        batch = self.dataset[index]
        self._stream_check.check(batch, index)
        return batch

    def on_epoch_begin(self) -> None:
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.dataset.on_epoch_end()


def checked(dataset: Any, check: StreamCheck) -> Any:
    """Return a `tf.data.Dataset` or `PyDataset` that checks its batches as they are asked for.

    Args:
        dataset: The stream.
        check: What its batches have to be.

    Raises:
        InputError: Its labels are strings, or kft's own `Batches` have labels out of range.
    """
    if isinstance(dataset, Batches):
        check.check_targets(dataset.examples.targets, "the batches")
        return dataset
    if not is_tf_dataset(dataset):
        return _CheckedDataset(dataset, check)
    import tensorflow as tf

    targets = dataset.element_spec[1]
    if getattr(targets, "dtype", None) == tf.string:
        raise InputError(_NO_STRINGS.format("tf.data.Dataset"))
    if isinstance(targets, tf.TensorSpec) and targets.shape.rank:
        check.check_width(targets.shape, "the tf.data.Dataset")
    return dataset.enumerate().map(lambda index, batch: check.check_in_graph(index, batch))


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raise what a check said inside TensorFlow's graph as the `InputError` that it is."""
    try:
        yield
    except Exception as error:
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
            raise
        ours = _OURS.search(error.message)
        if ours is None:
            raise
        raise InputError(ours[1]) from error


def _pixels_in_graph(images: Any, index: Any) -> list[Any]:
    """Assertions about the pixels of the first batch."""
    import tensorflow as tf

    if images.dtype == tf.uint8 or not _is_numeric(images):
        return []
    values = tf.cast(images, tf.float32)
    low, high = tf.reduce_min(values), tf.reduce_max(values)
    kind = "f" if images.dtype.is_floating else "b" if images.dtype.is_bool else "i"
    assertions = []
    for test, way_out in range_rules(kind):
        said = out_of_range("{}", "{}", "the tf.data.Dataset", way_out)
        message = tf.strings.format(f"InputError: {said}", (low, high))
        assertions.append(tf.debugging.Assert((index > 0) | ~test(low, high), [message]))
    return assertions


def _is_numeric(tensor: Any) -> bool:
    return tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool


def _as_array(values: Any) -> np.ndarray | None:
    """A tensor or an array as an array; None for structures of them."""
    if isinstance(values, dict | tuple) or values is None:
        return None
    if keras.ops.is_tensor(values):
        return keras.ops.convert_to_numpy(values)
    return np.asarray(values)
