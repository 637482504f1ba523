"""Comparison of finished runs: their figures, and the settings in which they differ."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.arguments import is_whole
from kft.errors import InputError
from kft.printing import Fitted, as_text, how_many, number, printable, without_formula
from kft.runs.places import JOURNAL, RECIPE
from kft.runs.reading import read_object
from kft.runs.run_directories import interrupted, interrupted_in, runs_in

_MOST_DIFFERENCES = 12
_LEFT_OUT = ("sha256", "weights_sha256")  # digests mean nothing to a reader


@dataclass(frozen=True)
class FinishedRun:
    """The record of a finished run in its directory.

    Attributes:
        path: The directory.
        recipe: Class of the recipe.
        figures: For each figure by name its `value`, the ends of its `interval` or None, and which
            value is `better`: `"max"`, `"min"` or None.
        best: The best epoch: its metric's `monitor`, `mode` and `value`, its `epoch` and its `stage`, as far
            as they are known.
        settings: Every setting of the run by its dotted name.
        validated_on: The digest of the validation data, None if they cannot be identified.
        seconds: The total of all stages.
    """

    path: Path
    recipe: str
    figures: Mapping[str, Mapping[str, Any]]
    best: Mapping[str, Any]
    settings: Mapping[str, Any]
    validated_on: str | None
    seconds: float

    @classmethod
    def read(cls, path: Path) -> FinishedRun:
        """Read a run directory.

        Raises:
            InputError: It is not a finished run, or is damaged.
        """
        described, journal = read_object(path / RECIPE, within=path), {}
        if os.path.exists(path / JOURNAL):
            journal = read_object(path / JOURNAL, within=path)
        plan = _mapping(described.get("plan"))
        return cls(
            path=path,
            recipe=str(described.get("class")).rpartition(":")[2],
            figures={
                str(name): values
                for name, values in _mapping(journal.get("figures")).items()
                if _is_figure(values)
            },
            best=_known(journal.get("best"), _OF_BEST),
            settings=dict(_flat(plan)),
            validated_on=_known(plan.get("validation"), {"sha256": _is_text}).get("sha256"),
            seconds=sum(
                v for v in _mapping(journal.get("seconds")).values() if _is_number(v) and v
            ),
        )

    def figure(self, name: str) -> Mapping[str, Any]:
        """Return a figure, or the metric that compared the epochs."""
        if name in self.figures:
            return self.figures[name]
        if name != self.best.get("monitor"):
            return {"value": None}
        return {"value": self.best.get("value"), "better": self.best.get("mode")}


@dataclass(frozen=True)
class Comparison:
    """Finished runs sorted by a figure, the best first; prints as a table.

    Attributes:
        runs: The runs.
        figure: The figure to show.
        begun: The directories of interrupted runs beside them.
    """

    runs: Sequence[FinishedRun]
    figure: str
    begun: Sequence[Path] = ()

    @classmethod
    def of(cls, places: Iterable[Path], figure: str | None = None) -> Comparison:
        """Read the runs in some directories.

        Args:
            places: Run directories, or directories of these.
            figure: Name of a figure of the evaluations, such as `"accuracy"`, or of the metric that
                compared epochs, such as `"val_loss"`. Defaults to the first figure of most runs.
                Runs are sorted by it if it is known which value is better.

        Raises:
            InputError: There is no finished run, or none has the figure.
        """
        places = tuple(places)
        found = [FinishedRun.read(path) for place in places for path in runs_in(place)]
        known = dict.fromkeys(name for run in found for name in run.figures)
        known |= dict.fromkeys(run.best["monitor"] for run in found if "monitor" in run.best)
        if figure is None:
            firsts = Counter(next(iter(run.figures)) for run in found if run.figures)
            figure = firsts.most_common(1)[0][0] if firsts else next(iter(known), "")
        elif figure not in known:
            names = ", ".join(map(str, known)) or "none"
            raise InputError(f"`figure={figure!r}` is in none of these runs, which have {names}.")
        name = str(figure)

        def place(run: FinishedRun) -> float:
            shown = run.figure(name)
            value, better = shown["value"], shown.get("better")
            if value is None or better is None:
                return math.inf
            return value if better == "min" else -value

        begun = [path for one in places for path in interrupted_in(one)]
        return cls(sorted(found, key=place), name, tuple(begun))

    @property
    def differences(self) -> dict[str, list[Any]]:
        """Each setting in which the runs differ, with its value in each run, None if missing."""
        names = dict.fromkeys(name for run in self.runs for name in run.settings)
        table = {name: [run.settings.get(name) for run in self.runs] for name in names}
        return {
            name: values
            for name, values in table.items()
            if any(value != values[0] for value in values) and not name.endswith(_LEFT_OUT)
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return the runs as rows of a table."""
        differences = self.differences
        return [
            {
                "run": str(run.path),
                "recipe": run.recipe,
                **{name: figure["value"] for name, figure in run.figures.items()},
                **{f"kept_{name}": run.best.get(name) for name in ("epoch", "stage")},
                "seconds": run.seconds,
                **{name: values[index] for name, values in differences.items()},
            }
            for index, run in enumerate(self.runs)
        ]

    def as_csv(self) -> str:
        """Return the rows as CSV."""
        rows, file = self.rows(), io.StringIO()
        names = dict.fromkeys(name for row in rows for name in row)
        writer = csv.DictWriter(file, list(names), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: without_formula(cell) for name, cell in row.items()})
        return file.getvalue()

    def as_json(self) -> str:
        """Return the rows as a JSON list."""
        return json.dumps(self.rows(), ensure_ascii=False, indent=1)

    def __str__(self) -> str:
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for name in ("run", "recipe", self.figure, "kept", "time"):
            table.add_column(printable(name.replace("_", " ")), overflow="fold")
        parents = {run.path.parent for run in self.runs}
        for run in self.runs:
            table.add_row(
                printable(run.path.name if len(parents) == 1 else str(run.path)),
                printable(run.recipe),
                _with_interval(run, self.figure),
                _kept(run.best),
                f"{run.seconds:.0f} s",
            )
        title = [f"Runs in {printable(str(next(iter(parents))))}"] if len(parents) == 1 else []
        return "\n\n".join([*title, as_text(Fitted(table)), *self._notes()])

    def _notes(self) -> list[str]:
        """Return the notes below the table."""
        notes = [f"Not listed: {printable(interrupted(self.begun))}"] if self.begun else []
        if len({run.validated_on for run in self.runs}) > 1:
            notes.append(
                "These runs were not all validated on the same examples, which may explain small "
                "differences."
            )
        if len({next(iter(run.figures)) for run in self.runs if run.figures}) > 1:
            return [*notes, "These runs have different tasks, so their settings are not compared."]
        found = self.differences
        lines = [
            f"  {printable(name)}: {printable(', '.join(map(_short, values)))}"
            for name, values in list(found.items())[:_MOST_DIFFERENCES]
        ]
        if lines:
            rest = len(found) - len(lines)
            more = [f"  and {how_many(rest, 'setting')} more"] if rest else []
            notes.append(
                "\n".join(["Settings that differ, in the order of the runs:", *lines, *more])
            )
        return notes


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _known(value: Any, wanted: Mapping[str, Callable[[Any], bool]]) -> dict[str, Any]:
    """Return the wanted values of an object in a file, without those of another type."""
    found = _mapping(value)
    return {name: found[name] for name, suits in wanted.items() if suits(found.get(name))}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_figure(value: Any) -> bool:
    if not isinstance(value, dict) or "value" not in value or not _is_number(value["value"]):
        return False
    ends = value.get("interval")
    return ends is None or (
        isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends))
    )


_OF_BEST: dict[str, Callable[[Any], bool]] = {
    "monitor": _is_text,
    "mode": _is_text,
    "value": lambda value: value is not None and _is_number(value),
    "epoch": is_whole,
    "stage": is_whole,
}


def _flat(value: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    """Yield each value of a tree with its dotted name; lists of plain values count as one value."""
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _flat(one, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for index, one in enumerate(value):
            yield from _flat(one, f"{name}[{index}]")
    elif not name.startswith("arguments.") or value is not None:
        yield name, value


def _with_interval(run: FinishedRun, name: str) -> str:
    found = run.figure(name)
    if found["value"] is None:
        return "-"
    ends = found.get("interval")
    interval = f" ({number(ends[0])} to {number(ends[1])})" if ends else ""
    return f"{number(found['value'])}{interval}"


def _kept(best: Mapping[str, Any]) -> str:
    if "epoch" not in best:
        return "the last epoch"
    stage = f", stage {best['stage']}" if "stage" in best else ""
    return f"epoch {best['epoch']}{stage}"


def _short(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
