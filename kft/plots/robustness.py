"""Figures of robustness: a measure against the severity of perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kft.plots.style import DASHES, MUTED, SERIES, Figure, figure, legend, style_axes


def against_severity(clean: float, values: Mapping[str, Sequence[float]], name: str) -> Figure:
    """Draw a measure against the severity, one line per kind of perturbation.

    Args:
        clean: The measure on unperturbed data, drawn at severity 0.
        values: For each kind the measure at severities 1, 2, ...
        name: The name of the measure.
    """
    drawn = figure((6.0, 4.2 + 0.2 * (len(values) // 3)))
    axes = drawn.add_subplot()
    axes.axhline(clean, color=MUTED, linewidth=1, linestyle=DASHES[2], label="_clean")
    for index, found in enumerate(values.values()):
        axes.plot(
            np.arange(len(found) + 1),
            [clean, *found],
            color=SERIES[index % len(SERIES)],
            linestyle=DASHES[(index // len(SERIES) + index) % len(DASHES)],
            linewidth=1.8,
            marker="o",
            markersize=3.5,
            label=str(index),
        )
    style_axes(axes, x="severity", y=name)
    axes.set_xticks(range(1 + max(map(len, values.values()))))
    legend(axes, [kind.replace("_", " ") for kind in values], columns=3)
    return drawn
