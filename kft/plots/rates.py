"""Figures of range tests: the loss against the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kft.plots.style import DASHES, MUTED, SERIES, Figure, figure, legend, short, style_axes


@dataclass(frozen=True, eq=False)
class Panel:
    """One range test, ready to draw.

    Attributes:
        title: The name of the test.
        rates: The learning rates.
        losses: The loss at each rate.
        smoothed: The smoothed losses.
        marks: Rates to mark, by name; None if not found.
    """

    title: str
    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    marks: Mapping[str, float | None]


def range_tests(panels: Sequence[Panel]) -> Figure:
    """Draw the loss against the rate on a logarithmic axis, one panel per test."""
    columns = min(len(panels), 3) or 1
    rows = max(1, -(-len(panels) // columns))
    drawn = figure((4.8 * columns, 3.6 * rows))
    for index, panel in enumerate(panels):
        axes = drawn.add_subplot(rows, columns, index + 1)
        axes.plot(panel.rates, panel.losses, ".", color=MUTED, markersize=3, label="_losses")
        axes.plot(panel.rates, panel.smoothed, color=SERIES[0], linewidth=1.8, label="loss")
        names = ["loss"]
        found = [(name, rate) for name, rate in panel.marks.items() if rate is not None]
        for place, (name, rate) in enumerate(found, start=1):
            dash = DASHES[place % len(DASHES)]
            axes.axvline(rate, color=SERIES[place], linewidth=1.5, linestyle=dash, label=name)
            names.append(f"{name} {rate:.1e}")
        axes.set_xscale("log")
        style_axes(axes, x="learning rate", y=f"loss, {short(panel.title, 30)}")
        # A diverging loss would flatten the interesting part of the curve.
        low, first = panel.smoothed.min(), panel.smoothed[0]
        room = max(first - low, 0.02 * abs(first), 1e-12)
        axes.set_ylim(low - 0.3 * room, first + 0.8 * room)
        legend(axes, names)
    return drawn
