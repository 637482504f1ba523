"""Extraction of a GIF's first frame before decoding, in graph ops.

TensorFlow decodes every frame and then drops all but the first: 1.5 MB of frames take 1.7 GB and half
a minute. Layout: GIF89a, sections 17 to 27.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["first_frame"]

_MOST_BLOCKS = 65_536  # of up to 255 bytes each, before the end of the first frame
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, b"\x3b"
_PADDING = 16  # zero bytes after the data, so that reads at its end stay in bounds


def first_frame(encoded: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]:
    """Cut a GIF after its first frame.

    Args:
        encoded: Scalar string tensor, a GIF.

    Returns:
        The GIF with only that frame, or an empty string if it is incomplete; and the larger of the
        screen's and the frame's widths, and of their heights, both int64.
    """
    import tensorflow as tf

    data = tf.concat([tf.io.decode_raw(encoded, tf.uint8), tf.zeros([_PADDING], tf.uint8)], 0)
    size = tf.size(data, out_type=tf.int64) - _PADDING

    def byte(position: Any) -> Any:
        return tf.cast(data[tf.minimum(position, size)], tf.int64)

    def number(position: Any) -> Any:
        return byte(position) + 256 * byte(position + 1)

    def table(flags: Any) -> Any:
        """Return the bytes of a colour table: bit 7 says whether there is one, bits 0 to 2 its size."""
        entries = tf.bitwise.left_shift(tf.constant(2, tf.int64), tf.bitwise.bitwise_and(flags, 7))
        return tf.where(flags >= 128, 3 * entries, tf.zeros_like(entries))

    def step(position: Any, frame: Any, inside: Any) -> tuple[Any, Any, Any]:
        """Advance by one block: `frame` is where the frame begins, `inside` whether data follow."""
        length = byte(position)
        starts_image = ~inside & (length == _IMAGE)
        starts_extension = ~inside & (length == _EXTENSION)
        descriptor = 10 + table(byte(position + 9)) + 1  # with colours and the size of codes
        following = tf.where(
            inside,
            position + 1 + length,
            tf.where(starts_image, position + descriptor, position + 2),
        )
        # Anything but a frame or an extension is the trailer or invalid, and ends the loop.
        following = tf.where(inside | starts_image | starts_extension, following, size + 1)
        frame = tf.where(starts_image, position, frame)
        return following, frame, tf.where(inside, length > 0, starts_image | starts_extension)

    start = 13 + table(byte(tf.constant(10, tf.int64)))
    end, frame, inside = tf.while_loop(
        lambda position, frame, inside: (position < size) & (inside | (frame == 0)),
        step,
        (start, tf.constant(0, tf.int64), tf.constant(False)),
        maximum_iterations=_MOST_BLOCKS,
    )
    is_whole = (frame > 0) & ~inside & (end <= size)
    cut = tf.strings.substr(encoded, 0, tf.cast(tf.where(is_whole, end, 0), tf.int32))
    width = tf.maximum(number(tf.constant(6, tf.int64)), number(frame + 5))
    height = tf.maximum(number(tf.constant(8, tf.int64)), number(frame + 7))
    return tf.where(is_whole, cut + _TRAILER, ""), width, height
