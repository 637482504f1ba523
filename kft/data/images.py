"""Encoded images to pixels, in graph ops that training, `predict` and the SavedModel share."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.exif import orientation, turn
from kft.data.files import shown
from kft.data.image_files import MAX_PIXELS, inspect_file
from kft.data.pixels import check_shape
from kft.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "MAX_PIXELS",
    "broken",
    "decode",
    "decode_batch",
    "decode_pixels",
    "inspect_file",
    "load",
    "load_files",
    "resize",
]

_JPEG = b"\xff\xd8\xff"


def decode(encoded: "tf.Tensor") -> "tf.Tensor":
    """Decode one JPEG, PNG, GIF (first frame), BMP or still WebP, upright by its EXIF orientation.

    Grayscale, palette, CMYK and 16-bit images become 8-bit RGB; transparency is dropped, as
    Pillow's `convert("RGB")` does. An animated WebP is refused: TensorFlow 2.21 writes outside
    its memory when it decodes one.

    Args:
        encoded: Scalar string tensor.

    Returns:
        float32 `[height, width, 3]`, 0 to 255.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no image that can be decoded.
    """
    import tensorflow as tf

    return tf.cast(decode_pixels(encoded), tf.float32)


def decode_pixels(encoded: "tf.Tensor") -> "tf.Tensor":
    """Decode as `decode` does, to uint8."""
    import tensorflow as tf

    image = tf.cond(
        tf.strings.substr(encoded, 0, 3) == _JPEG,
        # The accurate DCT gives the very pixels that Pillow gives.
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: _decode_other(encoded),
    )
    return turn(tf.ensure_shape(image, [None, None, 3]), orientation(encoded))


def resize(image: "tf.Tensor", image_size: tuple[int, int]) -> "tf.Tensor":
    """Resize `[h, w, 3]` or `[n, h, w, 3]` to (height, width): bilinear, antialiased, float32.

    An image of that very size keeps its values, which is what resizing it would give.
    """
    import tensorflow as tf

    if image.dtype != tf.uint8:  # bytes need no copy of four times their size
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
        encoded: String tensor `[n]`; n may be unknown, and 0.
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


def load(inputs: Any, image_size: tuple[int, int]) -> np.ndarray:
    """Pixels of raw inputs of any kind, for training and for `predict`.

    Args:
        inputs: Paths, encoded `bytes`, or arrays `[n, h, w]`, `[n, h, w, 1]`, `[n, h, w, 3]` or
            `[n, h, w, 4]`, 0 to 255. A last axis of 1, 3 or 4 holds channels: one image alone is
            refused rather than taken for many rows.
        image_size: (height, width).

    Returns:
        float32 `[n, height, width, 3]`.

    Raises:
        InputError: A file cannot be decoded, or the array has another shape.
    """
    image_size = (int(image_size[0]), int(image_size[1]))
    if not len(inputs):
        return np.zeros((0, *image_size, 3), np.float32)
    if isinstance(inputs[0], bytes):
        return _load(list(inputs), image_size, are_paths=False)
    if isinstance(inputs[0], str | os.PathLike):
        return load_files([str(path) for path in inputs], image_size)
    array = np.asarray(inputs)
    check_shape(array.shape)
    if array.ndim == 3:
        array = array[..., None]
    array = np.repeat(array, 3, axis=-1) if array.shape[-1] == 1 else array[..., :3]
    if array.shape[1:3] == image_size:
        return array.astype(np.float32)
    return _resize_function(image_size)(array.astype(np.float32)).numpy()


def load_files(paths: Sequence[str], image_size: tuple[int, int]) -> np.ndarray:
    """Read, decode and resize image files, in parallel.

    Args:
        paths: The files.
        image_size: (height, width).

    Returns:
        float32 `[n, height, width, 3]`, 0 to 255.

    Raises:
        InputError: A file is missing or cannot be decoded; the message names it.
    """
    if not len(paths):
        return np.zeros((0, *image_size, 3), np.float32)
    return _load([str(path) for path in paths], (image_size[0], image_size[1]), are_paths=True)


def broken(inputs: Sequence[str | bytes]) -> dict[int, str]:
    """Decode every image once, in parallel, and tell which ones cannot be decoded.

    Args:
        inputs: Paths or encoded bytes.

    Returns:
        Index of each undecodable image to the reason.
    """
    if not len(inputs):
        return {}
    are_paths = not isinstance(inputs[0], bytes)
    rest = list(range(len(inputs)))
    for attempt in (_decode_coarsely, decode):
        good = _decodable([inputs[index] for index in rest], are_paths, attempt)
        rest = np.delete(rest, good).tolist()
    return {index: _why(inputs[index], are_paths) for index in rest}


def _decodable(items: list[Any], are_paths: bool, attempt: Callable[[Any], Any]) -> list[int]:
    """Indices of the images that `attempt` decodes, in any order."""
    import tensorflow as tf

    if not items:
        return []
    with tf.device("CPU"):
        indices = (
            tf.data.Dataset.from_tensor_slices(_constant(items))
            .enumerate()
            .map(
                lambda index, item: (
                    index,
                    tf.shape(attempt(tf.io.read_file(item) if are_paths else item)),
                ),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=False,
            )
            .ignore_errors()
            .map(lambda index, shape: index)
            .batch(1024)
        )
        return [int(index) for batch in indices for index in batch.numpy()]


def _decode_coarsely(encoded: Any) -> Any:
    """A JPEG at an eighth of its size: all its bytes are read, most of the arithmetic is left out."""
    import tensorflow as tf

    jpeg = tf.where(tf.strings.substr(encoded, 0, 3) == _JPEG, encoded, "")  # else an error
    return tf.io.decode_jpeg(jpeg, channels=3, ratio=8)


def _bytes_at(head: Any, position: int, expected: bytes) -> Any:
    import tensorflow as tf

    return tf.reduce_all(
        head[position : position + len(expected)] == tf.constant(list(expected), tf.uint8)
    )


def _decode_other(encoded: Any) -> Any:
    """Decode a PNG, GIF, BMP or WebP, and refuse what TensorFlow decodes wrongly."""
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
    # An empty string instead of a dangerous one: the decoder refuses it, whatever an optimizer does
    # to assertions.
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
    """TensorFlow takes the palette's indices for gray values; look the colours up."""
    import tensorflow as tf

    indices = tf.io.decode_image(encoded, channels=0, expand_animations=False)[..., 0]
    data = tf.io.decode_raw(encoded, tf.uint8)
    header = tf.cast(data[14:18], tf.int32)
    start = 14 + tf.reduce_sum(header * tf.constant([1, 1 << 8, 1 << 16, 1 << 24]))
    # Fewer than 256 colours: what follows is never looked up in a valid file, and gray in a broken
    # one.
    palette = tf.reshape(
        tf.concat([data[start : start + 1024], tf.zeros([1024], tf.uint8)], 0)[:1024], [256, 4]
    )
    return tf.gather(palette[:, 2::-1], tf.cast(indices, tf.int32))


