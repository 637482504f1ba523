"""The HTML page of the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kft.cli.demo.comparison import WAYS, Comparison
from kft.plots.style import DASHES, SERIES, Figure, figure, legend, style_axes
from kft.report import page as report_page
from kft.report.markup import Html, Section, chart, plain_table, scrolling, table, text, value


def write_page(path: Path, comparison: Comparison, plan: str) -> Path:
    """Write the figures, as a chart and a table, and the plan as one HTML page.

    Args:
        path: The file to write.
        comparison: The figures.
        plan: The table of the stages, as HTML.
    """
    sections = [
        Section("comparison", "Three ways to learn new digits", _comparison(comparison)),
        Section("plan", "What the stages trained", scrolling("Stage plan", plain_table(plan))),
    ]
    return report_page.write_page(path, "kft demo", sections)


def draw_accuracies(comparison: Comparison) -> Figure:
    """Return a chart of test accuracy by number of examples: lines for means, dots for seeds."""
    drawn = figure((8.0, 4.5))
    axes = drawn.add_subplot()
    sizes = comparison.sizes
    for way, color, dash in zip(WAYS, SERIES, DASHES[len(WAYS) - 1 :: -1], strict=False):
        reached = np.array([comparison.accuracies(way, examples) for examples in sizes])
        axes.plot(sizes, reached, "o", color=color, markersize=3.5, alpha=0.45, label="_seeds")
        axes.plot(
            sizes, reached.mean(axis=1), color=color, linestyle=dash, linewidth=2.2, label=way
        )
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(examples) for examples in sizes], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1)
    style_axes(axes, x="labelled examples of each digit", y="accuracy on the test digits")
    legend(axes, list(WAYS), columns=len(WAYS))
    return drawn


def _comparison(comparison: Comparison) -> Html:
    seeds = comparison.seeds
    rows = [
        (str(examples), way, *map(value, accuracies), value(float(np.mean(accuracies))))
        for examples, way, accuracies in comparison.rows()
    ]
    head = ("of each digit", "way", *(f"seed {seed}" for seed in seeds), "mean")
    means = ", ".join(
        f"{way} with {examples} {np.mean(accuracies):.3f}"
        for examples, way, accuracies in comparison.rows()
    )
    accuracies = chart(
        "accuracies",
        draw_accuracies(comparison),
        title="Accuracy by the number of examples",
        description=f"Lines: the mean over {len(seeds)} seeds; dots: each seed. {means}.",
    )
    return Html(
        "<p>A small model learned the digits 0 to 4, turned and mirrored. Each way then learned "
        f"from a few pictures of 5 to 9, and was tested on {comparison.test} others, on which no choice was "
        f"made.</p><p>{text(comparison.verdict())}</p>"
        f"{table('Accuracy on the test digits', head, rows, words=2)}{accuracies}"
    )
