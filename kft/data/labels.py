"""Labels as people write them, to targets as a model trains on them."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from kft.data.examples import Examples
from kft.errors import InputError

__all__ = [
    "SEPARATOR",
    "TASKS",
    "check_classes",
    "checked_names",
    "class_targets",
    "clean",
    "multi_label_targets",
    "refuse_other_separators",
    "refuse_rows_of_bits",
    "with_classes",
]

SEPARATOR = "|"  # of several labels in one cell
TASKS = ("single_label", "multi_label", "regression")
_OTHER_MARKS = (None, "\n", "\t", "/", "+", "&")  # None is any blanks
_SHOWN = 10


def clean(name: str) -> str:
    """A class name without blanks around it, in Unicode's composed form (macOS decomposes)."""
    return unicodedata.normalize("NFC", name.strip())


def checked_names(classes: Any, source: str) -> tuple[str, ...]:
    """Return class names that a person passed, cleaned, if each is a name and none comes twice.

    Args:
        classes: A list of names.
        source: What to call them in a message.

    Raises:
        InputError: They are a single string, no strings, blank, or the same twice.
    """
    if isinstance(classes, str | bytes | Set | Mapping) or not isinstance(classes, Iterable):
        raise InputError(f"{source}={classes!r:.60}, but a list of class names is expected")
    names = []
    for name in classes:
        if not isinstance(name, str) or not name.strip():
            raise InputError(
                f"{source} holds {name!r:.60}, but each class needs a name: pass strings"
            )
        names.append(clean(name))
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise InputError(f"{source} names {name!r} {times} times: name each class once")
    return tuple(names)


def check_classes(classes: Sequence[str], source: str) -> tuple[str, ...]:
    """The classes, if there are at least two.

    Raises:
        InputError: There are fewer.
    """
    if len(classes) < 2:
        found = f"one class, {classes[0]!r}" if classes else "no class"
        raise InputError(
            f"{source} has {found}, but classification needs at least 2: add a class, "
            'or use task="regression" for numbers'
        )
    return tuple(classes)


def class_targets(
    labels: Sequence[str], names: Sequence[str], source: str, classes: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class names to indices.

    Args:
        labels: One class name an example.
        names: What to call each example in a message.
        source: What to call the data in a message.
        classes: The classes of the training; without them, the sorted classes that occur.

    Returns:
        `(int64 [n], classes)`.

    Raises:
        InputError: A label was not seen in training, or there are fewer than two classes.
    """
    known = check_classes(sorted(set(labels)), source) if classes is None else tuple(classes)
    index = {name: number for number, name in enumerate(known)}
    for label, name in zip(labels, names, strict=True):
        if label not in index:
            _refuse_unseen(label, name, source, known)
    return np.array([index[label] for label in labels], dtype=np.int64), known


def multi_label_targets(
    labels: Sequence[Sequence[str]],
    names: Sequence[str],
    source: str,
    classes: Sequence[str] | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Any number of class names an example to rows of 0 and 1: `(float32 [n, k], classes)`.

    Args and errors are those of `class_targets`.
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
                _refuse_unseen(label, name, source, known)
            targets[row, index[label]] = 1
    return targets, known


def refuse_other_separators(cells: Sequence[str], source: str) -> None:
    """Refuse cells of several labels that something else than `|` separates.

    Each cell would become a class of its own.

    Args:
        cells: The labels of each example as they are written.
        source: What to call the data in a message.

    Raises:
        InputError: No cell has a `|`, and one looks like a list.
    """
    if any(SEPARATOR in cell for cell in cells):
        return
    whole = dict.fromkeys(name for cell in cells if (name := clean(cell)))
    for cell in whole:
        is_list = (cell[:1], cell[-1:]) in (("[", "]"), ("(", ")"), ("{", "}"))
        # A comma may belong to a name, unless what it separates is a label elsewhere.
        parts = {clean(part) for part in cell.split(",")}
        several = any(_all_known(cell.split(mark), whole) for mark in _OTHER_MARKS)
        if is_list or several or ";" in cell or ("," in cell and parts & whole.keys()):
            raise InputError(
                f"{source} has labels such as {cell!r:.60}, but several labels are separated by "
                f"{SEPARATOR!r}: write a{SEPARATOR}b"
            )


def _all_known(parts: Sequence[str], whole: Mapping[str, None]) -> bool:
    """Whether each part of a cell is a label of its own elsewhere."""
    return len(parts) > 1 and all(clean(part) in whole for part in parts)


def refuse_rows_of_bits(
    rows: Sequence[Any],
    source: str,
    way_out: str = "write the names, or pass (x, y) with the rows as y",
) -> None:
    """Refuse rows of 0 and 1 as lists of labels, whose numbers would become the names of classes.

    Args:
        rows: The labels of each example; None for a gap.
        source: What to call the data in a message.
        way_out: What to do instead.

    Raises:
        InputError: All rows have the same length and hold 0 and 1 alone.
    """
    filled = [row for row in rows if row]
    held = {str(one) for row in filled for one in row}
    widths = {len(row) for row in filled}
    if len(widths) == 1 and max(widths) > 1 and held <= {"0", "1"}:
        raise InputError(
            f"{source} holds rows of 0 and 1, but lists of names or of class numbers are expected: "
            f"{way_out}"
        )


def with_classes(examples: Examples, classes: Sequence[str]) -> Examples:
    """The same examples with the targets numbered by the classes of the training.

    Args:
        examples: What was read without knowing the training.
        classes: The classes of the training.

    Returns:
        The examples themselves where nothing differs.

    Raises:
        InputError: An example has a class that was not seen in training.
    """
    if examples.classes is None or examples.classes == tuple(classes):
        return examples
    for name, count in examples.counts().items():
        if count and name not in classes:
            _refuse_unseen(name, "an example", examples.source, tuple(classes))
    # A class that has no example here may be unknown: whatever it is given is never used.
    place = np.array([classes.index(n) if n in classes else 0 for n in examples.classes])
    if examples.targets.ndim == 1:
        return replace(examples, targets=place[examples.targets], classes=tuple(classes))
    targets = np.zeros((len(examples), len(classes)), dtype=np.float32)
    for column, name in enumerate(examples.classes):
        if name in classes:
            targets[:, place[column]] = examples.targets[:, column]
    return replace(examples, targets=targets, classes=tuple(classes))


def _refuse_unseen(label: str, name: str, source: str, classes: tuple[str, ...]) -> None:
    shown = ", ".join(map(repr, classes[:_SHOWN])) + (", ..." if len(classes) > _SHOWN else "")
    raise InputError(
        f"{name} of {source}: label {label!r} was not seen in training, whose {len(classes)} "
        f"classes are {shown}: correct the label, remove the example, or train with this class"
    )
