"""Decoders, which combine feature maps of several resolutions at the finest one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

__all__ = ["DECODERS", "convolved", "resized"]

_GROUPS = 8
_MOST_DOUBLED = 3  # levels below the finest over which the width doubles


def resized(x: Any, like: Sequence[int], name: str) -> Any:
    """Resize a map to a height and width by bilinear interpolation."""
    if tuple(x.shape[1:3]) == tuple(like):
        return x
    height, width = like
    layer = keras.layers.Resizing(
        height, width, interpolation="bilinear", data_format="channels_last", name=name
    )
    return layer(x)


def _unet(maps: Sequence[Any], width: int, seed: int, named: Callable[[str], str]) -> Any:
    """Apply a U-Net's expanding path (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597)."""
    x = None
    for level in reversed(range(len(maps))):
        skip, name = maps[level], named(f"up{level}")
        if x is not None:
            x = resized(x, skip.shape[1:3], f"{name}_resize")
            skip = keras.layers.Concatenate(name=f"{name}_join")([x, skip])
        x = convolved(skip, width * 2 ** min(level, _MOST_DOUBLED), seed + level, name)
    return x


def _fpn(maps: Sequence[Any], width: int, seed: int, named: Callable[[str], str]) -> Any:
    """Sum the maps of a feature pyramid (Kirillov et al. 2019, https://arxiv.org/abs/1901.02446)."""
    whole, found = None, []
    for level in reversed(range(len(maps))):
        name = named(f"level{level}")
        x = convolved(maps[level], 4 * width, seed + level, f"{name}_lateral", size=1)
        if whole is not None:
            below = resized(whole, x.shape[1:3], f"{name}_resize")
            x = keras.layers.Add(name=f"{name}_join")([x, below])
        whole = x
        smooth = convolved(x, 2 * width, seed + level, name)
        found.append(resized(smooth, maps[0].shape[1:3], f"{name}_finest"))
    return keras.layers.Add(name=named("sum"))(found) if len(found) > 1 else found[0]


def convolved(x: Any, width: int, seed: int, name: str, size: int = 3) -> Any:
    """Apply a convolution, group normalisation and ReLU; batch norm would suffer from small batches."""
    x = keras.layers.Conv2D(
        width,
        size,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(seed=seed),
        name=f"{name}_conv",
    )(x)
    x = keras.layers.GroupNormalization(_GROUPS, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


DECODERS: dict[str, Callable[..., Any]] = {"unet": _unet, "fpn": _fpn}
