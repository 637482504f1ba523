"""How far each block has moved, as bars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.ticker import PercentFormatter

from kft.plots.style import SERIES, Figure, dress, figure, short


def movement(moved: Mapping[str, float]) -> Figure:
    """A bar a block, the head on top.

    Args:
        moved: Name of each block, and the part of its length that its weights have moved by.
    """
    drawn = figure((5.0, 0.9 + 0.28 * len(moved)))
    axes = drawn.add_subplot()
    places = np.arange(len(moved))
    axes.barh(places, list(moved.values()), color=SERIES[0])
    axes.set_yticks(places, [short(name) for name in moved], parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    dress(axes, x="moved by", y="", grid="x")
    return drawn