@cache
def _load_function(image_size: tuple[int, int], are_paths: bool) -> Any:
    import tensorflow as tf

    # A tf.data pipeline inside a traced function: decoded in parallel (1.6 times as fast as
    # map_fn), traced once.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def load(items: Any) -> Any:
        return (
            tf.data.Dataset.from_tensor_slices(items)
            .map(
                lambda item: resize(
                    decode(tf.io.read_file(item) if are_paths else item), image_size
                ),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .batch(tf.size(items, out_type=tf.int64))
            .get_single_element()
        )

    return load


@cache
def _resize_function(image_size: tuple[int, int]) -> Any:
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)], autograph=False
    )
    def resize_batch(images: Any) -> Any:
        return resize(images, image_size)

    return resize_batch


def _load(items: list[Any], image_size: tuple[int, int], are_paths: bool) -> np.ndarray:
    import tensorflow as tf

    try:
        with tf.device("CPU"):
            return _load_function(image_size, are_paths)(_constant(items)).numpy()
    except tf.errors.OpError as error:
        for index, item in enumerate(items):
            reason = _why(item, are_paths)
            if reason:
                name = shown(item) if are_paths else f"image {index}"
                raise InputError(
                    f"{name}: {reason}, but a JPEG, PNG, GIF, BMP or still WebP is expected: "
                    "remove it, convert it, "
                    'or pass on_bad_example="skip"'
                ) from error
        raise


def _constant(items: Sequence[str | bytes]) -> Any:
    """Paths or encoded images as a tensor; the bytes of a path need not be UTF-8."""
    import tensorflow as tf

    return tf.constant([os.fsencode(item) for item in items], tf.string)


def _why(item: Any, is_path: bool) -> str:
    """Why one image cannot be decoded, or an empty string."""
    import tensorflow as tf

    try:
        with tf.device("CPU"):
            (encoded,) = _constant([item])
            decode(tf.io.read_file(encoded) if is_path else encoded)
    except tf.errors.NotFoundError:
        return "no such file"
    except tf.errors.OpError as error:
        detail = error.message.replace("\n", " ").split("}} ")[-1].split(" [Op:")[0]
        return f"cannot be decoded ({detail[:200]})"
    return ""
