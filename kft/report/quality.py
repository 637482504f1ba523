"""Sections about how good the model is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kft import plots
from kft.evaluation import show
from kft.plots import evaluation as evaluation_plots
from kft.report.markup import Html, Section, chart, keys, name, scrolling, table, text, value
from kft.report.source import Source

if TYPE_CHECKING:
    from kft.evaluation import Evaluation

MAX_CLASSES = 100
MAX_CONFUSION_TABLE = 30
MAX_CONFUSED_PAIRS = 10


def summary(source: Source) -> Section | None:
    """The figures of the evaluation, large."""
    found = source.evaluation
    if found is None:
        note = "No evaluation was given: this page shows the training alone."
        return Section("summary", "Summary", Html(f"<p>{note}</p>"))
    cards = []
    fraction = found.task != "regression"
    lines = zip(found.figures.values(), show.headline(found), strict=True)
    for figure, (label, _, meaning) in lines:
        cards.append(
            f"<div><dt>{text(label)}</dt><dd class=figure>{value(figure, fraction=fraction)}</dd>"
            f"<dd>{text(meaning)}</dd></div>"
        )
    what = show.title(found)
    if source.examples is not None:
        what += f", from {source.examples.source}"
    body = f'<p>{text(what)}.</p><dl class="cards">{"".join(cards)}</dl>'
    return Section("summary", "Summary", Html(body))


def classes(source: Source) -> Section | None:
    """Precision, recall and F1 of each class."""
    found = source.evaluation
    if found is None or found.task == "regression":
        return None
    rows = []
    for one in show.shown_classes(found, MAX_CLASSES):
        fractions = (one.precision, one.recall, one.f1, one.roc_auc, one.average_precision)
        counts = (f"{one.support:,}", f"{one.predicted:,}")
        rows.append((name(one.name), *map(value, fractions), *counts))
    caption = f"{show.classes_caption(found, MAX_CLASSES)}: each against the rest"
    body = table(caption, ("class", *show.CLASS_COLUMNS), rows)
    missing = [one.name for one in found.per_class if not one.support]
    if missing:
        listed = ", ".join(name(one) for one in missing[:10]) + (
            " ..." if len(missing) > 10 else ""
        )
        body = Html(f'<p class="notice">Not in the evaluated data: {listed}.</p>{body}')
    return Section("classes", "By class", body)


def confusion(source: Source) -> Section | None:
    """The confusion matrix, and the pairs of classes that are confused most."""
    found = source.evaluation
    if found is None or found.task != "single_label":
        return None
    matrix = found.confusion_matrix
    note = "Rows are the true classes, columns the predicted ones."
    if len(found.classes) <= MAX_CONFUSION_TABLE:
        note += (
            " Blue shows how much of a row is right; orange shows errors, "
            "the darkest being the largest fraction of a row."
        )
        body = _confusion_table(found)
    else:
        description = f"{len(found.classes)} classes by number, from 0; the diagonal is right."
        drawn = plots.confusion(found)
        body = chart("confusion", drawn, title="Confusion matrix", description=description)
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_CONFUSED_PAIRS]
    pairs = [np.unravel_index(i, matrix.shape) for i in order if wrong.flat[i]]
    if pairs and len(found.classes) > 2:
        rows = [
            (
                name(found.classes[t]),
                name(found.classes[p]),
                f"{matrix[t, p]:,}",
                value(matrix[t, p] / matrix[t].sum()),
            )
            for t, p in pairs
        ]
        head = ("true", "predicted", "examples", "of the true class")
        more = table("Most frequent confusions", head, rows, words=2)
        body = Html(f'<div class="beside">{body}{more}</div>')
    return Section("confusion", "Confusion matrix", Html(f"<p>{note}</p>{body}"))


def curves(source: Source) -> Section | None:
    """Reliability diagram, ROC and precision-recall curves; of a regression, the residuals."""
    found = source.evaluation
    if found is None:
        return None
    if found.task == "regression":
        count = min(len(found), evaluation_plots.MAX_POINTS)
        description = (
            f"{count:,} of {len(found):,} examples; on the dashed line a prediction is exact."
        )
        drawn = plots.residuals(found)
        body = chart(
            "residuals", drawn, title="Predicted against expected", description=description
        )
        return Section("curves", "Predictions", Html(f'<div class="charts">{body}</div>'))
    error = show.number(found.calibration_error)
    charts = [
        chart(
            "reliability",
            plots.reliability(found),
            title="Reliability",
            description="Bars on the dashed line are calibrated; "
            f"expected calibration error {error}, 15 bins.",
        )
    ]
    for anchor, title, draw, figure, label in (
        ("roc", "ROC", plots.roc, "roc_auc", "area"),
        (
            "pr",
            "Precision and recall",
            plots.precision_recall,
            "average_precision",
            "avg. precision",
        ),
    ):
        shown = evaluation_plots.colored(found, figure)
        if not shown:
            continue
        rest = " The weakest are in colour." if len(shown) < len(found.classes) else ""
        legend = [(found.classes[i], value(getattr(found.per_class[i], figure))) for i in shown]
        description = f"Each class against the rest, with its {label}.{rest}"
        drawn = draw(found, with_legend=False)
        charts.append(chart(anchor, drawn, title=title, description=description, more=keys(legend)))
    return Section(
        "curves", "Confidence and ranking", Html(f'<div class="charts">{"".join(charts)}</div>')
    )


def _confusion_table(found: Evaluation) -> Html:
    head = "".join(f'<th scope="col">{name(one)}</th>' for one in found.classes)
    lines = []
    matrix = found.confusion_matrix
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # Next to a diagonal near 1 the errors would all be white, so they have a scale of their own.
    worst = float((shares - np.diag(np.diag(shares))).max()) or 1.0
    for i, row in enumerate(matrix):
        cells = []
        for j, count in enumerate(row):
            kind, whole = ("right", 1.0) if i == j else ("wrong", worst)
            share = shares[i, j] / whole
            cells.append(f'<td class="{kind}" style="--share:{share:.3f}">{count:,}</td>')
        lines.append(f'<tr><th scope="row">{name(found.classes[i])}</th>{"".join(cells)}</tr>')
    body = (
        '<table class="confusion"><caption>Counts, true by predicted</caption><thead><tr>'
        f'<th scope="col">true \\ predicted</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )
    return scrolling("Confusion matrix", Html(body))
