"""Conversion of images in a `tf.data.Dataset`, encoded or not, to the model's inputs."""

from __future__ import annotations

from typing import Any

from kft.data.image_decoding import decode_batch, resize
from kft.data.pixels import check_shape
from kft.data.plain_errors import DECODING
from kft.errors import InputError

__all__ = ["as_model_images"]


def as_model_images(dataset: Any, image_size: tuple[int, int]) -> Any:
    """Decode and resize the images of a dataset of batches `(images, targets, ...)`, in colour.

    Args:
        dataset: A `tf.data.Dataset` of encoded images, or of arrays `[n, h, w]` or `[n, h, w, c]`
            with 1, 3 or 4 channels; one with several input tensors is returned unchanged.
        image_size: (height, width).

    Returns:
        A dataset of images `[n, *image_size, 3]`. An image that cannot be decoded raises an error of
        TensorFlow, which `plain_errors` turns into an `InputError`.

    Raises:
        InputError: The images have an unknown shape, or another than described.
    """
    spec = getattr(dataset, "element_spec", (None,))[0]
    shape = getattr(spec, "shape", None)
    if spec is None or shape is None:
        return dataset
    if spec.dtype == "string":
        return dataset.map(lambda encoded, *rest: (_decoded(encoded, image_size), *rest))
    if shape.rank is None:
        raise InputError(
            "the tf.data.Dataset yields images of an unknown shape: pass output_signature to "
            "from_generator, or map tf.ensure_shape."
        )
    check_shape(shape)
    if tuple(shape[1:]) == (*image_size, 3):
        return dataset
    return dataset.map(lambda images, *rest: (resize(_in_color(images), image_size), *rest))


def _decoded(encoded: Any, image_size: tuple[int, int]) -> Any:
    import tensorflow as tf

    with tf.name_scope(DECODING):
        return decode_batch(encoded, image_size)


def _in_color(images: Any) -> Any:
    """Return images `[n, h, w]` or `[n, h, w, c]` with three channels, like `kft.data.images.load`."""
    import tensorflow as tf

    if images.shape.rank == 3:
        images = images[..., None]
    if images.shape[-1] == 3:
        return images
    is_gray = tf.shape(images)[-1] == 1
    return tf.cond(is_gray, lambda: tf.repeat(images, 3, axis=-1), lambda: images[..., :3])
