"""The group or the time of each example, by which data can be split."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from kft.data.sequences import as_rows
from kft.data.values import is_missing, is_number, kind_of
from kft.errors import InputError

__all__ = ["SplitBy", "SplitValues", "check_one"]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


def check_one(groups: Any, order: Any) -> None:
    """Check that a split uses either groups or times.

    Raises:
        InputError: Both are given.
    """
    if groups is not None and order is not None:
        raise InputError(
            "a split keeps groups whole or takes the latest examples: pass groups or order, not both"
        )


@dataclasses.dataclass(frozen=True)
class SplitBy:
    """The arguments for a split by groups or by times.

    Args:
        groups: A column or feature, or a value for each example; None for no groups.
        order: The same for times, or other numbers to order the examples by.

    Raises:
        InputError: Both are given, or one is neither a name nor values.
    """

    groups: Any = None
    order: Any = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not isinstance(value, str):
                object.__setattr__(self, name, as_rows(value, name))
        check_one(self.groups, self.order)

    def __bool__(self) -> bool:
        return self.groups is not None or self.order is not None

    @property
    def columns(self) -> dict[str, str]:
        """The named columns by argument; empty if values are given."""
        return {name: value for name, value in vars(self).items() if isinstance(value, str)}

    def refuse_columns(self, source: str) -> None:
        """Refuse the name of a column for a source without columns.

        Raises:
            InputError: A column is named.
        """
        for name, value in self.columns.items():
            raise InputError(
                f"{name}={value!r:.60} names a column, but {source} has none: read the data first, and "
                f"then recipe.read(examples, {name}=[...]) with a value for each of examples.inputs"
            )

    def refuse(self, source: str) -> None:
        """Refuse groups and times for data that cannot be split.

        Raises:
            InputError: Groups or times are given.
        """
        if self:
            raise InputError(
                f"groups and order are for data that kft splits, but a {source} cannot be split: pass "
                "validation_data"
            )

    def values(
        self, names: Sequence[str], source: str, columns: Mapping[str, Any] | None = None
    ) -> SplitValues:
        """Return the values of all examples.

        Args:
            names: The name of each example in messages.
            source: The name of the data.
            columns: The values of the named columns, by the name of the argument.

        Raises:
            InputError: There is not one value per example, or times are of several kinds.
        """
        given = {name: value for name, value in vars(self).items() if value is not None}
        found = SplitValues()
        for name, value in (given | dict(columns or {})).items():
            if len(value) != len(names):
                raise InputError(
                    f"{source} has {len(names)} examples, but {name} has {len(value)} values: pass one "
                    "for each"
                )
            rows = value.tolist() if isinstance(value, np.ndarray) else list(value)
            if isinstance(value, np.ndarray) and value.dtype.kind == "M":
                # NumPy would turn nanoseconds into integers.
                rows = value.astype("datetime64[us]").tolist()
            where = f" in column {given[name]!r}" if name in self.columns else ""
            read = _groups if name == "groups" else _times
            values, reasons = read(rows, where, names)
            found = SplitValues(**{name: values}, reasons=reasons)
        return found


@dataclasses.dataclass(frozen=True)
class SplitValues:
    """The groups or times of all examples of a source.

    Attributes:
        groups: The group of each example, object `[n]`, or None.
        order: The time of each example, float64 `[n]`, or None.
        reasons: Why an example has no valid value, by index.
    """

    groups: np.ndarray | None = None
    order: np.ndarray | None = None
    reasons: dict[int, str] = dataclasses.field(default_factory=dict)

    def of(self, kept: np.ndarray | None) -> dict[str, Any]:
        """Return `groups` or `order` of the examples at these indices; None for all."""
        given = {"groups": self.groups, "order": self.order}
        return {
            name: values if kept is None else values[kept]
            for name, values in given.items()
            if values is not None
        }


def _groups(rows: list[Any], where: str, names: Sequence[str]) -> tuple[np.ndarray, dict[int, str]]:
    reasons = {}
    for index, value in enumerate(rows):
        if is_missing(value) or (isinstance(value, str | bytes) and not value.strip()):
            reasons[index] = f"no group{where}"
        elif not isinstance(value, Hashable):
            reasons[index] = (
                f"{kind_of(value)}{where}, but a name or a number of a group is expected"
            )
    groups = np.empty(len(rows), dtype=object)
    groups[:] = rows
    return groups, reasons


def _times(rows: list[Any], where: str, names: Sequence[str]) -> tuple[np.ndarray, dict[int, str]]:
    times = np.zeros(len(rows))
    reasons: dict[int, str] = {}
    first: dict[str, str] = {}
    for index, value in enumerate(rows):
        kind, times[index], reason = _time(value)
        if reason:
            reasons[index] = f"{reason}{where}"
        else:
            first.setdefault(kind, names[index])
    if len(first) > 1:
        listed = " and ".join(f"{kind} ({name})" for kind, name in first.items())
        raise InputError(f"the times{where} are {listed}: write all of them in one way")
    return times, reasons


def _time(value: Any) -> tuple[str, float, str]:
    """Return the kind of a time, its value as a number, and why it is not valid (empty if it is)."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if is_missing(value) or (isinstance(value, str) and not value.strip()):
        return "", 0.0, "no time"
    number = _parsed(float, value) if isinstance(value, str) or is_number(value) else None
    if number is not None:
        return (
            ("numbers", number, "") if math.isfinite(number) else ("", 0.0, f"time {value!r:.40}")
        )
    moment = (
        _parsed(datetime.datetime.fromisoformat, value.strip()) if isinstance(value, str) else value
    )
    if type(moment) is datetime.date:
        moment = datetime.datetime.combine(moment, datetime.time())
    if not isinstance(moment, datetime.datetime):
        expected = "a number or a date such as 2024-12-31 or 2024-12-31T23:59:59 is expected"
        return "", 0.0, f"time {kind_of(value)}, but {expected},"
    kind = "dates without a time zone" if moment.tzinfo is None else "dates with a time zone"
    zoned = moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment
    return kind, (zoned - _EPOCH) / _MICROSECOND, ""


def _parsed(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except (ValueError, OverflowError):
        return None
