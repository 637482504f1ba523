"""What a model says about raw inputs: labels and probabilities, as values, a table or a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

BETWEEN = "|"  # between several labels, as in the tables that kft reads
WIDEST = 100  # letters of a cell that prints


@dataclass(frozen=True)
class Prediction:
    """The answer for one input.

    Attributes:
        label: The class; for several labels a tuple of classes, for regression a number, or a tuple
            of numbers.
        score: The probability of the label; None for several labels and for regression.
        scores: Class to probability, most probable first; empty for regression.
    """

    label: Any
    score: float | None
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Predictions(Sequence):
    """The answers for a list of inputs, in their order; prints as a table.

    Args:
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        inputs: What to call each input in the table.
        scores: What the model said, `(n, classes)`.
        classes: Names of the columns of `scores`, None for regression.
        threshold: Score from which on a class is one of several labels.
        limit: How many of the most probable classes are kept for each input, see `top`; None for
            all, of which tables show the label.
    """

    task: str
    inputs: Sequence[str]
    scores: np.ndarray
    classes: tuple[str, ...] | None = None
    threshold: float = 0.5
    limit: int | None = None

    @property
    def labels(self) -> list[Any]:
        """The label of each input, see `Prediction`."""
        return [prediction.label for prediction in self]

    def top(self, k: int) -> Predictions:
        """Return the same answers, of which tables and files show the `k` most probable classes.

        Args:
            k: How many classes, from 1 to all of them.

        Raises:
            InputError: If there are not so many classes, or none, as in regression.
        """
        if self.classes is None:
            raise InputError(f"`top({k!r})`: regression answers with numbers and has no classes.")
        if not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= len(self.classes):
            raise InputError(
                f"`top({k!r})`: there are {len(self.classes)} classes; pass 1 to "
                f"{len(self.classes)}."
            )
        return replace(self, limit=int(k))

    def columns(self) -> dict[str, list[Any]]:
        """Return the answers as columns of equal length, the ones that files have.

        Returns:
            `input`, and `label` and `probability`; after `top(k)` `label_1`, `probability_1` to
            `label_k`, `probability_k`. Several labels are joined by `|`, and their probabilities
            too. For regression `value`, or `value_1`, `value_2`, ... for several numbers.
        """
        columns: dict[str, list[Any]] = {"input": list(self.inputs)}
        if self.classes is None:
            many = self.scores.shape[1] > 1
            for place, values in enumerate(self.scores.T, start=1):
                columns[f"value_{place}" if many else "value"] = _plain(values)
            return columns
        ranked = self._ranked(self.limit or (1 if self.task == "single_label" else None))
        sorted_scores = np.take_along_axis(self.scores, ranked, axis=1)
        names = np.array(self.classes, dtype=object)[ranked]
        if self.task == "multi_label" and self.limit is None:
            counts = (sorted_scores >= self.threshold).sum(axis=1)
            rows = list(zip(names, map(_plain, sorted_scores), counts, strict=True))
            columns["label"] = [BETWEEN.join(some[:count]) for some, _, count in rows]
            columns["probability"] = [BETWEEN.join(map(str, some[:n])) for _, some, n in rows]
            return columns
        for place in range(ranked.shape[1]):
            ending = "" if self.limit is None else f"_{place + 1}"
            columns[f"label{ending}"] = names[:, place].tolist()
            columns[f"probability{ending}"] = _plain(sorted_scores[:, place])
        return columns

    def to_frame(self) -> pd.DataFrame:
        """Return the answers as a pandas data frame with the columns of `columns`."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def write(self, path: str | os.PathLike) -> Path:
        """Write the answers to a file with the columns of `columns`, all of it or nothing.

        Args:
            path: A file that ends in .csv, .tsv, .jsonl or .parquet, which says the format.

        Returns:
            The path.

        Raises:
            InputError: If the ending is another one.
        """
        from kft.prediction_files import PredictionFile

        with PredictionFile(path) as file:
            file.add(self)
        return file.path

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = self.scores[index]
        if self.classes is None:
            values = tuple(float(value) for value in row)
            return Prediction(values[0] if len(values) == 1 else values, None, {})
        order = np.argsort(-row, kind="stable")
        scores = {self.classes[i]: float(row[i]) for i in order[: self.limit]}
        if self.task == "multi_label":
            label = tuple(self.classes[i] for i in order if row[i] >= self.threshold)
            return Prediction(label, None, scores)
        best = self.classes[order[0]]
        return Prediction(best, scores[best], scores)

    def __iter__(self) -> Iterator[Prediction]:
        return (self[index] for index in range(len(self)))

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the table that prints: its head, and a row of texts for each input."""
        columns = self.columns()
        shown = ([_shown(name, value) for value in values] for name, values in columns.items())
        return list(columns), [list(row) for row in zip(*shown, strict=True)]

    def __str__(self) -> str:
        head, rows = self.cells()
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        return "\n".join(aligned(row, widths) for row in (head, *rows))

    def __repr__(self) -> str:
        return f"<Predictions for {len(self)} inputs>"

    def _repr_html_(self) -> str:
        head, rows = self.cells()
        titles = "".join(f"<th>{escape(name)}</th>" for name in head)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        return f"<table><tr>{titles}</tr>{body}</table>"

    def to_dict(self) -> dict[str, list]:
        """Return columns `input`, `label` and for classes `scores`, ready for JSON."""
        columns = {"input": list(self.inputs), "label": self.labels}
        if self.classes is not None:
            columns["scores"] = [prediction.scores for prediction in self]
        return columns

    def _ranked(self, count: int | None) -> np.ndarray:
        """Indices of the most probable classes of each input, the first of equals first."""
        return np.argsort(-self.scores, axis=1, kind="stable")[:, :count]


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Join cells to a line of a table whose columns are so wide."""
    joined = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return joined.rstrip()


def _plain(values: np.ndarray) -> list[float]:
    """Scores as the shortest numbers that are the same in float32."""
    return [float(str(value)) for value in values.astype(np.float32)]


def _shown(column: str, value: Any) -> str:
    """A cell of the table that prints: one short line, whatever an input holds."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if column == "probability":
        value = BETWEEN.join(f"{float(one):.4g}" for one in value.split(BETWEEN) if one)
    line = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return (line if len(line) <= WIDEST else f"{line[: WIDEST // 2]}...{line[-30:]}") or "-"
