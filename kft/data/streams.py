"""Streams of data, `tf.data.Dataset` and `keras.utils.PyDataset`, which are passed to `fit` directly."""

import sys
from dataclasses import dataclass
from typing import Any

from kft.data.plain_errors import plain_errors
from kft.data.stream_structure import check_single
from kft.data.targets import TargetKind
from kft.errors import InputError

__all__ = [
    "Stream",
    "check_not_empty",
    "is_stream",
    "is_tf_dataset",
    "read_stream",
    "with_known_length",
]

EMPTY = "the tf.data.Dataset is empty, but at least one example is expected"


@dataclass(frozen=True)
class Stream:
    """Batches of `(inputs, targets)` or `(inputs, targets, weights)`, in their own order.

    Args:
        dataset: The batched `tf.data.Dataset` or `keras.utils.PyDataset`, which is passed to `fit`.
        classes: The class names if they are known, or a dict of them.
        batches: Batches per epoch, or None if unknown or infinite.
        is_infinite: Whether it never ends, so that `fit` needs `steps`.
        source: The name of the data in messages.
        steps: Batches to use per epoch, None for all of them.
    """

    dataset: Any
    classes: Any
    batches: int | None
    is_infinite: bool
    source: str
    steps: int | None = None


def is_stream(source: Any) -> bool:
    """Return whether `source` is a `tf.data.Dataset` or `keras.utils.PyDataset`, importing neither."""
    return is_tf_dataset(source) or _is_py_dataset(source)


def read_stream(
    source: Any, *, task: TargetKind, classes: Any = None, batch_size: int = 32
) -> Stream:
    """Wrap a stream, batching a `tf.data.Dataset` of single examples.

    Args:
        source: A `tf.data.Dataset` or a `keras.utils.PyDataset` of `(inputs, targets)`.
        task: The kind of the targets.
        classes: The class names.
        batch_size: Examples per batch of a dataset that is not batched yet.

    Returns:
        The `Stream`.

    Raises:
        InputError: The elements are not pairs of inputs and targets, or the stream is empty.
    """
    if _is_py_dataset(source):
        try:
            batches = source.num_batches
        except Exception as error:  # of the user's `__len__`, or of Keras if there is none
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"the PyDataset does not say how many batches it has ({reason}): define `__len__`, or "
                "`num_batches` as None for one that never ends"
            ) from error
        if batches == 0:
            raise InputError("the PyDataset has length 0, but at least one batch is expected")
        return Stream(source, classes, batches, batches is None, "PyDataset")
    spec = source.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise InputError(
            f"the tf.data.Dataset yields {spec}, but (inputs, targets) are expected: map its "
            "elements to that"
        )
    for kind, part in task.streamed(spec[1], "the tf.data.Dataset"):
        check_single(kind, part, "the tf.data.Dataset")
    if not _is_batched(spec, task):
        source = source.batch(batch_size)
    size = int(source.cardinality())
    if size == 0:
        raise InputError(EMPTY)
    return Stream(source, classes, size if size > 0 else None, size == -1, "tf.data.Dataset")


def check_not_empty(stream: Stream) -> None:
    """Check that a `tf.data.Dataset` of unknown length has a batch, since Keras accepts an empty one.

    Raises:
        InputError: It has none, or cannot be read.
    """
    may_be = stream.batches is None and not stream.is_infinite and is_tf_dataset(stream.dataset)
    with plain_errors():
        is_empty = may_be and next(iter(stream.dataset.take(1)), None) is None
    if is_empty:
        raise InputError(EMPTY)


def with_known_length(dataset: Any) -> Any:
    """Return a `tf.data.Dataset` with known length, counting its elements in one pass if necessary.

    On TensorFlow, Keras 3.15 notices the end of a dataset of unknown length only inside a training
    step, whose operations that need no data still run: the optimizer counts one step too many per
    epoch, which shifts its schedules, weight decay and bias correction.

    Args:
        dataset: The data; returned unchanged if the length is known, or if not a `tf.data.Dataset`.

    Raises:
        InputError: It has no batch, or cannot be read.
    """
    if not is_tf_dataset(dataset) or int(dataset.cardinality()) != -2:
        return dataset
    import tensorflow as tf

    with plain_errors():
        count = dataset.reduce(tf.constant(0, tf.int64), lambda count, *_: count + 1)
    if int(count) == 0:
        raise InputError(EMPTY)
    return dataset.apply(tf.data.experimental.assert_cardinality(count))


def _is_batched(spec: tuple[Any, ...], task: TargetKind) -> bool:
    """Return whether the elements are batches, whose inputs and targets share their first axis."""
    import tensorflow as tf

    leaves = tf.nest.flatten(spec)
    if any(leaf.shape.rank == 0 for leaf in leaves):
        return False
    answer = task.is_batch(spec[1])
    if answer is not None:
        return answer
    firsts = {leaf.shape[0] for leaf in leaves if leaf.shape.rank}
    if len(firsts) == 1 and firsts != {None}:
        raise InputError(
            f"the tf.data.Dataset yields {spec}, which may be batches of {firsts.pop()} or single "
            "examples: batch it without drop_remainder=True"
        )
    return firsts == {None}


def is_tf_dataset(source: Any) -> bool:
    """Return whether `source` is a `tf.data.Dataset`, without importing TensorFlow."""
    if "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    return isinstance(source, tf.data.Dataset)


def _is_py_dataset(source: Any) -> bool:
    if "keras" not in sys.modules:
        return False
    import keras

    return isinstance(source, keras.utils.PyDataset)
