"""The head of detection: a feature pyramid, and at each place of it scores of the classes and a box."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kft.tasks.masks.decoder import convolved, resized

__all__ = ["BOX", "PLACE", "SCORES", "Places", "chosen_maps", "detector"]

_FINEST, _MOST_LEVELS = 8, 3  # the stride of the finest map, and how many there are
_DEPTH = 1  # convolutions before the scores and before the boxes
_PRIOR = 0.01  # the score that a new head gives: nearly all places show nothing
_LARGEST = 6.0  # the logarithm of a box's side in strides that is never exceeded

# What the columns of the model's output are.
BOX = slice(0, 4)  # left, top, right, bottom
PLACE = slice(4, 8)  # the middle of the place, x and y, and its stride in both directions
SCORES = slice(8, None)


def chosen_maps(maps: Sequence[Any], size: Sequence[int]) -> list[Any]:
    """Return the maps that boxes are found on, finest first: up to three from stride 8 on.

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
    """Put a detector without anchors on maps of a backbone.

    A feature pyramid (Lin et al. 2017, https://arxiv.org/abs/1612.03144) with convolutions that all its
    levels share, as FCOS has them (Tian et al. 2019, https://arxiv.org/abs/1904.01355).

    Args:
        maps: What `chosen_maps` returned.
        classes: How many classes there are.
        channels: Channels of the pyramid, a multiple of 8.
        seed: For the initial weights.
        named: Gives the name of a layer.

    Returns:
        Float32 `(batch, places, 8 + classes)`, whose columns are `BOX`, `PLACE` and `SCORES`; boxes and
        places are fractions of the image's width and height.
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
    """Maps of equal channels, each with what the coarser ones know, finest first."""
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
    """The layers that are the same at all levels."""

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
    """From offsets and logarithms of sides, in strides, to boxes in fractions of the image.

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
        """Return boxes and places, `(batch, height * width, 8)`."""
        ops = keras.ops
        sides = ops.reshape(sides, (-1, self.grid[0] * self.grid[1], 4))
        places = ops.convert_to_tensor(self._places)
        middle = places[..., :2] + sides[..., :2] * places[..., 2:]
        half = ops.exp(ops.minimum(sides[..., 2:], _LARGEST)) * places[..., 2:]
        places = ops.broadcast_to(places, ops.shape(sides))
        return ops.concatenate([middle - half, middle + half, places], axis=-1)

    def compute_output_shape(self, shape: Any) -> Any:
        """The shape of `call`."""
        return (shape[0], self.grid[0] * self.grid[1], 8)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for Keras' serialisation."""
        return {**super().get_config(), "grid": self.grid}
