"""A function over rows of which some raise, in graph ops that training and servers share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["map_rows"]

_AT_ONCE = 4  # bounds the memory that large images need together


def map_rows(
    function: Callable[["tf.Tensor"], Any], rows: "tf.Tensor", blank: Any
) -> tuple["tf.Tensor", Any]:
    """Call a function for each row, and leave out the rows for which it raises.

    TensorFlow's graphs have no way to catch an error, but its data sets do. All ops are
    TensorFlow's own.

    Args:
        function: A row to a tensor, or a structure of tensors of the same shapes for every row.
        rows: String tensor `[n]`; n may be 0.
        blank: A value of the kind that `function` returns.

    Returns:
        The indices of the rows that are left, int64 `[m]`, and what the function returned for
        them, with a first axis of m.
    """
    import tensorflow as tf

    count = tf.size(rows, out_type=tf.int64)
    options = tf.data.Options()
    # Rewriting the data set costs more than its few rows can win back.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    found = (
        tf.data.Dataset.from_tensor_slices((tf.range(count), rows))
        .map(lambda index, row: (index, function(row)), num_parallel_calls=_AT_ONCE)
        .ignore_errors()
        # A last row that is taken off again, as a data set without any has no batch.
        .concatenate(tf.data.Dataset.from_tensors((count, blank)))
        .batch(count + 1)
        .with_options(options)
        .get_single_element()
    )
    return tf.nest.map_structure(lambda values: values[:-1], found)
