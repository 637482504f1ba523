"""Loading of raw images of any kind as pixels, and checks whether they can be decoded."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from kft.data.files import shown
from kft.data.image_decoding import decode, decode_coarsely, resize
from kft.data.image_files import MAX_PIXELS, inspect_files
from kft.data.pixels import check_shape
from kft.errors import InputError
from kft.regular_files import problem

__all__ = ["broken", "check_images", "load", "load_files"]

_CHECKED_TOGETHER = 1024  # images between two chances to interrupt the check


def load(inputs: Any, image_size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of raw inputs of any kind, for training and for `predict`.

    Args:
        inputs: Paths, encoded `bytes`, or arrays `[n, h, w]`, `[n, h, w, 1]`, `[n, h, w, 3]` or
            `[n, h, w, 4]`, 0 to 255. A last axis of 1, 3 or 4 holds channels, so that a single image
            is refused and not treated as a batch of rows.
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
    """Decode every image once, in parallel, and report those that cannot be decoded.

    Args:
        inputs: Paths or encoded bytes.

    Returns:
        The reason for each undecodable image, by index.
    """
    if not len(inputs):
        return {}
    are_paths = not isinstance(inputs[0], bytes)
    rest = list(range(len(inputs)))
    for attempt in (decode_coarsely, decode):
        good = _decodable([inputs[index] for index in rest], are_paths, attempt)
        rest = np.delete(rest, good).tolist()
    return {index: _why(inputs[index], are_paths) for index in rest}


def check_images(files: Sequence[str | bytes], max_pixels: int = MAX_PIXELS) -> dict[int, str]:
    """Check image files by their headers, and then by decoding them.

    Args:
        files: Paths or encoded bytes.
        max_pixels: The largest image to accept, width times height.

    Returns:
        The reason for each unusable image, by index.
    """
    reasons = {n: reason for n, reason in enumerate(inspect_files(files, max_pixels)) if reason}
    rest = [index for index in range(len(files)) if index not in reasons]
    for index, reason in broken([files[index] for index in rest]).items():
        reasons[rest[index]] = reason
    return reasons


def _decodable(items: list[Any], are_paths: bool, attempt: Callable[[Any], Any]) -> list[int]:
    """Return the indices of the images that `attempt` decodes, in any order."""
    import tensorflow as tf

    good: list[int] = []
    with tf.device("CPU"):
        for start in range(0, len(items), _CHECKED_TOGETHER):
            part = _constant(items[start : start + _CHECKED_TOGETHER])
            found = _decodable_function(attempt, are_paths)(part).numpy()
            good.extend((found[found >= 0] + start).tolist())
    return good


@cache
def _decodable_function(attempt: Callable[[Any], Any], are_paths: bool) -> Any:
    import tensorflow as tf

    # Tracing takes 50 times as long as checking one image, so it is done once and not for each call.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def decodable(items: Any) -> Any:
        return (
            tf.data.Dataset.from_tensor_slices(items)
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
            .concatenate(tf.data.Dataset.from_tensors(tf.constant(-1, tf.int64)))
            .batch(tf.size(items, out_type=tf.int64) + 1)
            .get_single_element()
        )

    return decodable


@cache
def _load_function(image_size: tuple[int, int], are_paths: bool) -> Any:
    import tensorflow as tf

    # A tf.data pipeline in a traced function is traced once, and decodes in parallel, 1.6 times as
    # fast as map_fn.
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

    # Checked first, since TensorFlow waits for the writer of a pipe and reads a device forever.
    for path in items if are_paths else ():
        reason = problem(path, sys.maxsize)
        if reason:
            raise _undecodable(shown(path), reason)
    try:
        with tf.device("CPU"):
            return _load_function(image_size, are_paths)(_constant(items)).numpy()
    except tf.errors.OpError as error:
        for index, item in enumerate(items):
            reason = _why(item, are_paths)
            if reason:
                name = shown(item) if are_paths else f"image {index}"
                raise _undecodable(name, reason) from error
        raise


def _undecodable(name: str, reason: str) -> InputError:
    return InputError(
        f"{name}: {reason}. A JPEG, PNG, GIF, BMP or still WebP is expected: remove it, convert "
        'it, or pass on_bad_example="skip"'
    )


def _constant(items: Sequence[str | bytes]) -> Any:
    """Return paths, which need not be UTF-8, or encoded images as a tensor."""
    import tensorflow as tf

    return tf.constant([os.fsencode(item) for item in items], tf.string)


def _why(item: Any, is_path: bool) -> str:
    """Return why an image cannot be decoded, or an empty string."""
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
