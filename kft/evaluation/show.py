"""An evaluation as tables: for the terminal, and as HTML for a notebook."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from kft.printing import printable

if TYPE_CHECKING:
    from kft.evaluation.classification import ClassMetrics
    from kft.evaluation.result import Evaluation

LABELS = {
    "accuracy": ("accuracy", "fraction of right answers"),
    "subset_accuracy": ("subset accuracy", "fraction of examples with every label right"),
    "precision": ("precision", "mean over the classes"),
    "recall": ("recall", "mean over the classes"),
    "f1": ("F1", "mean over the classes"),
    "f1_micro": ("F1, micro", "all decisions pooled"),
    "mean_average_precision": ("mAP", "mean average precision"),
    "roc_auc": ("ROC AUC", "mean over the classes, each against the rest"),
    "calibration_error": ("calibration error", "gap between confidence and accuracy; 0 is best"),
    "baseline_accuracy": ("baseline", "accuracy of always answering the most frequent class"),
    "rmse": ("RMSE", "root mean squared error, in the targets' unit"),
    "mae": ("MAE", "mean absolute error, in the targets' unit"),
    "r2": ("R²", "fraction of the variance explained"),
}
CLASS_COLUMNS = ("precision", "recall", "F1", "ROC AUC", "avg. precision", "examples", "predicted")
MAX_CLASSES = 30
MAX_CONFUSION = 12


def number(value: float | None, fraction: bool = True) -> str:
    """A figure for people: a fraction with four decimals, others with four digits."""
    if value is None:
        return "n/a"
    return f"{value:.4f}" if fraction else f"{value:.4g}"


def title(evaluation: Evaluation) -> str:
    """What was evaluated, in a line."""
    examples = "1 example" if len(evaluation) == 1 else f"{len(evaluation):,} examples"
    if evaluation.task == "regression":
        return f"Regression, {examples}"
    kind = "Single label" if evaluation.task == "single_label" else "Multi-label"
    return f"{kind}, {examples}, {len(evaluation.classes)} classes"


def headline(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Label, value and meaning of each figure that is a single number."""
    rows = []
    for name, value in evaluation.figures.items():
        label, meaning = LABELS[name]
        if name == "accuracy":
            low, high = evaluation.accuracy_interval
            meaning += f" (95 % interval {low:.4f} to {high:.4f})"
        rows.append((label, number(value, fraction=evaluation.task != "regression"), meaning))
    return rows


def class_cells(one: ClassMetrics) -> tuple[str, ...]:
    """The cells of a class' row, in the order of `CLASS_COLUMNS`."""
    values = (one.precision, one.recall, one.f1, one.roc_auc, one.average_precision)
    return (*map(number, values), f"{one.support:,}", f"{one.predicted:,}")


def shown_classes(evaluation: Evaluation, limit: int = MAX_CLASSES) -> list[ClassMetrics]:
    """All classes in their own order, or the `limit` with the lowest F1 when there are more."""
    classes = list(evaluation.per_class)
    if len(classes) <= limit:
        return classes
    return sorted(classes, key=lambda one: (one.f1 is None, one.f1))[:limit]


def classes_caption(evaluation: Evaluation, limit: int = MAX_CLASSES) -> str:
    """What the per-class table shows."""
    count = len(evaluation.per_class)
    return "By class" if count <= limit else f"The {limit} classes of {count} with the lowest F1"


def tables(evaluation: Evaluation) -> Iterator[Table]:
    """The tables of a terminal, one after the other."""
    table = Table(title=title(evaluation), title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for row in headline(evaluation):
        table.add_row(*row)
    yield table
    if evaluation.task == "regression":
        return

    table = Table(title=classes_caption(evaluation), title_justify="left")
    table.add_column("class", overflow="fold")
    for column in CLASS_COLUMNS:
        table.add_column(column, justify="right")
    for one in shown_classes(evaluation):
        table.add_row(printable(one.name), *class_cells(one))
    yield table

    if evaluation.task == "single_label" and len(evaluation.classes) <= MAX_CONFUSION:
        table = Table(
            title="Confusion matrix: rows are true, columns predicted", title_justify="left"
        )
        table.add_column("true", overflow="fold")
        for name in evaluation.classes:
            table.add_column(printable(name), justify="right")
        for name, row in zip(evaluation.classes, evaluation.confusion_matrix, strict=True):
            table.add_row(printable(name), *(f"{count:,}" for count in row))
        yield table


def as_text(evaluation: Evaluation, width: int = 100) -> str:
    """The tables as plain text, without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_jupyter=False)
    console.print(*tables(evaluation), sep="\n\n")
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def as_html(evaluation: Evaluation) -> str:
    """The tables as HTML without colours of its own, so that they suit light and dark notebooks."""
    parts = [_table(title(evaluation), ("figure", "value", "meaning"), headline(evaluation))]
    if evaluation.task != "regression":
        classes = [(one.name, *class_cells(one)) for one in shown_classes(evaluation)]
        parts.append(_table(classes_caption(evaluation), ("class", *CLASS_COLUMNS), classes))
    if evaluation.task == "single_label" and len(evaluation.classes) <= MAX_CONFUSION:
        named = zip(evaluation.classes, evaluation.confusion_matrix, strict=True)
        counts = [(name, *(f"{count:,}" for count in row)) for name, row in named]
        caption = "Confusion matrix: rows are true, columns predicted"
        parts.append(_table(caption, ("true", *evaluation.classes), counts))
    return "\n".join(parts)


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return (
        f'<table><caption style="text-align:left">{escape(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )
