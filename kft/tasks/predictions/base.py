"""The base class of all predictions."""

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

WIDEST = 100  # characters of a printed cell


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Sequence):
    """The answers for a list of inputs, in their order, printed as a table.

    The answers depend on the task: see `ClassPredictions`, `LabelPredictions`, `NumberPredictions`,
    `SeveralPredictions`, and `ArrayPredictions` for tasks without their own class. To write your own,
    subclass this and define `columns` and `__getitem__`.

    Args:
        inputs: The name of each input in the table.
    """

    like: ClassVar[Mapping[str, Any]] = {}  # example cells of columns whose first cell may be empty

    inputs: Sequence[str]

    def columns(self) -> dict[str, list[Any]]:
        """Return the answers as columns of equal length, as they are written to files.

        Returns:
            `input`, and columns of strings, numbers, or lists of numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `columns()`.")

    def with_inputs(self, values: Sequence[Any]) -> Self:
        """Return the same answers with access to the raw inputs; by default unchanged.

        Args:
            values: The raw inputs, such as paths of images or arrays.
        """
        return self

    @property
    def labels(self) -> list[Any]:
        """The answer for each input, in the shortest form of the task."""
        return list(self)

    @property
    def class_count(self) -> int:
        """The number of classes that `top` can show; 0 for answers without classes."""
        return 0

    def top(self, k: int) -> Self:
        """Return the same answers, with the `k` most probable classes in tables and files.

        Args:
            k: The number of classes, from 1 to all of them.

        Raises:
            InputError: If there are fewer classes, or none, as in regression.
        """
        raise InputError(f"`top({k!r})`: {type(self).__name__} have no classes.")

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the printed table: its head, and a row of texts per input."""
        columns = self.columns()
        shown = ([self.shown(name, value) for value in values] for name, values in columns.items())
        return list(columns), [list(row) for row in zip(*shown, strict=True)]

    def shown(self, column: str, value: Any) -> str:
        """Return a cell of the printed table: one short line, whatever the value.

        Args:
            column: Name of the column.
            value: The value in `columns`.
        """
        if not isinstance(value, float):
            return line(str(value))
        return f"{value:.4f}" if column.startswith(("probability", "score")) else f"{value:.4g}"

    def to_frame(self) -> pd.DataFrame:
        """Return the answers as a pandas data frame with the columns of `columns`."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def to_dict(self) -> dict[str, list]:
        """Return columns ready for JSON; by default those of `columns`."""
        return self.columns()

    def write(self, path: str | os.PathLike) -> Path:
        """Write the answers atomically to a file with the columns of `columns`.

        Args:
            path: A file that ends in .csv, .tsv, .jsonl or .parquet, which determines the format.

        Returns:
            The path.

        Raises:
            InputError: If it has another ending or cannot be written.
        """
        file = self.writer(path)
        with written(path), file:
            file.add(self)
        return file.path

    def writer(self, path: str | os.PathLike) -> Any:
        """Return a writer of such answers batch by batch; by default a `PredictionFile`.

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
        """Return the answer for one input."""
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
    """Join cells to a line of a table with columns of these widths."""
    joined = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return joined.rstrip()


def line(text: str) -> str:
    """Return a text as one short line of printable characters; `-` if it is empty."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return (clean if len(clean) <= WIDEST else f"{clean[: WIDEST // 2]}...{clean[-30:]}") or "-"


def plain(values: np.ndarray) -> list[float]:
    """Return scores as the shortest decimal numbers that are equal in float32."""
    return [float(str(value)) for value in values.astype(np.float32)]
