"""The page that the demo ends with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kft.cli.demo.comparison import WAYS, Comparison
from kft.plots.style import DASHES, SERIES, Figure, dress, figure, legend
from kft.report import page as report_page
from kft.report.markup import Html, Section, chart, plain_table, scrolling, table, text, value


def write_page(path: Path, comparison: Comparison, plan: str) -> Path:
    """Write the curves, the figures and the plan as one HTML page.

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


def draw_curves(comparison: Comparison) -> Figure:
    """Test accuracy by epoch: a thick line for the mean of a way, thin ones for its seeds."""
    drawn = figure((8.0, 4.5))
    axes = drawn.add_subplot()
    for way, color, dash in zip(WAYS, SERIES, DASHES, strict=False):
        mean = comparison.mean_curve(way)
        epochs = np.arange(1, len(mean) + 1)
        for seed in comparison.seeds:
            curve = comparison.curves[way, seed]
            axes.plot(epochs, curve, color=color, linewidth=0.7, alpha=0.35, label="_seed")
        axes.plot(epochs, mean, color=color, linestyle=dash, linewidth=2.2, label=way)
    axes.set_ylim(0, 1)
    dress(axes, x="epoch", y="accuracy on the test digits")
    legend(axes, list(WAYS), columns=len(WAYS))
    return drawn


def _comparison(comparison: Comparison) -> Html:
    seeds = comparison.seeds
    rows = [
        (way, *map(value, accuracies), value(float(np.mean(accuracies))))
        for way, accuracies in comparison.rows()
    ]
    head = ("way", *(f"seed {seed}" for seed in seeds), "mean")
    ends = ", ".join(f"{way} {np.mean(accuracies):.3f}" for way, accuracies in comparison.rows())
    curves = chart(
        "curves",
        draw_curves(comparison),
        title="Accuracy by epoch",
        description=f"Thick: the mean over {len(seeds)} seeds; thin: each seed. At the end {ends}.",
    )
    return Html(
        f"<p>A small model learned the digits 0 to 4. {comparison.examples} pictures each of 5 to "
        f"9 were then learned from, and {comparison.test} others judged. Nothing was chosen by "
        f"those.</p><p>{text(comparison.verdict())}</p>"
        f"{table('Accuracy on the test digits', head, rows)}{curves}"
    )
