"""Curves of a run: losses and metrics by epoch, learning rates, and boundaries of stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kft.plots.style import (
    DASHES,
    INK,
    MUTED,
    SERIES,
    SHADE,
    Figure,
    figure,
    legend,
    short,
    style_axes,
)

RATES = ("learning_rate", "lr")


@dataclass(frozen=True)
class StageSpan:
    """The epochs of one stage, counted from 1, both included."""

    name: str
    first: int
    last: int


def metric_names(history: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the metrics in a history, the loss first, without the prefix `val_`."""
    names = [name.removeprefix("val_") for name, values in history.items() if len(values)]
    kept = [n for n in dict.fromkeys(names) if n != "stage" and not n.startswith(RATES)]
    kept = [n for n in kept if _is_numeric(history, n)]
    return sorted(kept, key=lambda name: name != "loss")


def rate_names(history: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the learning rates in a history: the head's, and any that were logged for a group."""
    return [name for name, values in history.items() if name.startswith(RATES) and len(values)]


def epoch_count(history: Mapping[str, Sequence[Any]]) -> int:
    """Return the number of finished epochs."""
    return max((len(values) for values in history.values()), default=0)


def stage_spans(history: Mapping[str, Sequence[Any]]) -> list[StageSpan]:
    """Return the stages in order, from the history's `stage`; empty if it has none."""
    stages = [s if isinstance(s, str) else int(s) for s in history.get("stage", ())]
    # Stages are shown from 1, even if the log counts from 0.
    shift = 1 if 0 in stages else 0
    spans: list[StageSpan] = []
    for epoch, stage in enumerate(stages, start=1):
        name = stage if isinstance(stage, str) else f"stage {stage + shift}"
        if spans and stages[epoch - 2] == stage:
            spans[-1] = StageSpan(name, spans[-1].first, epoch)
        else:
            spans.append(StageSpan(name, epoch, epoch))
    return spans


def numbers(values: Sequence[Any]) -> np.ndarray:
    """Return a column of a history as floats; missing and infinite values become NaN, a gap."""
    column = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.where(np.isfinite(column), column, np.nan)


def curves(history: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw all curves of a run in one figure: losses, metrics, learning rate, stage boundaries.

    Args:
        history: As in `keras.callbacks.History.history`: a list by epoch for each name, with the prefix
            `val_` for validation; `stage` and `learning_rate` are drawn if present.
    """
    names = metric_names(history)
    panels = [*names, *(["learning rate"] if rate_names(history) else [])]
    columns = min(len(panels), 3) or 1
    rows = max(1, -(-len(panels) // columns))
    drawn = figure((4.6 * columns, 3.3 * rows))
    for i, name in enumerate(panels):
        axes = drawn.add_subplot(rows, columns, i + 1)
        if i < len(names):
            _draw_metric(axes, history, name)
        else:
            draw_rates(axes, history)
    return drawn


def metric(history: Mapping[str, Sequence[Any]], name: str) -> Figure:
    """Draw one metric by epoch, for training and validation."""
    drawn = figure()
    _draw_metric(drawn.add_subplot(), history, name)
    return drawn


def learning_rates(history: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw the learning rates by epoch on a logarithmic axis."""
    drawn = figure()
    draw_rates(drawn.add_subplot(), history)
    return drawn


def _draw_metric(axes: Axes, history: Mapping[str, Sequence[Any]], name: str) -> None:
    names = []
    for key, label, color in ((name, "training", 0), (f"val_{name}", "validation", 1)):
        if len(history.get(key, ())):
            _line(axes, numbers(history[key]), color)
            names.append(label)
    _epochs(axes, history, name)
    legend(axes, names)


def draw_rates(
    axes: Axes, history: Mapping[str, Sequence[Any]], *, with_legend: bool = True
) -> None:
    """Draw the learning rates of a history into axes."""
    names = rate_names(history)
    positive = False
    for i, name in enumerate(names):
        values = numbers(history[name])
        values[~(values > 0)] = np.nan  # a logarithmic axis cannot show 0
        positive = positive or bool(np.isfinite(values).any())
        _line(axes, values, i, drawstyle="steps-mid")
    if positive:
        axes.set_yscale("log")
    _epochs(axes, history, "learning rate")
    if not with_legend:
        return
    groups = [name.removeprefix("learning_rate").strip("_/ ") for name in names]
    legend(axes, [group or "learning rate" for group in groups])


def _line(axes: Axes, values: np.ndarray, index: int, drawstyle: str = "default") -> None:
    # A point between two gaps would be invisible without a marker.
    marker = "o" if len(values) <= 40 else ""
    axes.plot(
        np.arange(1, len(values) + 1),
        values,
        color=SERIES[index % len(SERIES)],
        linestyle=DASHES[index % len(DASHES)],
        linewidth=1.8,
        marker=marker,
        markersize=3.5,
        drawstyle=drawstyle,
        label=str(index),
    )


def _epochs(axes: Axes, history: Mapping[str, Sequence[Any]], y: str) -> None:
    style_axes(axes, x="epoch", y=short(y.replace("_", " "), 30))
    axes.set_xlim(0.5, max(epoch_count(history), 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=8))
    spans = stage_spans(history)
    if len(spans) < 2:
        return
    for i, span in enumerate(spans):
        if i % 2:
            axes.axvspan(span.first - 0.5, span.last + 0.5, color=SHADE, zorder=0, linewidth=0)
        if i:
            axes.axvline(span.first - 0.5, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        # A stage too narrow for its name gets only its number; the table of the plan has the name.
        wide = (span.last - span.first + 1) / max(spans[-1].last, 1) > 0.06 + 0.022 * len(span.name)
        axes.text(
            (span.first + span.last) / 2,
            0.985,
            short(span.name) if wide else str(i + 1),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=10,
            color=INK,
            parse_math=False,
        )
    axes.margins(y=0.14)


def _is_numeric(history: Mapping[str, Sequence[Any]], name: str) -> bool:
    columns = [history.get(name, ()), history.get(f"val_{name}", ())]
    values = [value for column in columns for value in column if value is not None]
    return bool(values) and all(np.isscalar(v) and not isinstance(v, str | bytes) for v in values)
