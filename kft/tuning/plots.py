"""Plots of a search, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from kft.plots.style import (
    DASHES,
    GRID,
    INK,
    MUTED,
    SERIES,
    Figure,
    figure,
    legend,
    short,
    style_axes,
)
from kft.tuning.importance import coordinates, importance
from kft.tuning.values import searched, shown

if TYPE_CHECKING:
    from kft.tuning.result import Search


def progress(search: Search) -> Figure:
    """Plot the score of each trial, and the best so far."""
    done = [trial for trial in search.trials if trial.score is not None]
    best = np.maximum if search.objective.direction == "max" else np.minimum
    numbers = [trial.number for trial in done]
    scores = np.array([trial.score for trial in done])
    drawn = figure((6.0, 3.5))
    axes = drawn.add_subplot()
    axes.plot(numbers, scores, "o", color=SERIES[1], markersize=5, label="trial")
    axes.plot(
        numbers,
        best.accumulate(scores),
        color=SERIES[0],
        linestyle=DASHES[0],
        drawstyle="steps-post",
        label="best",
    )
    style_axes(axes, x="trial", y=search.objective.name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend(axes, ["trial", "best so far"])
    return drawn


def parallel(search: Search) -> Figure:
    """Plot a line for each trial through its values; better trials are darker."""
    done = [trial for trial in search.trials if trial.score is not None]
    names, places = coordinates(done)
    ranks = _ranks(search, [float(trial.score or 0.0) for trial in done])
    drawn = figure((max(5.0, 1.3 * (len(names) + 1)), 4.0))
    axes = drawn.add_subplot()
    scores = np.array([trial.score for trial in done])
    spread = float(np.ptp(scores)) or 1.0
    for index in np.argsort(ranks):
        line = [*places[index], (scores[index] - scores.min()) / spread]
        axes.plot(
            range(len(line)),
            line,
            color=SERIES[0] if ranks[index] > 0.75 else MUTED,
            alpha=0.25 + 0.7 * float(ranks[index]),
            linewidth=2.2 if ranks[index] == 1 else 1.2,
            marker="o",
            markersize=3,
        )
    for place, name in enumerate(names):
        values = [searched(trial).get(name) for trial in done]
        present = [value for value in values if value is not None]
        low, high = _ends(present)
        axes.axvline(place, color=GRID, linewidth=0.8, zorder=0)
        axes.text(place, -0.04, low, ha="center", va="top", fontsize=9, color=INK)
        axes.text(place, 1.04, high, ha="center", va="bottom", fontsize=9, color=INK)
    last = len(names)
    axes.text(last, -0.04, shown(float(scores.min())), ha="center", va="top", fontsize=9, color=INK)
    axes.text(
        last, 1.04, shown(float(scores.max())), ha="center", va="bottom", fontsize=9, color=INK
    )
    style_axes(axes, x="", y="", grid="")
    axes.set_ylim(-0.15, 1.15)
    axes.set_yticks([])
    axes.set_xticks(range(last + 1))
    axes.set_xticklabels([short(name, 14) for name in (*names, search.objective.name)])
    return drawn


def importances(search: Search) -> Figure:
    """Plot the share of the variance of the scores that each hyperparameter explains."""
    found = importance(search)
    drawn = figure((5.5, 0.5 + 0.4 * max(2, len(found))))
    axes = drawn.add_subplot()
    names = list(found)[::-1]
    axes.barh(range(len(names)), [found[name] for name in names], color=SERIES[0], height=0.6)
    style_axes(axes, x="share of the variance of scores", y="", grid="x")
    axes.set_xlim(0, 1)
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels([short(name) for name in names])
    return drawn


def heat_map(search: Search, rate: str, depth: str = "unfreeze", bins: int = 5) -> Figure:
    """Plot the best score in each cell of rate and depth.

    Args:
        search: The search.
        rate: The name of the rate.
        depth: The name of the depth.
        bins: The number of bins of rates, evenly spaced on a log scale.
    """
    cells, depths, edges = heat(search, rate, depth, bins)
    drawn = figure((6.0, 1.6 + 0.5 * len(depths)))
    axes = drawn.add_subplot()
    present = [score for row in cells for score in row if score is not None]
    low, high = min(present), max(present)
    for row, scores in enumerate(cells):
        for column, score in enumerate(scores):
            if score is None:
                continue
            share = (score - low) / (high - low) if high > low else 1.0
            share = share if search.objective.direction == "max" else 1.0 - share
            axes.barh(
                row,
                1,
                left=column,
                height=0.96,
                color=SERIES[0],
                alpha=0.12 + 0.6 * share,
                zorder=1,
            )
            axes.text(
                column + 0.5, row, f"{score:.3f}", ha="center", va="center", fontsize=10, color=INK
            )
    style_axes(axes, x=rate, y="blocks unfrozen", grid="")
    axes.set_xlim(0, len(edges) - 1)
    axes.set_xticks(range(len(edges)))
    axes.set_xticklabels([f"{edge:.2g}" for edge in edges])
    axes.set_yticks(range(len(depths)))
    axes.set_yticklabels([str(value) for value in depths])
    return drawn


def heat(
    search: Search, rate: str, depth: str, bins: int
) -> tuple[list[list[float | None]], list[Any], list[float]]:
    """Return the best scores by depth (rows) and rate (columns), the depths, and the rates' edges."""
    done = [trial for trial in search.trials if trial.score is not None and rate in searched(trial)]
    depths = sorted({searched(trial).get(depth, 0) for trial in done}, key=_order)
    logs = np.log10([searched(trial)[rate] for trial in done])
    low, high = float(logs.min()), float(logs.max())
    high = high if high > low else low + 1.0
    cells: list[list[float | None]] = [[None] * bins for _ in depths]
    for trial, log in zip(done, logs, strict=True):
        row = depths.index(searched(trial).get(depth, 0))
        column = min(bins - 1, int((log - low) / (high - low) * bins))
        known = cells[row][column]
        assert trial.score is not None
        if known is None or search.objective.better_than(trial.score, known):
            cells[row][column] = trial.score
    return cells, depths, [10 ** (low + (high - low) * edge / bins) for edge in range(bins + 1)]


def _ranks(search: Search, scores: Sequence[float]) -> np.ndarray:
    """Return ranks from 0 for the worst score to 1 for the best."""
    signed = np.array(scores) * (1 if search.objective.direction == "max" else -1)
    return np.argsort(np.argsort(signed, kind="stable")) / max(1, len(signed) - 1)


def _ends(values: Sequence[Any]) -> tuple[str, str]:
    ordered = sorted(set(values), key=_order)
    return shown(ordered[0]), shown(ordered[-1])


def _order(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value
