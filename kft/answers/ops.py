"""The operations for a task's `answer`: one interface for NumPy and TensorFlow's graph ops.

Arithmetic, comparisons and slices are not included, since both kinds of tensors support Python's.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from kft.answers.detected import suppressed

LABEL_SEPARATOR = "|"  # between several labels of an answer, as in the data files
DTYPES = ("float32", "int32", "int64", "string")  # of a server's outputs

_SERVED = {
    **dict.fromkeys(("float16", "bfloat16", "float32", "float64"), "float32"),
    **dict.fromkeys(("bool", "int8", "int16", "int32", "uint8", "uint16"), "int32"),
    **dict.fromkeys(("int64", "uint32", "uint64"), "int64"),
}


class Ops(Protocol):
    """The operations that `kft.tasks.Task.answer` takes, so that one code serves both libraries."""

    def served(self, values: Any) -> Any:
        """Return values in a type of a server's outputs.

        Args:
            values: A tensor: floats become float32; booleans and integers of up to 31 bits int32,
                other integers int64; strings are unchanged.
        """

    def cast(self, values: Any, dtype: str) -> Any:
        """Cast numbers to a numeric type, given by its name."""

    def rank(self, values: Any) -> int:
        """Return the number of axes."""

    def shape(self, values: Any) -> Any:
        """Return the lengths of the axes, an integer vector."""

    def descending(self, values: Any) -> Any:
        """Return the indices that sort the last axis in descending order; the sort is stable.

        Args:
            values: Numbers `[..., k]`.

        Returns:
            int32 `[..., k]`.
        """

    def largest(self, values: Any) -> Any:
        """Return the index of the largest value along the last axis, the first in a tie.

        Args:
            values: Numbers `[..., k]`.

        Returns:
            int32 `[...]`.
        """

    def take(self, values: Any, places: Any) -> Any:
        """Return the values at indices along the last axis.

        Args:
            values: Any tensor `[..., k]`.
            places: Indices `[..., m]`, with the same leading axes.

        Returns:
            `[..., m]`.
        """

    def labels(self, names: Sequence[str], places: Any) -> Any:
        """Return the names at indices, strings of the shape of `places`."""

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        """Return `yes` where a condition holds and `no` elsewhere; both may be scalars."""

    def mean(self, values: Any, axes: tuple[int, ...]) -> Any:
        """Return the mean of numbers over axes, which are removed."""

    def png(self, values: Any) -> Any:
        """Encode each row as a grayscale PNG file.

        Args:
            values: Whole numbers from 0 to 255, `[n, height, width]`.

        Returns:
            Strings `[n]`. Libraries may encode the same pixels in different bytes, so list the output
            in `Rules(pictures=...)`.
        """

    def cut(self, texts: Any, starts: Any, lengths: Any) -> Any:
        """Return the substring of each text, in bytes.

        Args:
            texts: Strings `[n]`.
            starts: Offsets of the first bytes, at most the length of the text, int32 `[n]`.
            lengths: Numbers of bytes, int32 `[n]`.

        Returns:
            Strings `[n]`.
        """

    def suppressed(
        self, boxes: Any, scores: Any, most: int, overlap: float, least: float
    ) -> tuple[Any, Any, Any, Any]:
        """Return the boxes of each image without those that overlap a better one, the best first.

        Args and returned values are those of `kft.answers.detected.suppressed`.
        """

    def join(self, labels: Any, chosen: Any) -> Any:
        """Join the chosen labels of each row by `|`; an empty string for none.

        Args:
            labels: Strings `[n, k]`.
            chosen: Booleans `[n, k]`.

        Returns:
            Strings `[n]`.
        """


class NumpyOps:
    """`Ops` for NumPy arrays; strings are bytes in object arrays."""

    def served(self, values: Any) -> np.ndarray:
        """See `Ops`."""
        array = np.asarray(values)
        return array if array.dtype == object else array.astype(_served_as(array.dtype.name))

    def cast(self, values: Any, dtype: str) -> np.ndarray:
        """See `Ops`."""
        return np.asarray(values).astype(dtype)

    def rank(self, values: Any) -> int:
        """See `Ops`."""
        return np.ndim(values)

    def shape(self, values: Any) -> np.ndarray:
        """See `Ops`."""
        return np.array(np.shape(values), np.int32)

    def descending(self, values: Any) -> np.ndarray:
        """See `Ops`."""
        return np.argsort(-values, axis=-1, kind="stable").astype(np.int32)

    def largest(self, values: Any) -> np.ndarray:
        """See `Ops`."""
        return np.argmax(values, axis=-1).astype(np.int32)

    def take(self, values: Any, places: Any) -> np.ndarray:
        """See `Ops`."""
        return np.take_along_axis(values, places, axis=-1)

    def labels(self, names: Sequence[str], places: Any) -> np.ndarray:
        """See `Ops`."""
        return np.array([name.encode() for name in names], dtype=object)[places]

    def where(self, condition: Any, yes: Any, no: Any) -> np.ndarray:
        """See `Ops`."""
        return np.where(condition, _encoded(yes), _encoded(no))

    def mean(self, values: Any, axes: tuple[int, ...]) -> np.ndarray:
        """See `Ops`."""
        return np.mean(values, axis=axes)

    def png(self, values: Any) -> np.ndarray:
        """See `Ops`."""
        made = np.empty(len(values), dtype=object)
        for row, pixels in enumerate(np.asarray(values, np.uint8)):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            made[row] = file.getvalue()
        return made

    def cut(self, texts: Any, starts: Any, lengths: Any) -> np.ndarray:
        """See `Ops`."""
        found = np.empty(len(texts), dtype=object)
        for row, (text, start, length) in enumerate(zip(texts, starts, lengths, strict=True)):
            found[row] = text[start : start + length]
        return found

    def suppressed(
        self, boxes: Any, scores: Any, most: int, overlap: float, least: float
    ) -> tuple[Any, Any, Any, Any]:
        """See `Ops`."""
        return suppressed(boxes, scores, most, overlap, least)

    def join(self, labels: Any, chosen: Any) -> np.ndarray:
        """See `Ops`."""
        joined = np.empty(len(labels), dtype=object)
        for row, (names, wanted) in enumerate(zip(labels, chosen, strict=True)):
            joined[row] = LABEL_SEPARATOR.encode().join(names[wanted])
        return joined


class TensorFlowOps:
    """`Ops` for TensorFlow tensors, by ops that every server supports."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._tf = tf

    def served(self, values: Any) -> Any:
        """See `Ops`."""
        values = self._tf.convert_to_tensor(values)
        if values.dtype == self._tf.string:
            return values
        return self._tf.cast(values, _served_as(values.dtype.name))

    def cast(self, values: Any, dtype: str) -> Any:
        """See `Ops`."""
        return self._tf.cast(values, dtype)

    def rank(self, values: Any) -> int:
        """See `Ops`."""
        return len(values.shape)

    def shape(self, values: Any) -> Any:
        """See `Ops`."""
        return self._tf.shape(values)

    def descending(self, values: Any) -> Any:
        """See `Ops`."""
        return self._tf.argsort(values, axis=-1, direction="DESCENDING", stable=True)

    def largest(self, values: Any) -> Any:
        """See `Ops`."""
        return self._tf.argmax(values, axis=-1, output_type=self._tf.int32)

    def take(self, values: Any, places: Any) -> Any:
        """See `Ops`."""
        return self._tf.gather(values, places, batch_dims=self.rank(values) - 1)

    def labels(self, names: Sequence[str], places: Any) -> Any:
        """See `Ops`."""
        return self._tf.gather(self._tf.constant(list(names)), places)

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        """See `Ops`."""
        return self._tf.where(condition, yes, no)

    def mean(self, values: Any, axes: tuple[int, ...]) -> Any:
        """See `Ops`."""
        return self._tf.reduce_mean(values, axis=axes)

    def png(self, values: Any) -> Any:
        """See `Ops`."""
        return self._tf.map_fn(
            self._tf.io.encode_png,
            self._tf.cast(values, self._tf.uint8)[..., None],
            fn_output_signature=self._tf.string,
        )

    def cut(self, texts: Any, starts: Any, lengths: Any) -> Any:
        """See `Ops`."""
        return self._tf.strings.substr(texts, starts, lengths)

    def suppressed(
        self, boxes: Any, scores: Any, most: int, overlap: float, least: float
    ) -> tuple[Any, Any, Any, Any]:
        """See `Ops`."""
        found = self._tf.image.combined_non_max_suppression(
            boxes[:, :, None], scores, most, most, overlap, least, clip_boxes=True
        )
        return found[0], found[1], self._tf.cast(found[2], self._tf.int32), found[3]

    def join(self, labels: Any, chosen: Any) -> Any:
        """See `Ops`."""
        kept = self._tf.ragged.boolean_mask(labels, chosen)
        return self._tf.strings.reduce_join(kept, axis=1, separator=LABEL_SEPARATOR)


def _served_as(dtype: str) -> str:
    if dtype not in _SERVED:
        raise TypeError(f"a server cannot return a tensor of the type {dtype}")
    return _SERVED[dtype]


def _encoded(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
