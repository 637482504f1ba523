"""Figures of explanations: maps over images, bars for tokens, rows of neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from kft.plots.style import INK, SERIES, Figure, figure, short, style_axes

MAX_IMAGES = 8
MAX_TOKENS = 40
SIDE = 1.9  # inches of a picture


def image_maps(images: np.ndarray, maps: np.ndarray, titles: Sequence[str], method: str) -> Figure:
    """Draw the first eight images, and next to each a gray copy overlaid with its map.

    If a map has negative values, each sign gets its own colour.
    """
    shown = min(len(images), MAX_IMAGES)
    drawn = figure((2 * SIDE + 0.6, (SIDE + 0.3) * shown))
    signed = bool((maps < 0).any())
    for index in range(shown):
        left = drawn.add_subplot(shown, 2, 2 * index + 1)
        _picture(left, images[index], titles[index])
        right = drawn.add_subplot(shown, 2, 2 * index + 2)
        _picture(right, images[index], method if index == 0 else "")
        right.images[0].remove()
        gray = images[index].mean(axis=-1)
        right.imshow(gray, cmap="gray", vmin=0, vmax=255, alpha=0.6)
        # Scaled by the 99th percentile, since outliers would make the rest invisible.
        most = max(float(np.quantile(np.abs(maps[index]), 0.99)), 1e-12)
        heat = np.clip(maps[index] / most, -1, 1)
        low, colors = (-1.0, "PuOr_r") if signed else (0.0, "inferno")
        right.imshow(heat, cmap=colors, vmin=low, vmax=1.0, alpha=0.15 + 0.75 * np.abs(heat))
    return drawn


def token_bars(tokens: Sequence[str], values: np.ndarray, title: str) -> Figure:
    """Draw a bar per token, in order; for a long text the 40 with the largest values."""
    places = np.arange(len(tokens))
    if len(tokens) > MAX_TOKENS:
        places = np.sort(np.argsort(-np.abs(values))[:MAX_TOKENS])
    drawn = figure((5.0, 0.8 + 0.26 * len(places)))
    axes = drawn.add_subplot()
    chosen = np.asarray(values)[places]
    colors = [SERIES[0] if value > 0 else SERIES[1] for value in chosen]
    axes.barh(np.arange(len(places)), chosen, color=colors)
    axes.set_yticks(
        np.arange(len(places)), [short(tokens[int(i)]) for i in places], parse_math=False
    )
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.8)
    style_axes(axes, x="added to the score", y="", title=short(title, 40), grid="x")
    return drawn


def neighbour_images(images: np.ndarray, titles: Sequence[Sequence[str]]) -> Figure:
    """Draw rows of images, an input followed by its neighbours; the first eight rows."""
    rows, columns = min(len(images), MAX_IMAGES), images.shape[1]
    drawn = figure((SIDE * columns, (SIDE + 0.3) * rows))
    for row in range(rows):
        for column in range(columns):
            axes = drawn.add_subplot(rows, columns, row * columns + column + 1)
            _picture(axes, images[row, column], titles[row][column])
    return drawn


def _picture(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(np.clip(image, 0, 255).astype("uint8"))
    axes.set_title(short(title), color=INK, fontsize=10, loc="left", parse_math=False)
    axes.set_axis_off()
