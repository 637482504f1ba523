"""Drawings of evaluations, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.ticker import MaxNLocator
from sklearn import metrics

from kft.plots.style import DASHES, GRID, INK, MUTED, SERIES, figure, legend, short, style_axes
from kft.plots.style import Figure as Drawing

if TYPE_CHECKING:
    from kft.tasks.evaluation.classes import ClassEvaluation
    from kft.tasks.evaluation.figures import Figures
    from kft.tasks.evaluation.regression import RegressionEvaluation
    from kft.tasks.evaluation.single_label import SingleLabelEvaluation

MAX_LINES = 8
MAX_NAMES = 30
MAX_POINTS = 2000
# From transparent to blue, to suit any background; with a square-root scale, so that errors show.
HEAT = LinearSegmentedColormap.from_list("heat", [(0.12, 0.45, 0.78, 0.0), (0.12, 0.45, 0.78, 1.0)])


def bars(figures: Figures) -> Drawing:
    """Draw a bar per figure, all from 0 on one common scale."""
    known = [one for one in figures.described if one.value is not None]
    drawn = figure((5.0, 1.0 + 0.36 * max(len(known), 1)))
    axes = drawn.add_subplot()
    places = range(len(known))
    values = [float(one.value or 0.0) for one in known]
    axes.barh(places, values, color=SERIES[0], alpha=0.75)
    axes.set_yticks(places, [short(one.label) for one in known], parse_math=False)
    axes.invert_yaxis()
    for place, one in enumerate(known):
        side = "right" if values[place] < 0 else "left"
        axes.annotate(
            str(one), (values[place], place), (-4 if side == "right" else 4, 0), ha=side,
            va="center", textcoords="offset points", color=INK, fontsize=10,
        )  # fmt: skip
    style_axes(axes, x="", y="", grid="x")
    axes.margins(x=0.2)
    return drawn


def intervals(rows: Mapping[str, Figures], names: Sequence[str]) -> Drawing:
    """Draw a dot with its 95 % interval per row and figure, from 0 to 1, except undefined figures.

    Args:
        rows: The figures of each row by its name, from top to bottom.
        names: The figures to draw, each in its own axes.
    """
    drawn = figure((3.0 + 2.4 * len(names), 1.1 + 0.34 * len(rows)))
    for axes, name in zip(
        np.atleast_1d(drawn.subplots(1, len(names), sharey=True)), names, strict=True
    ):
        for place, figures in enumerate(rows.values()):
            one = figures.figure(name)
            if one.value is None or one.interval is None:
                continue
            color = SERIES[0] if place else INK
            axes.plot(one.interval, [place, place], color=color, linewidth=2, alpha=0.6)
            axes.plot([one.value], [place], "o", color=color, markersize=6)
        style_axes(axes, x=name, y="", grid="x")
        axes.set_xlim(-0.02, 1.02)
    axes.set_yticks(range(len(rows)), [short(name) for name in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    return drawn


def coloured_bars(
    names: Sequence[str], values: Sequence[float | None], colours: np.ndarray, label: str = "IoU"
) -> Drawing:
    """Draw a bar from 0 to 1 per class, in its colour; a class without a value has none.

    Args:
        names: The classes.
        values: The value of each class.
        colours: The colour of each class, uint8 `[k, 3]`.
        label: The name of the values.
    """
    drawn = figure((5.0, 1.0 + 0.3 * len(names)))
    axes = drawn.add_subplot()
    axes.barh(range(len(names)), [one or 0.0 for one in values], color=colours / 255)
    axes.set_yticks(range(len(names)), [short(name) for name in names], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    style_axes(axes, x=label, y="", grid="x")
    return drawn


def confusion(found: SingleLabelEvaluation) -> Drawing:
    """Draw the confusion matrix; colours are fractions of the true class, numbers are counts."""
    matrix, count = found.confusion_matrix, len(found.classes)
    named = count <= MAX_NAMES
    side = max(4.4, 0.42 * count + 1.8) if named else 6.0
    drawn = figure((side + 0.6, side))
    axes = drawn.add_subplot()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap=HEAT, norm=PowerNorm(0.5, 0.0, 1.0))
    style_axes(axes, x="predicted", y="true", grid="")
    bar = drawn.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("fraction of the true class", color=MUTED, fontsize=11)
    bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=11, length=0)
    bar.outline.set_visible(False)
    bar.ax.set_facecolor("none")
    if named:
        names = [short(name) for name in found.classes]
        axes.set_xticks(range(count), names, rotation=45, ha="right", parse_math=False)
        axes.set_yticks(range(count), names, parse_math=False)
        for (row, column), value in np.ndenumerate(matrix):
            color = "white" if share[row, column] > 0.55 else INK
            axes.text(column, row, f"{value:,}", ha="center", va="center", color=color, fontsize=9)
    return drawn


def reliability(found: ClassEvaluation) -> Drawing:
    """Draw accuracy against confidence in 15 bins, and the number of predictions per bin."""
    bins = found.reliability
    drawn = figure()
    grid = drawn.add_gridspec(2, 1, height_ratios=(3, 1))
    axes, below = drawn.add_subplot(grid[0]), drawn.add_subplot(grid[1])
    filled = [one for one in bins if one.count]
    width = (bins[0].upper - bins[0].lower) * 0.92
    middles = [(one.lower + one.upper) / 2 for one in filled]
    heights = [one.accuracy or 0.0 for one in filled]
    axes.bar(middles, heights, width=width, color=SERIES[0], alpha=0.75)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.2, linestyle=DASHES[1])
    style_axes(axes, x="", y="accuracy")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.tick_params(labelbottom=False)
    below.bar(middles, [one.count for one in filled], width=width, color=MUTED)
    style_axes(below, x="confidence", y="count")
    below.set_xlim(0, 1)
    below.tick_params(axis="x", pad=6)
    below.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    drawn.align_ylabels()
    return drawn


def roc(found: ClassEvaluation, *, with_legend: bool = True) -> Drawing:
    """Draw ROC curves, each class against the rest; of more than 8 the 8 weakest are highlighted."""
    drawn = figure()
    axes = drawn.add_subplot()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=DASHES[2], label="_chance")
    shown = colored(found, "roc_auc")
    for index in _back_to_front(found, shown, "roc_auc"):
        x, y, _ = metrics.roc_curve(*found.one_against_rest(index))
        x, y = _thinned(x, y)
        _curve(axes, x, y, shown, index)
    style_axes(axes, x="false positive rate", y="true positive rate", grid="both")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    if with_legend:
        legend(axes, [found.classes[i] for i in shown])
    return drawn


def precision_recall(found: ClassEvaluation, *, with_legend: bool = True) -> Drawing:
    """Draw precision-recall curves of the classes; of more than 8 the 8 weakest are highlighted."""
    drawn = figure()
    axes = drawn.add_subplot()
    shown = colored(found, "average_precision")
    for index in _back_to_front(found, shown, "average_precision"):
        y, x, _ = metrics.precision_recall_curve(*found.one_against_rest(index))
        x, y = _thinned(x, y)
        _curve(axes, x, y, shown, index, drawstyle="steps-post")
    style_axes(axes, x="recall", y="precision", grid="both")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    if with_legend:
        legend(axes, [found.classes[i] for i in shown])
    return drawn


def residuals(found: RegressionEvaluation) -> Drawing:
    """Draw predicted against expected values, at most 2,000 evenly spaced examples."""
    drawn = figure()
    axes = drawn.add_subplot()
    targets, scores = found.some(MAX_POINTS)
    low, high = min(targets.min(), scores.min()), max(targets.max(), scores.max())
    axes.plot([low, high], [low, high], color=MUTED, linewidth=1.2, linestyle=DASHES[1])
    for i in range(targets.shape[1]):
        color = SERIES[i % len(SERIES)]
        axes.plot(targets[:, i], scores[:, i], ".", color=color, markersize=5, alpha=0.6)
    style_axes(axes, x="expected", y="predicted", grid="both")
    return drawn


def colored(found: ClassEvaluation, figure_name: str) -> list[int]:
    """Return the classes with coloured curves, in the order of the colours: all, or the 8 weakest."""
    known = _known(found, figure_name)
    if len(known) > MAX_LINES:
        known = sorted(known, key=lambda i: getattr(found.per_class[i], figure_name))[:MAX_LINES]
    return known


def _known(found: ClassEvaluation, figure_name: str) -> list[int]:
    return [i for i, one in enumerate(found.per_class) if getattr(one, figure_name) is not None]


def _back_to_front(found: ClassEvaluation, shown: list[int], figure_name: str) -> list[int]:
    return [i for i in _known(found, figure_name) if i not in shown] + shown


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a curve to at most 2,000 points: one per example would make pages of gigabytes."""
    chosen = np.unique(np.linspace(0, len(x) - 1, MAX_POINTS).astype(int))
    return x[chosen], y[chosen]


def _curve(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    shown: list[int],
    index: int,
    drawstyle: str = "default",
) -> None:
    if index not in shown:
        axes.plot(x, y, color=GRID, linewidth=0.8, drawstyle=drawstyle, label="_rest")
        return
    place = shown.index(index)
    axes.plot(
        x,
        y,
        color=SERIES[place % len(SERIES)],
        linestyle=DASHES[place % len(DASHES)],
        linewidth=1.8,
        drawstyle=drawstyle,
        label=str(place),
    )
