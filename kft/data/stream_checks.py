"""Checks of a stream's batches while they are read: labels in range, pixels from 0 to 255.

A loss or a metric cannot raise inside a compiled step, and on JAX and GPUs a label out of range only
makes the loss NaN. Therefore the data are checked: a `tf.data.Dataset` by a mapping in its own graph,
a `PyDataset` by a wrapper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kft.data.batches import Batches
from kft.data.pixels import check_range, out_of_range, range_rules
from kft.data.stream_structure import check_names, check_single
from kft.data.streams import is_tf_dataset
from kft.data.target_bounds import Bounds
from kft.data.targets import TargetKind
from kft.errors import InputError

__all__ = ["StreamCheck", "checked"]

_DATASET = "the tf.data.Dataset"
_NO_STRINGS = (
    "the {} yields labels that are strings, but class numbers are expected: map them first"
)


@dataclass(frozen=True)
class StreamCheck:
    """The requirements on the batches of a stream.

    Args:
        task: The kind of the targets, which knows the number of classes.
        images: Whether numeric inputs are images or clips, with values from 0 to 255.
        shape: The shape of an image or a clip in a `PyDataset`, which is not resized; None for any.
        inputs: Names of the model's inputs, which a dict of inputs must have; empty for any.
    """

    task: TargetKind
    images: bool = False
    shape: tuple[int, ...] | None = None
    inputs: tuple[str, ...] = ()

    def check(self, batch: Any, index: int) -> None:
        """Check a batch of `(inputs, targets, ...)` of any backend.

        Raises:
            InputError: It is not such a batch, its parts differ in length, or targets, the shape of
                images or pixels are not as expected.
        """
        where = f"batch {index} of the PyDataset"
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            is_tuple = isinstance(batch, tuple | list)
            found = f"{len(batch)} part(s)" if is_tuple else f"the type {type(batch).__name__}"
            raise InputError(
                f"{where} has {found}, but (inputs, targets) or (inputs, targets, sample_weights) is "
                "expected"
            )
        check_names(batch[0], self.inputs, "the PyDataset")
        _check_lengths(batch, where)
        self.check_targets(batch[1], where)
        if self.shape is not None and hasattr(batch[0], "shape"):
            self._check_shape(tuple(batch[0].shape), self.shape, where)
        x = _as_array(batch[0]) if self.images and index == 0 else None
        if x is not None and x.ndim in (4, 5) and x.dtype.kind in "biuf":
            check_range([x], "the PyDataset")

    @staticmethod
    def _check_shape(found: tuple[int, ...], taken: tuple[int, ...], where: str) -> None:
        if found[1:] != taken:
            what = "images" if len(taken) == 3 else "clips"
            raise InputError(
                f"{what} of shape {found} in {where}, but the model takes "
                f"[n, {', '.join(map(str, taken))}]: make them so, for example by recipe.load({what})"
            )

    def check_targets(self, targets: Any, where: str) -> None:
        """Check the targets of a batch.

        Args:
            targets: The targets.
            where: Their name in messages.

        Raises:
            InputError: A target is out of range.
        """
        for kind, part in self.task.streamed(targets, where):
            check_single(kind, part, where)
            y = _as_array(part)
            bounds = kind.bounds(y.shape, where) if y is not None and y.ndim else None
            if y is None or bounds is None:
                continue
            if y.dtype.kind in "OUS":
                raise InputError(_NO_STRINGS.format("PyDataset"))
            outside = y[~((y >= bounds.low) & (y <= bounds.high))]
            if outside.size:
                raise InputError(f"{bounds.noun} {outside[0]} in {where}, but {bounds.expected}")

    def check_in_graph(self, index: Any, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a batch of a `tf.data.Dataset` with assertions added in its graph."""
        import tensorflow as tf

        inputs, targets, *rest = batch
        assertions = _lengths_in_graph(batch, index)
        for kind, part in self.task.streamed(targets, _DATASET):
            if not isinstance(part, tf.Tensor) or not _is_numeric(part):
                continue
            # An unknown shape is checked as class numbers: rows from 0 to 1 lie in their range too.
            bounds = kind.bounds(_shape(part) or (None,), _DATASET)
            if bounds is not None:
                assertions.append(_within(part, bounds, index))
        if self.images and isinstance(inputs, tf.Tensor) and inputs.shape.rank in (3, 4, 5):
            assertions += _pixels_in_graph(inputs, index)
        with tf.control_dependencies(assertions):
            return (tf.nest.map_structure(tf.identity, inputs), targets, *rest)

    def check_spec(self, inputs: Any, targets: Any) -> None:
        """Check the element spec of a `tf.data.Dataset`.

        Args:
            inputs: The `tf.TensorSpec` of the inputs, or a dict of them.
            targets: The same for the targets.

        Raises:
            InputError: The inputs have other names than the model's; targets are strings, or have
                another shape than the task needs.
        """
        check_names(inputs, self.inputs, _DATASET)
        for kind, part in self.task.streamed(targets, _DATASET):
            check_single(kind, part, _DATASET)
            bounds = kind.bounds(_shape(part) or (None,), _DATASET)
            if bounds is not None and getattr(part, "dtype", None) == "string":
                raise InputError(_NO_STRINGS.format("tf.data.Dataset"))


