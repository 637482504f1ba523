"""Class names as labels: which values are valid names, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.arguments import shortened, shown
from kft.data.names import checked_names, clean
from kft.data.raw_labels import RawLabels
from kft.data.values import is_missing, is_number, kind_of, text_value
from kft.errors import InputError

__all__ = [
    "agreed_classes",
    "check_classes",
    "class_name",
    "class_targets",
    "known_classes",
    "label_name",
    "places",
    "refuse_unseen",
]

_SHOWN = 10


def class_name(value: Any, encoding: str = "UTF-8") -> tuple[str, str]:
    """Return the class name for a value, and why it is not valid (empty if it is)."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)), ""
    if is_number(value) and not is_missing(value):
        if abs(value) < 2**64 and value == int(value):
            return str(int(value)), ""
        return "", (
            f"{_number(value)} as a label, but a class is a name or a whole number: use "
            'task="regression" for numbers'
        )
    name, reason = text_value(value, encoding)
    if reason in ("no text", "empty text"):
        return "", "no label"
    if reason and not isinstance(value, str | bytes):
        return "", f"{kind_of(value)} as a label, but the name of a class is expected"
    return clean(name), reason


def _number(value: Any) -> str:
    return shown(value) if isinstance(value, int) else shortened(str(value))


def label_name(value: Any, raw: RawLabels) -> tuple[str, str]:
    """Return the class name of a label, and why it is not valid (empty if it is).

    Args:
        value: A name, or a number, which is an index if the source numbers its classes.
        raw: All the labels.
    """
    if raw.numbered is None or not is_number(value) or is_missing(value):
        return class_name(value, raw.encoding)
    if not 0 <= value < len(raw.numbered):
        return (
            "",
            "no label" if value < 0 else f"label {_number(value)} of {len(raw.numbered)} classes",
        )
    return clean(raw.numbered[int(value)]), ""


def known_classes(raw: RawLabels, classes: Sequence[str] | None) -> Sequence[str] | None:
    """Return the classes that are known before any label is read, or None.

    Args:
        raw: The labels, whose source may name its classes.
        classes: The classes of the training.

    Raises:
        InputError: The source names fewer than two classes, or one of them twice.
    """
    if classes is not None or raw.numbered is None:
        return classes
    names = checked_names(raw.numbered, f"the label feature of {raw.source}")
    return check_classes(sorted(names), raw.source)


def places(
    counts: dict[str, int], old: Sequence[str], new: Sequence[str], source: str
) -> np.ndarray:
    """Return the index of each old class among the new ones, int `[old]`.

    Args:
        counts: The number of examples of each old class.
        old: The classes that targets are numbered by.
        new: The classes of the training.
        source: The name of the data in messages.

    Raises:
        InputError: A class that has examples was not seen in training.
    """
    for name, count in counts.items():
        if count and name not in new:
            refuse_unseen(name, "an example", source, tuple(new))
    # A class without examples may be unknown: its index is never used.
    return np.array([new.index(name) if name in new else 0 for name in old])


def agreed_classes(
    classes: Sequence[str] | None, count: int | None, source: str
) -> tuple[str, ...] | None:
    """Return the class names of a recipe for data with these classes.

    Args:
        classes: The names; None for class numbers, which become "0", "1" and so on.
        count: The number of classes of the recipe, None if undecided.
        source: The name of the data in messages.

    Raises:
        InputError: The data have another number of classes.
    """
    if classes is None:
        return None if count is None else tuple(str(index) for index in range(count))
    if count is not None and len(classes) != count:
        listed = ", ".join(shortened(str(one)) for one in classes[:_SHOWN])
        listed += ", ..." if len(classes) > _SHOWN else ""
        is_counted = all(str(index) == one for index, one in enumerate(classes))
        names = (
            " Numbers count classes from 0: pass text, such as '5', for names."
            if is_counted
            else ""
        )
        raise InputError(
            f"{source} has {len(classes)} classes ({listed}), but `num_classes={count}`: make them "
            f"equal.{names}"
        )
    return tuple(classes)


def check_classes(classes: Sequence[str], source: str) -> tuple[str, ...]:
    """Return the classes after checking that there are at least two.

    Raises:
        InputError: There are fewer.
    """
    if len(classes) < 2:
        found = f"one class, {shown(classes[0])}" if classes else "no class"
        raise InputError(
            f"{source} has {found}, but classification needs at least 2: add a class, "
            'or use task="regression" for numbers'
        )
    return tuple(classes)


def class_targets(
    labels: Sequence[str], names: Sequence[str], source: str, classes: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Convert class names to indices.

    Args:
        labels: One class name per example.
        names: The name of each example in messages.
        source: The name of the data in messages.
        classes: The classes of the training. Defaults to the sorted classes that occur.

    Returns:
        `(int64 [n], classes)`.

    Raises:
        InputError: A label was not seen in training, or there are fewer than two classes.
    """
    known = check_classes(sorted(set(labels)), source) if classes is None else tuple(classes)
    index = {name: number for number, name in enumerate(known)}
    for label, name in zip(labels, names, strict=True):
        if label not in index:
            refuse_unseen(label, name, source, known)
    return np.array([index[label] for label in labels], dtype=np.int64), known


def refuse_unseen(label: str, name: str, source: str, classes: tuple[str, ...]) -> None:
    """Raise the error for a label that was not seen in training.

    Args:
        label: The label.
        name: The name of its example in messages.
        source: The name of the data in messages.
        classes: The classes of the training.

    Raises:
        InputError: Always.
    """
    known = ", ".join(map(shown, classes[:_SHOWN])) + (", ..." if len(classes) > _SHOWN else "")
    raise InputError(
        f"{name} of {source}: label {shown(label)} was not seen in training, whose {len(classes)} "
        f"classes are {known}: correct the label, remove the example, or train with this class"
    )
