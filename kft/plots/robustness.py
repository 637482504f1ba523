"""What is left of a figure as the data get worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kft.plots.style import DASHES, MUTED, SERIES, Figure, dress, figure, legend


def against_severity(clean: float, values: Mapping[str, Sequence[float]], name: str) -> Figure:
    """A figure against the severity, a line a kind of perturbation.

    Args:
        clean: The figure of the data as they are, drawn at severity 0.
        values: For each kind the figure at severities 1, 2, ...
        name: What the figure is called.
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
    dress(axes, x="severity", y=name)
    axes.set_xticks(range(1 + max(map(len, values.values()))))
    legend(axes, [kind.replace("_", " ") for kind in values], columns=3)
    return drawn