class _CheckedDataset(keras.utils.PyDataset):
    """A wrapper of a `PyDataset` that checks its batches and forwards everything else."""

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
    """Return a `tf.data.Dataset` or `PyDataset` that checks its batches as they are read.

    Args:
        dataset: The stream.
        check: The requirements on its batches.

    Raises:
        InputError: Its labels are strings, or kft's own `Batches` have labels out of range.
    """
    if isinstance(dataset, Batches):
        check.check_targets(dataset.examples.targets, "the batches")
        return dataset
    if not is_tf_dataset(dataset):
        return _CheckedDataset(dataset, check)
    check.check_spec(*dataset.element_spec[:2])
    return dataset.enumerate().map(lambda index, batch: check.check_in_graph(index, batch))


def _check_lengths(batch: Any, where: str) -> None:
    """Check that the parts of a batch are arrays or tensors with one row per example."""
    names = ("inputs", "targets", "sample_weights")
    lengths: dict[int, str] = {}
    for name, part in zip(names, batch, strict=False):
        for leaf in keras.tree.flatten(part):
            shape = getattr(leaf, "shape", None)
            if shape is None or not len(shape):
                raise InputError(
                    f"{name} of {where} hold {type(leaf).__name__}, but arrays or tensors with one row "
                    "per example are expected: convert them, for example by np.stack"
                )
            lengths.setdefault(int(shape[0]), name)
    if len(lengths) > 1:
        (one, first), (other, second) = list(lengths.items())[:2]
        raise InputError(
            f"{where} has {one} {first} and {other} {second}: yield one of each per example"
        )
    if 0 in lengths:
        raise InputError(f"{where} has no examples: leave it out of the dataset's length")


def _lengths_in_graph(batch: Any, index: Any) -> list[Any]:
    """Return an assertion that the parts of a batch have one row per example."""
    import tensorflow as tf

    leaves = [leaf for leaf in tf.nest.flatten(batch) if isinstance(leaf, tf.Tensor)]
    counts = tf.stack([tf.shape(leaf)[0] for leaf in leaves if leaf.shape.rank != 0])
    template = (
        f"InputError: batch {{}} of {_DATASET} has tensors of {{}} rows: yield one of each per "
        "example"
    )
    message = tf.strings.format(template, (index, counts))
    return [tf.debugging.Assert(tf.reduce_all(counts == counts[0]), [message])]


def _within(targets: Any, bounds: Bounds, index: Any) -> Any:
    """Return an assertion that targets lie within bounds."""
    import tensorflow as tf

    values = tf.reshape(targets, [-1])
    as_double = tf.cast(values, tf.float64)
    inside = (as_double >= bounds.low) & (as_double <= bounds.high)
    wrong = tf.concat([tf.boolean_mask(values, ~inside), tf.zeros([1], values.dtype)], 0)
    template = f"InputError: {bounds.noun} {{}} in batch {{}} of {_DATASET}, but {bounds.expected}"
    message = tf.strings.format(template, (wrong[0], index))
    return tf.debugging.Assert(tf.reduce_all(inside), [message])


def _shape(tensor: Any) -> tuple[int | None, ...]:
    """Return the shape of a tensor or a spec; () if it is unknown."""
    shape = getattr(tensor, "shape", None)
    return () if shape is None or shape.rank is None else tuple(shape)


def _pixels_in_graph(images: Any, index: Any) -> list[Any]:
    """Return assertions on the range of pixels in the first batch."""
    import tensorflow as tf

    if images.dtype == tf.uint8 or not _is_numeric(images):
        return []
    values = tf.cast(images, tf.float32)
    low, high = tf.reduce_min(values), tf.reduce_max(values)
    kind = "f" if images.dtype.is_floating else "b" if images.dtype.is_bool else "i"
    assertions = []
    for test, way_out in range_rules(kind):
        template = out_of_range("{}", "{}", "the tf.data.Dataset", way_out)
        message = tf.strings.format(f"InputError: {template}", (low, high))
        assertions.append(tf.debugging.Assert((index > 0) | ~test(low, high), [message]))
    return assertions


def _is_numeric(tensor: Any) -> bool:
    return tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool


def _as_array(values: Any) -> np.ndarray | None:
    """Return a tensor or an array as an array; None for structures of them."""
    if isinstance(values, dict | tuple) or values is None:
        return None
    if keras.ops.is_tensor(values):
        return keras.ops.convert_to_numpy(values)
    return np.asarray(values)
