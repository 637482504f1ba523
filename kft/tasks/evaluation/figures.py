"""Figures: single numbers about the quality of a model, with label, meaning and interval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from kft.errors import InputError
from kft.printing import number

Better = Literal["max", "min"] | None


@dataclass(frozen=True)
class Figure:
    """One number about a model.

    Args:
        name: A Python identifier, such as `"f1_micro"`: the attribute of the evaluation, and the key
            in `to_dict`.
        value: The number; None if the data do not define it, never 0 or NaN.
        interval: Lower and upper end of its 95 % confidence interval; None if it has none.
        label: The name to show. Defaults to `name` with spaces.
        meaning: A short explanation, half a line.
        better: `"max"` or `"min"`; None for a figure that only serves for comparison.
        is_fraction: Whether it is a fraction, printed with four decimals; other numbers are printed
            with four digits.

    Raises:
        InputError: If the name is not an identifier, or `better` is something else.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None = None
    label: str = ""
    meaning: str = ""
    better: Better = None
    is_fraction: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InputError(f"`name={self.name!r}`: pass a Python identifier, such as 'f1_micro'.")
        if self.better not in ("max", "min", None):
            raise InputError(f"`better={self.better!r}`: pass 'max', 'min' or None.")
        object.__setattr__(self, "label", self.label or self.name.replace("_", " "))

    @property
    def described(self) -> str:
        """The meaning, followed by the interval if there is one."""
        if self.interval is None:
            return self.meaning
        low, high = (number(end, fraction=self.is_fraction) for end in self.interval)
        return f"{self.meaning} (95 % interval {low} to {high})".lstrip()

    def __str__(self) -> str:
        return number(self.value, fraction=self.is_fraction)


class Figures(Mapping[str, float | None]):
    """The figures of an evaluation: a mapping of names to values, with labels, meanings and intervals.

    Args:
        figures: The figures in the order in which they are shown, the most informative one first.

    Attributes:
        described: The `Figure` objects, in the same order.

    Example:

    ```python
    run.evaluation.figures["accuracy"]  # 0.93
    run.evaluation.figures.figure("accuracy").interval  # (0.91, 0.95)
    [figure.label for figure in run.evaluation.figures.described]
    ```
    """

    def __init__(self, figures: Iterable[Figure]) -> None:
        self.described = tuple(figures)
        self._by_name = {one.name: one for one in self.described}
        if len(self._by_name) != len(self.described):
            raise InputError(f"two figures have one name: {[one.name for one in self.described]}.")

    def figure(self, name: str) -> Figure:
        """Return the `Figure` object of a name.

        Raises:
            KeyError: If there is no such figure.
        """
        return self._by_name[name]

    def __getitem__(self, name: str) -> float | None:
        return self._by_name[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self.described)

    def __repr__(self) -> str:
        return f"Figures({', '.join(f'{one.name}={one}' for one in self.described)})"
