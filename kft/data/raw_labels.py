"""Labels as they are read, and the targets that a task makes of them."""

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
    """The labels of all examples in order, with names for messages.

    Args:
        values: A label of any type for each example; with several columns of a table, a tuple of
            their values.
        names: The name of each example in messages, such as "line 3" or "example 2".
        source: The name of the data, such as "train.csv".
        what: The name of labels in arrays, such as "y".
        columns: The columns of a table that they come from; empty for anything else.
        encoding: The encoding of the table.
        in_memory: Whether they were passed as arrays or lists, where numbers are class indices;
            elsewhere a number is the name of a class.
        numbered: The class names by number, if the source has them.
        inputs: The inputs of the labels, for labels that refer to places in them; None if the source
            does not provide them.
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

    def with_column(self, reason: str) -> str:
        """Return why a label cannot be used, with its column."""
        return in_column(reason, self.columns[0], self.encoding) if self.columns else reason

    def chosen_names(self, kept: np.ndarray | None) -> list[str]:
        """Return the names of the examples at these indices; None for all."""
        chosen = range(len(self.names)) if kept is None else kept
        return [self.names[int(index)] for index in chosen]


@dataclass(frozen=True)
class Targets:
    """The targets that a model trains on.

    Args:
        rows: An array `[n, ...]`, or a dict of trees of arrays. Targets of different shapes are
            arrays in an object array `[n]`.
        classes: The names of the classes, or a dict of them; None if there are none.
    """

    rows: Any
    classes: Any = None


@dataclass(frozen=True)
class ReadTargets:
    """Checked labels, whose targets are made once it is known which examples can be used.

    Attributes:
        reasons: Why labels cannot be used, by index.
        of: Returns the targets of the examples at these indices; None for all.
    """

    reasons: dict[int, str]
    of: Callable[[np.ndarray | None], Targets]


@dataclass(frozen=True)
class LabelForm:
    """The type of a label in a column of a table or in a TFDS feature.

    Args:
        content: `"text"`, `"integer"`, `"number"` or `"other"`.
        depth: The number of axes or nested lists: 0 for a single value.
        in_table: Whether it is a column of a table, where a text may spell a number.
        alone: Whether it is the only column of these labels.
    """

    content: str
    depth: int
    in_table: bool
    alone: bool = True

    @property
    def way_out(self) -> str:
        """The way out if the type is wrong."""
        if self.in_table:
            return "convert the column, or name another one"
        return "pass label_column=..., or another task"
