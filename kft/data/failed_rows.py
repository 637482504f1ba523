"""Mapping of a function over rows, some of which may raise, in graph ops that servers can run."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["map_rows"]

_AT_ONCE = 4  # bounds the memory that large images need together


def map_rows(
    function: Callable[["tf.Tensor"], Any], rows: "tf.Tensor", blank: Any
) -> tuple["tf.Tensor", Any]:
    """Call a function for each row, and drop the rows for which it raises.

    TensorFlow graphs cannot catch errors, but `tf.data` can ignore them. All ops are TensorFlow's own.

    Args:
        function: Maps a row to a tensor, or to a structure of tensors, with equal shapes for all rows.
        rows: String tensor `[n]`; n may be 0.
        blank: A placeholder of the type that `function` returns.

    Returns:
        The indices of the remaining rows, int64 `[m]`, and their results, with a first axis of m.
    """
    import tensorflow as tf

    count = tf.size(rows, out_type=tf.int64)
    options = tf.data.Options()
    # Optimizing the dataset costs more than it saves for a few rows.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    found = (
        tf.data.Dataset.from_tensor_slices((tf.range(count), rows))
        .map(lambda index, row: (index, function(row)), num_parallel_calls=_AT_ONCE)
        .ignore_errors()
        # A placeholder row, removed below: an empty dataset would have no batch.
        .concatenate(tf.data.Dataset.from_tensors((count, blank)))
        .batch(count + 1)
        .with_options(options)
        .get_single_element()
    )
    return tf.nest.map_structure(lambda values: values[:-1], found)
