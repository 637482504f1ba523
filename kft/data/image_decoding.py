"""Decoding of images, in graph ops that training, `predict` and the SavedModel share."""

from typing import TYPE_CHECKING, Any

from kft.data.exif import orientation, turn

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["decode", "decode_batch", "decode_coarsely", "decode_pixels", "resize"]

_JPEG = b"\xff\xd8\xff"


def decode(encoded: "tf.Tensor") -> "tf.Tensor":
    """Decode one JPEG, PNG, GIF (first frame), BMP or still WebP, rotated by its EXIF orientation.

    Grayscale, palette, CMYK and 16-bit images become 8-bit RGB; transparency is dropped, as by
    Pillow's `convert("RGB")`. An animated WebP is refused: TensorFlow 2.21 writes out of bounds
    when it decodes one.

    Args:
        encoded: Scalar string tensor.

    Returns:
        float32 `[height, width, 3]`, 0 to 255.

    Raises:
        tf.errors.InvalidArgumentError: The bytes cannot be decoded as an image.
    """
    import tensorflow as tf

    return tf.cast(decode_pixels(encoded), tf.float32)


def decode_pixels(encoded: "tf.Tensor") -> "tf.Tensor":
    """Decode like `decode`, to uint8."""
    import tensorflow as tf

    image = tf.cond(
        tf.strings.substr(encoded, 0, 3) == _JPEG,
        # The accurate DCT yields exactly the pixels of Pillow.
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: _decode_other(encoded),
    )
    return turn(tf.ensure_shape(image, [None, None, 3]), orientation(encoded))


def resize(image: "tf.Tensor", image_size: tuple[int, int]) -> "tf.Tensor":
    """Resize `[h, w, 3]` or `[n, h, w, 3]` to (height, width): bilinear, antialiased, float32.

    An image of that size is only cast, with the same result as resizing it.
    """
    import tensorflow as tf

    if image.dtype != tf.uint8:  # as float32, bytes would take four times the memory
        image = tf.cast(image, tf.float32)
    resized = tf.cond(
        tf.reduce_all(tf.shape(image)[-3:-1] == tf.constant(image_size)),
        lambda: tf.cast(image, tf.float32),
        lambda: tf.image.resize(image, image_size, method="bilinear", antialias=True),
    )
    return tf.ensure_shape(resized, [*image.shape[:-3], *image_size, image.shape[-1]])


def decode_batch(encoded: "tf.Tensor", image_size: tuple[int, int]) -> "tf.Tensor":
    """Decode and resize any number of encoded images, in a `tf.function` or SavedModel.

    Args:
        encoded: String tensor `[n]`; n may be unknown or 0.
        image_size: (height, width).

    Returns:
        float32 `[n, height, width, 3]`, 0 to 255.
    """
    import tensorflow as tf

    return tf.map_fn(
        lambda one: resize(decode(one), image_size),
        encoded,
        fn_output_signature=tf.TensorSpec([*image_size, 3], tf.float32),
        parallel_iterations=16,
    )


def decode_coarsely(encoded: "tf.Tensor") -> "tf.Tensor":
    """Decode a JPEG at an eighth of its size, which reads all bytes but skips most arithmetic.

    Raises:
        tf.errors.InvalidArgumentError: The bytes cannot be decoded as a JPEG.
    """
    import tensorflow as tf

    jpeg = tf.where(tf.strings.substr(encoded, 0, 3) == _JPEG, encoded, "")  # else an error
    return tf.io.decode_jpeg(jpeg, channels=3, ratio=8)


def _bytes_at(head: Any, position: int, expected: bytes) -> Any:
    import tensorflow as tf

    return tf.reduce_all(
        head[position : position + len(expected)] == tf.constant(list(expected), tf.uint8)
    )


def _decode_other(encoded: Any) -> Any:
    """Decode a PNG, GIF, BMP or WebP, and refuse those that TensorFlow decodes wrongly."""
    import tensorflow as tf

    head = tf.concat(
        [tf.io.decode_raw(tf.strings.substr(encoded, 0, 64), tf.uint8), tf.zeros([64], tf.uint8)], 0
    )
    flags = tf.cast(head[20], tf.int32)
    is_webp = _bytes_at(head, 0, b"RIFF") & _bytes_at(head, 8, b"WEBP")
    is_animated_webp = (
        is_webp & _bytes_at(head, 12, b"VP8X") & (tf.bitwise.bitwise_and(flags, 2) > 0)
    )
    is_bmp = _bytes_at(head, 0, b"BM")
    is_palette_bmp = is_bmp & (head[28] == 8)
    # The decoder refuses an empty string, even if a graph optimizer removes assertions.
    encoded = tf.where(is_animated_webp | (is_palette_bmp & (head[30] != 0)), "", encoded)
    return tf.case(
        [
            (
                is_webp,
                lambda: tf.io.decode_image(encoded, channels=0, expand_animations=False)[..., :3],
            ),
            (is_palette_bmp, lambda: _decode_palette_bmp(encoded)),
        ],
        default=lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )


def _decode_palette_bmp(encoded: Any) -> Any:
    """Decode a BMP with a palette, whose indices TensorFlow treats as gray values."""
    import tensorflow as tf

    indices = tf.io.decode_image(encoded, channels=0, expand_animations=False)[..., 0]
    data = tf.io.decode_raw(encoded, tf.uint8)
    header = tf.cast(data[14:18], tf.int32)
    start = 14 + tf.reduce_sum(header * tf.constant([1, 1 << 8, 1 << 16, 1 << 24]))
    # With fewer than 256 colours, a valid file never uses the entries after them.
    palette = tf.reshape(
        tf.concat([data[start : start + 1024], tf.zeros([1024], tf.uint8)], 0)[:1024], [256, 4]
    )
    return tf.gather(palette[:, 2::-1], tf.cast(indices, tf.int32))
