"""Labels as a reader found them, and what a task makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.data.columns import in_column
from kft.data.sequences import Rows

__all__ = ["LabelForm", "RawLabels", "ReadTargets", "Targets"]


@dataclass(frozen=True)
class RawLabels:
    """The labels of all examples, in order, and the words to name one by in a message.

    Args:
        values: A label for each example: anything that Python can hold. Where several columns of a
            table were named, a tuple of their values.
        names: What to call each example, such as "line 3" or "example 2".
        source: What to call the data, such as "train.csv".
        what: What to call the labels of arrays, such as "y".
        columns: The columns of a table that they were read from; empty for anything else.
        encoding: What the table was read with.
        in_memory: Whether a person passed them as arrays or lists, where numbers are class indices;
            elsewhere a number is the name of a class.
        numbered: The names that class numbers stand for, where the source has them.
        inputs: The inputs that the labels belong to, for labels of places in them; None where the source
            does not hand them on.
    """

    values: Rows
    names: Sequence[str]
    source: str
    what: str = "y"
    columns: tuple[str, ...] = ()
    encoding: str = "UTF-8"
    in_memory: bool = False
    numbered: tuple[str, ...] | None = None
    inputs: Rows | None = None

    def said(self, reason: str) -> str:
        """Return why a label cannot be used, with the column that it stands in."""
        return in_column(reason, self.columns[0], self.encoding) if self.columns else reason

    def chosen_names(self, kept: np.ndarray | None) -> list[str]:
        """Return what to call the examples at these indices, None for all."""
        chosen = range(len(self.names)) if kept is None else kept
        return [self.names[int(index)] for index in chosen]


@dataclass(frozen=True)
class Targets:
    """What a model trains on.

    Args:
        rows: An array `[n, ...]`, or a dict of trees of arrays. Targets of different shapes are
            arrays in an object array `[n]`.
        classes: The names of the classes, or a dict of them; None where there are none.
    """

    rows: Any
    classes: Any = None


@dataclass(frozen=True)
class ReadTargets:
    """Labels that were looked at.

    Attributes:
        reasons: Index of each example whose label cannot be used, and why.
        of: The targets of the examples at these indices, once it is known which can be used; None
            for all.
    """

    reasons: dict[int, str]
    of: Callable[[np.ndarray | None], Targets]


@dataclass(frozen=True)
class LabelForm:
    """What a column of a Parquet table, or a TFDS feature, holds for an example.

    Args:
        content: `"text"`, `"integer"`, `"number"` or `"other"`.
        depth: Axes or lists around it: 0 for a single value.
        in_table: Whether it is a column of a table, where a text may be a number that was written.
        alone: Whether it is the only column of these labels.
    """

    content: str
    depth: int
    in_table: bool
    alone: bool = True

    @property
    def way_out(self) -> str:
        """What a person can do about a wrong one."""
        if self.in_table:
            return "convert the column, or name another one"
        return "pass label_column=..., or another task"
