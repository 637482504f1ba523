"""Figures of a run's journal: how far blocks moved, their rates, and the balance of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from kft.plots import history as history_plots
from kft.plots.style import SERIES, Figure, figure, short, style_axes


def movement(moved: Mapping[str, float]) -> Figure:
    """Draw a bar per block, the head on top.

    Args:
        moved: For each block by name the distance that its weights moved, relative to their norm.
    """
    drawn = figure((5.0, 0.9 + 0.28 * len(moved)))
    axes = drawn.add_subplot()
    places = np.arange(len(moved))
    axes.barh(places, list(moved.values()), color=SERIES[0])
    axes.set_yticks(places, [short(name) for name in moved], parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    style_axes(axes, x="moved by", y="", grid="x")
    return drawn


def rates_by_block(
    history: Mapping[str, Sequence[Any]], rates: Mapping[str, Sequence[float | None]]
) -> Figure:
    """Draw the learning rate of each block by epoch on a logarithmic axis, with the stages.

    Args:
        history: As for `kft.plots.curves`; its `stage` is drawn.
        rates: The rate in each epoch by the name of a block, or of blocks that share a rate; None
            while it was frozen.
    """
    by_block = {f"learning_rate_{name}": values for name, values in rates.items()}
    drawn = figure()
    stages = {"stage": history.get("stage", ())}
    history_plots.draw_rates(drawn.add_subplot(), {**stages, **by_block}, with_legend=False)
    return drawn


def balance(parts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw the share of each class in each part of the data, as grouped bars.

    Args:
        parts: For each part of the data the number of examples per class.
    """
    names = list(next(iter(parts.values())))
    drawn = figure((5.0, 0.9 + 0.2 * len(names) * max(len(parts), 1)))
    axes = drawn.add_subplot()
    places, width = np.arange(len(names)), 0.8 / len(parts)
    for place, counts in enumerate(parts.values()):
        shares = np.array(list(counts.values())) / max(sum(counts.values()), 1)
        axes.barh(places + (place + 0.5) * width - 0.4, shares, width, color=SERIES[place])
    axes.set_yticks(places, [short(name) for name in names], parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    style_axes(axes, x="share of the part", y="", grid="x")
    return drawn
