"""Decoding of untrusted images in a server, with bounds and a status for each row."""

from typing import TYPE_CHECKING, Any

from kft.data import image_decoding, image_headers
from kft.data.failed_rows import map_rows

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["decode_rows"]


def decode_rows(
    encoded: "tf.Tensor", image_size: tuple[int, int], max_pixels: int
) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Decode and resize the valid images, in a `tf.function` or SavedModel.

    Args:
        encoded: String tensor `[n]`; n may be unknown or 0.
        image_size: (height, width).
        max_pixels: The largest image to decode, width times height.

    Returns:
        float32 `[m, height, width, 3]`, 0 to 255, of the m valid images, with the pixels of
        `kft.data.images.load`; and a string tensor `[n]` with the status of each image: empty, or
        why it was not decoded.
    """
    import tensorflow as tf

    nothing = tf.zeros([*image_size, 3], tf.float32)

    def decode(row: Any) -> tuple[Any, Any]:
        status, image = image_headers.judge(row, image_size, max_pixels)
        return status, tf.cond(
            tf.equal(status, ""),
            # As uint8, which takes a quarter of the memory until the image is resized.
            lambda: image_decoding.resize(image_decoding.decode_pixels(image), image_size),
            lambda: nothing,
        )

    index, (judged, pixels) = map_rows(decode, encoded, ("", nothing))
    unknown = tf.fill([tf.size(encoded)], image_headers.UNDECODABLE)
    status = tf.tensor_scatter_nd_update(unknown, index[:, None], judged)
    good = tf.equal(judged, "")
    kept = tf.cond(tf.reduce_all(good), lambda: pixels, lambda: tf.boolean_mask(pixels, good))
    return tf.ensure_shape(kept, [None, *image_size, 3]), tf.ensure_shape(status, [None])
