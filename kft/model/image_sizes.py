"""Adapting pretrained backbones to another image size by interpolating position embeddings."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kft.errors import InputError

__all__ = ["for_size"]


def for_size(backbone: keras.Model, size: tuple[int, int], name: str) -> keras.Model:
    """Return a KerasHub backbone with the same weights for images of another size.

    Position embeddings of patches are resized like images, as https://arxiv.org/abs/2010.11929
    (section 3.2) proposes for other resolutions.

    Args:
        backbone: The backbone; one that takes images of any size is returned unchanged.
        size: Height and width of the images in pixels.
        name: The name of the backbone in messages.

    Raises:
        InputError: The backbone cannot be built for the size.
    """
    shape = tuple(getattr(backbone, "image_shape", (None, None, 3)))
    if None in shape[:2] or shape[:2] == tuple(size):
        return backbone
    config = {**backbone.get_config(), "image_shape": (*size, 3)}
    try:
        made = type(backbone).from_config(config)
    except Exception as error:  # the type of the error depends on the backend
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise InputError(
            f"`image_size={tuple(size)}`: {name!r} was trained on images of {shape[:2]} and cannot be "
            f"built for this size ({reason}): pass image_size={shape[:2]}."
        ) from error
    grids = _grid(backbone, shape[:2]), _grid(made, size)
    for old, new in zip(backbone.weights, made.weights, strict=True):
        if old.shape == new.shape:
            new.assign(old)
        elif np.issubdtype(keras.backend.standardize_dtype(old.dtype), np.integer):
            continue  # indices of positions, which are right in the new model
        else:
            new.assign(_resized(old, tuple(new.shape), grids, size, name))
    return made


def _grid(backbone: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Return the number of rows and columns of patches."""
    patch = getattr(backbone, "patch_size", None) or 1
    height, width = (patch, patch) if isinstance(patch, int) else patch
    return size[0] // height, size[1] // width


def _resized(old: Any, shape: tuple[int, ...], grids: Any, size: Any, name: str) -> Any:
    """Resize embeddings `(..., positions, channels)` to another grid, keeping those before the patches."""
    before, after = grids
    prefix = old.shape[-2] - before[0] * before[1] if len(old.shape) > 1 else -1
    if prefix < 0 or prefix != shape[-2] - after[0] * after[1] or old.shape[-1] != shape[-1]:
        raise InputError(
            f"`image_size={tuple(size)}`: weights of {name!r} depend on the size of the images, and "
            f"{old.path} has no interpolation: leave image_size out."
        )
    values = ops.reshape(ops.convert_to_tensor(old), (-1, shape[-1]))
    patches = ops.reshape(values[prefix:], (1, *before, shape[-1]))
    patches = ops.image.resize(patches, after, interpolation="bicubic", data_format="channels_last")
    joined = ops.concatenate([values[:prefix], ops.reshape(patches, (-1, shape[-1]))], axis=0)
    return ops.reshape(joined, shape)
