"""The detection head: a feature pyramid that predicts class scores and a box at each location."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kft.tasks.masks.decoder import convolved, resized

__all__ = ["BOX", "PLACE", "SCORES", "Places", "chosen_maps", "detector"]

_FINEST, _MOST_LEVELS = 8, 3  # the stride of the finest map, and the number of maps
_DEPTH = 1  # convolutions before the scores, and before the boxes
_PRIOR = 0.01  # initial score of all classes: nearly all locations are background
_LARGEST = 6.0  # upper bound of the logarithm of half a box's side, in strides

# The columns of the model's output.
BOX = slice(0, 4)  # left, top, right, bottom
PLACE = slice(4, 8)  # the centre of the location, x and y, and its strides
SCORES = slice(8, None)


def chosen_maps(maps: Sequence[Any], size: Sequence[int]) -> list[Any]:
    """Return the maps that predict boxes, finest first: up to three with a stride of at least 8.

    Args:
        maps: The maps of a pyramid.
        size: Height and width of the images.
    """
    order = sorted(maps, key=lambda one: -one.shape[1])
    coarse = [one for one in order if round(size[0] / one.shape[1]) >= _FINEST]
    return (coarse or order)[-_MOST_LEVELS:]


def detector(
    maps: Sequence[Any],
    classes: int,
    channels: int,
    seed: int,
    named: Callable[[str], str],
) -> Any:
    """Put an anchor-free detector on the maps of a backbone.

    It is a feature pyramid (Lin et al. 2017, https://arxiv.org/abs/1612.03144) whose levels share their
    convolutions, as in FCOS (Tian et al. 2019, https://arxiv.org/abs/1904.01355).

    Args:
        maps: What `chosen_maps` returned.
        classes: The number of classes.
        channels: Channels of the pyramid, a multiple of 8.
        seed: Seed of the initial weights.
        named: Function that prefixes the name of a layer.

    Returns:
        Float32 `(batch, locations, 8 + classes)`, with the columns `BOX`, `PLACE` and `SCORES`; boxes
        and locations are fractions of the image's width and height.
    """
    shared = _Shared(classes, channels, seed, named)
    found = []
    for level, x in enumerate(_pyramid(maps, channels, seed, named)):
        scores, boxes = shared(x)
        place = Places(tuple(x.shape[1:3]), dtype="float32", name=named(f"boxes{level}"))
        found.append(
            keras.layers.Concatenate(dtype="float32", name=named(f"found{level}"))(
                [
                    place(boxes),
                    keras.layers.Reshape(
                        (-1, classes), dtype="float32", name=named(f"scores{level}")
                    )(scores),
                ]
            )
        )
    if len(found) == 1:
        return found[0]
    return keras.layers.Concatenate(axis=1, dtype="float32", name=named("found"))(found)


def _pyramid(
    maps: Sequence[Any], channels: int, seed: int, named: Callable[[str], str]
) -> list[Any]:
    """Return the maps of a feature pyramid, with equal channels, finest first."""
    above, found = None, []
    for level in reversed(range(len(maps))):
        name = named(f"level{level}")
        x = convolved(maps[level], channels, seed + level, f"{name}_lateral", size=1)
        if above is not None:
            wide = resized(above, x.shape[1:3], f"{name}_resize")
            x = keras.layers.Add(name=f"{name}_join")([x, wide])
        above = x
        found.append(convolved(x, channels, seed + level, name))
    return found[::-1]


class _Shared:
    """The layers that all levels share."""

    def __init__(self, classes: int, channels: int, seed: int, named: Callable[[str], str]) -> None:
        def convolution(width: int, name: str, **more: Any) -> Any:
            start = keras.initializers.RandomNormal(stddev=0.01, seed=seed)
            return keras.layers.Conv2D(
                width,
                3,
                padding="same",
                kernel_initializer=start,
                dtype="float32",
                name=named(name),
                **more,
            )

        prior = keras.initializers.Constant(-math.log((1 - _PRIOR) / _PRIOR))
        self._towers = [
            [_block(channels, seed + place, named(f"{kind}{place}")) for place in range(_DEPTH)]
            for kind in ("class", "box")
        ]
        self._ends = [
            convolution(classes, "class_scores", bias_initializer=prior, activation="sigmoid"),
            convolution(4, "box_sides"),
        ]

    def __call__(self, x: Any) -> list[Any]:
        found = []
        for tower, end in zip(self._towers, self._ends, strict=True):
            y = x
            for layer in (one for block in tower for one in block):
                y = layer(y)
            found.append(end(y))
        return found


def _block(channels: int, seed: int, name: str) -> list[Any]:
    start = keras.initializers.HeNormal(seed=seed)
    return [
        keras.layers.Conv2D(
            channels,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=start,
            name=f"{name}_conv",
        ),
        keras.layers.GroupNormalization(8, name=f"{name}_norm"),
        keras.layers.ReLU(name=f"{name}_relu"),
    ]


@keras.saving.register_keras_serializable("kft")
class Places(keras.layers.Layer):
    """Decode centre offsets and logarithms of half sides, in strides, to boxes as fractions of the image.

    Args:
        grid: Height and width of the map.
    """

    def __init__(self, grid: Sequence[int], **more: Any) -> None:
        super().__init__(**more)
        self.grid = tuple(grid)
        rows, columns = self.grid
        y, x = np.meshgrid(
            (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij"
        )
        middles = np.stack([x, y], -1).reshape(1, -1, 2)
        strides = np.broadcast_to([1 / columns, 1 / rows], middles.shape)
        self._places = np.concatenate([middles, strides], -1).astype("float32")

    def call(self, sides: Any) -> Any:
        """Return boxes and locations, `(batch, height * width, 8)`."""
        ops = keras.ops
        sides = ops.reshape(sides, (-1, self.grid[0] * self.grid[1], 4))
        places = ops.convert_to_tensor(self._places)
        middle = places[..., :2] + sides[..., :2] * places[..., 2:]
        half = ops.exp(ops.minimum(sides[..., 2:], _LARGEST)) * places[..., 2:]
        places = ops.broadcast_to(places, ops.shape(sides))
        return ops.concatenate([middle - half, middle + half, places], axis=-1)

    def compute_output_shape(self, shape: Any) -> Any:
        """Return the shape of what `call` returns."""
        return (shape[0], self.grid[0] * self.grid[1], 8)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for Keras' serialisation."""
        return {**super().get_config(), "grid": self.grid}
