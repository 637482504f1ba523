"""Lists of class names: their notation, and their conversion to rows of 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kft.data.kinds.classes import check_classes, refuse_unseen
from kft.data.names import clean
from kft.errors import InputError

__all__ = ["SEPARATOR", "multi_label_targets", "refuse_other_separators", "refuse_rows_of_bits"]

SEPARATOR = "|"  # between several labels in one cell
_OTHER_MARKS = (None, "\n", "\t", "/", "+", "&")  # None is any whitespace


def multi_label_targets(
    labels: Sequence[Sequence[str]],
    names: Sequence[str],
    source: str,
    classes: Sequence[str] | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Convert lists of class names to rows of 0 and 1: `(float32 [n, k], classes)`.

    Arguments and errors are those of `class_targets`.
    """
    known = (
        check_classes(sorted({one for row in labels for one in row}), source)
        if classes is None
        else tuple(classes)
    )
    index = {name: number for number, name in enumerate(known)}
    targets = np.zeros((len(labels), len(known)), dtype=np.float32)
    for row, (some, name) in enumerate(zip(labels, names, strict=True)):
        for label in some:
            if label not in index:
                refuse_unseen(label, name, source, known)
            targets[row, index[label]] = 1
    return targets, known


def refuse_other_separators(cells: Sequence[str], source: str) -> None:
    """Refuse cells of several labels with another separator than `|`.

    Each such cell would become a separate class.

    Args:
        cells: The labels of each example as written.
        source: The name of the data in messages.

    Raises:
        InputError: No cell has a `|`, and one looks like a list.
    """
    if any(SEPARATOR in cell for cell in cells):
        return
    whole = dict.fromkeys(name for cell in cells if (name := clean(cell)))
    for cell in whole:
        is_list = (cell[:1], cell[-1:]) in (("[", "]"), ("(", ")"), ("{", "}"))
        # A comma may be part of a name, unless one of the parts is a label elsewhere.
        parts = {clean(part) for part in cell.split(",")}
        several = any(_all_known(cell.split(mark), whole) for mark in _OTHER_MARKS)
        if is_list or several or ";" in cell or ("," in cell and parts & whole.keys()):
            raise InputError(
                f"{source} has labels such as {cell!r:.60}, but several labels are separated by "
                f"{SEPARATOR!r}: write a{SEPARATOR}b"
            )


def _all_known(parts: Sequence[str], whole: Mapping[str, None]) -> bool:
    """Return whether each part of a cell is itself a label elsewhere."""
    return len(parts) > 1 and all(clean(part) in whole for part in parts)


def refuse_rows_of_bits(
    rows: Sequence[Any],
    source: str,
    way_out: str = "write the names, or pass (x, y) with the rows as y",
) -> None:
    """Refuse rows of 0 and 1 as lists of labels, since "0" and "1" would become class names.

    Args:
        rows: The labels of each example; None for a missing one.
        source: The name of the data in messages.
        way_out: The way out, for the message.

    Raises:
        InputError: All rows have the same length and hold only 0 and 1.
    """
    filled = [row for row in rows if row]
    held = {str(one) for row in filled for one in row}
    widths = {len(row) for row in filled}
    if len(widths) == 1 and max(widths) > 1 and held <= {"0", "1"}:
        raise InputError(
            f"{source} holds rows of 0 and 1, but lists of names or of class numbers are expected: "
            f"{way_out}"
        )
