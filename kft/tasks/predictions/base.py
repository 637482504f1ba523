"""What a model says about raw inputs: what all kinds of answers have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from kft.data.files import written
from kft.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

WIDEST = 100  # letters of a cell that prints


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Sequence):
    """The answers for a list of inputs, in their order; prints as a table.

    What an answer is depends on the task: see `ClassPredictions`, `LabelPredictions`,
    `NumberPredictions`, `SeveralPredictions`, and for all other tasks `ArrayPredictions`. A kind of
    your own is a subclass with `columns` and `__getitem__`.

    Args:
        inputs: What to call each input in the table.
    """

    like: ClassVar[Mapping[str, Any]] = {}  # a full cell of columns whose first cells may be empty

    inputs: Sequence[str]

    def columns(self) -> dict[str, list[Any]]:
        """Return the answers as columns of equal length, the ones that files have.

        Returns:
            `input`, and columns of strings, numbers, or lists of numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `columns()`.")

    def with_inputs(self, values: Sequence[Any]) -> Self:
        """Return the same answers for raw inputs that they may look at, by default as they are.

        Args:
            values: The inputs themselves, such as paths of images or arrays.
        """
        return self

    @property
    def labels(self) -> list[Any]:
        """The answer for each input, as short as the task has it."""
        return list(self)

    @property
    def class_count(self) -> int:
        """How many classes `top` can show; 0 for answers without classes."""
        return 0

    def top(self, k: int) -> Self:
        """Return the same answers, of which tables and files show the `k` most probable classes.

        Args:
            k: How many classes, from 1 to all of them.

        Raises:
            InputError: If there are not so many classes, or none, as in regression.
        """
        raise InputError(f"`top({k!r})`: {type(self).__name__} have no classes.")

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the table that prints: its head, and a row of texts for each input."""
        columns = self.columns()
        shown = ([self.shown(name, value) for value in values] for name, values in columns.items())
        return list(columns), [list(row) for row in zip(*shown, strict=True)]

    def shown(self, column: str, value: Any) -> str:
        """Return a cell of the table that prints: one short line, whatever an input holds.

        Args:
            column: Name of the column.
            value: What `columns` has there.
        """
        return line(f"{value:.4g}" if isinstance(value, float) else str(value))

    def to_frame(self) -> pd.DataFrame:
        """Return the answers as a pandas data frame with the columns of `columns`."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def to_dict(self) -> dict[str, list]:
        """Return columns ready for JSON, by default those of `columns`."""
        return self.columns()

    def write(self, path: str | os.PathLike) -> Path:
        """Write the answers to a file with the columns of `columns`, all of it or nothing.

        Args:
            path: A file that ends in .csv, .tsv, .jsonl or .parquet, which says the format.

        Returns:
            The path.

        Raises:
            InputError: If the ending is another one, or the file cannot be written.
        """
        file = self.writer(path)
        with written(path), file:
            file.add(self)
        return file.path

    def writer(self, path: str | os.PathLike) -> Any:
        """Return what writes answers like these batch by batch: by default a `PredictionFile`.

        Args:
            path: As for `write`.

        Raises:
            InputError: As `write`.
        """
        from kft.tasks.predictions.files import PredictionFile

        return PredictionFile(path)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._at(index)

    def _at(self, index: int) -> Any:
        """The answer for one input."""
        raise NotImplementedError(f"{type(self).__name__} must define `__getitem__(index)`.")

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __str__(self) -> str:
        head, rows = self.cells()
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        return "\n".join(aligned(row, widths) for row in (head, *rows))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {len(self)} inputs>"

    def _repr_html_(self) -> str:
        head, rows = self.cells()
        titles = "".join(f"<th>{escape(name)}</th>" for name in head)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        return f"<table><tr>{titles}</tr>{body}</table>"


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Join cells to a line of a table whose columns are so wide."""
    joined = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return joined.rstrip()


def line(text: str) -> str:
    """Return a text as one short line of printable characters, `-` for none."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return (clean if len(clean) <= WIDEST else f"{clean[: WIDEST // 2]}...{clean[-30:]}") or "-"


def plain(values: np.ndarray) -> list[float]:
    """Return scores as the shortest numbers that are the same in float32."""
    return [float(str(value)) for value in values.astype(np.float32)]
