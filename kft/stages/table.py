"""The table of what each stage trains, to read before training."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Sequence
from typing import Any

import keras
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from kft.arguments import shown
from kft.arguments.calls import checked_call
from kft.errors import InputError
from kft.model import graph
from kft.model.pretrained import StartingWeights
from kft.printing import as_text, how_many, name_of, printable
from kft.stages.plan import BatchNorm, PlannedStage, kept_flags, plan
from kft.stages.stage import Stage

_COLUMNS = (
    "",
    "stage",
    "epochs",
    "trained",
    "frozen",
    "peak rate",
    "warmup",
    "BatchNorm",
    "trains",
)
_NUMBERS = ("epochs", "trained", "frozen")
_MAY_FOLD = ("stage", "peak rate", "BatchNorm", "trains")
_LEAST_FOR_NAMES = 28  # columns in which names of blocks are readable


@dataclasses.dataclass(frozen=True)
class PlanTable:
    """The table of `kft.plan_table`: prints as text, shows as a table in a notebook.

    Printed, it is as wide as the terminal, or 100 columns without one. If the names of what trains do
    not fit next to the numbers, they follow below.

    Attributes:
        title: What the plan is for: a recipe, or the model's name.
        rows: A tuple of texts for each stage, in the order of the columns.
        notes: Lines below the table.
        weights: The source of the model's weights; None if unknown.
    """

    title: str
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    weights: StartingWeights | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"Plan for {self.title}", style="bold")
        if self.weights is not None:
            yield Text(f"Weights: {self.weights}", "" if self.weights.pretrained else "bold yellow")
        norms = set(self._column("BatchNorm"))
        numbers = [name for name in _COLUMNS[:-1] if name != "BatchNorm" or len(norms) > 1]
        if len(norms) == 1 and norms != {"none"}:
            yield Text(f"BatchNorm: {norms.pop()} in every stage")
        yield Text()
        left = options.max_width - console.measure(self._table(numbers), options=options).maximum
        names = self._column("trains")
        if left > min(_LEAST_FOR_NAMES, max(map(len, names))):
            yield self._table([*numbers, "trains"])
        else:
            yield self._table(numbers)
            yield Text()
            for number, name in enumerate(names, start=1):
                yield printable(f"Stage {number} trains {name}.")
        if self.notes:
            yield Text()
        yield from map(printable, self.notes)

    def _column(self, name: str) -> list[str]:
        return [row[_COLUMNS.index(name)] for row in self.rows]

    def _table(self, columns: Sequence[str]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
        for name in columns:
            table.add_column(
                name,
                justify="right" if name in _NUMBERS else "left",
                overflow="fold",
                no_wrap=name not in _MAY_FOLD,
            )
        for cells in zip(*map(self._column, columns), strict=True):
            table.add_row(*map(printable, cells))
        return table

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in _COLUMNS)
        body = "".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        weights = (
            "" if self.weights is None else f"<p>Weights: {html.escape(str(self.weights))}</p>"
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return (
            f"{weights}<table><caption>Plan for {html.escape(self.title)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
        )


@checked_call
def plan_table(
    model: keras.Model,
    stages: Sequence[Stage],
    batch_norm: BatchNorm = "frozen",
    *,
    weights: StartingWeights | None = None,
    cache: Sequence[str] | None = None,
    distribution: Any = None,
    title: str | None = None,
) -> PlanTable:
    """Return a table of what each stage trains: blocks, parameters, peak rates, BatchNorm mode.

    Args:
        model: Any model that `kft.callbacks.StagedUnfreezing` supports; it is not changed.
        stages: List of `kft.Stage`.
        batch_norm: As in `StagedUnfreezing`. Defaults to `"frozen"`.
        weights: The source of the model's weights, `starting_weights` of a recipe; shown first.
        cache: For each stage, the decision about caching its frozen features, such as "kept: 3 MB";
            shown below.
        distribution: A `kft.distribution.ModelParallel`, whose sharded weights are listed below, or a
            `DataParallel`.
        title: What the plan is for. Defaults to the model's name.

    Returns:
        An object that prints as a table, and shows as one in a notebook.

    Raises:
        InputError: If a stage does not fit the model, or another argument is not as described.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"`model={shown(model)}`: pass a Keras model, such as recipe.model.")
    _check_shown(weights, cache, distribution, title)
    rows = []
    with kept_flags(model):
        for index, planned in enumerate(plan(model, stages, batch_norm)):
            planned.enter(model)
            rows.append(_row(index, planned, model))
    notes = [
        f"Frozen features of stage {i} are {outcome}"
        for i, outcome in enumerate(cache or (), start=1)
    ]
    if distribution is not None:
        notes += distribution.notes(model)
    return PlanTable(title or name_of(model), tuple(rows), tuple(notes), weights)


def _check_shown(weights: Any, cache: Any, distribution: Any, title: Any) -> None:
    is_list = isinstance(cache, list | tuple) and all(isinstance(one, str) for one in cache)
    wrong = [
        (name, value, expected)
        for name, value, suits, expected in (
            ("weights", weights, isinstance(weights, StartingWeights), "`recipe.starting_weights`"),
            ("cache", cache, is_list, "a list with a text for each stage"),
            ("distribution", distribution, callable(getattr(distribution, "notes", None)),
             "a kft.distribution.ModelParallel or DataParallel"),
            ("title", title, isinstance(title, str), "text"),
        )
        if value is not None and not suits
    ]  # fmt: skip
    for name, value, expected in wrong:
        raise InputError(f"`{name}={shown(value)}`: pass {expected}, or leave it out.")


def _row(index: int, planned: PlannedStage, model: keras.Model) -> tuple[str, ...]:
    stage = planned.stage
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    total = sum(math.prod(weight.shape) for weight in model.weights)
    rates = [group.learning_rate for group in planned.groups]
    deepest = "" if min(rates) == max(rates) else f" to {min(rates):.2g} by depth"
    rate = f"{max(rates):.3g}{deepest}"
    warmup = (
        f"{stage.warmup:.0%}" if isinstance(stage.warmup, float) else how_many(stage.warmup, "step")
    )
    return (
        str(index + 1),
        stage.label,
        str(stage.epochs),
        f"{trained:,}",
        f"{total - trained:,}",
        "solved"
        if stage.solve
        else rate
        if stage.decay == "constant"
        else f"{rate}, {stage.decay}",
        warmup if stage.warmup else "-",
        _batch_norm(planned, model),
        _trains(planned),
    )


def _trains(planned: PlannedStage) -> str:
    blocks = [group.name for group in planned.groups if group.name != "head"]
    head = ["head"] * (len(planned.groups) - len(blocks))
    if planned.stage.only is None:
        return _shortened([*head, *blocks])
    return ", ".join([*head, f"{' and '.join(planned.stage.only)} of {_shortened(blocks)}"])


def _shortened(names: list[str], limit: int = 4) -> str:
    if len(names) <= limit:
        return ", ".join(names)
    return ", ".join([*names[: limit - 1], f"{len(names) - limit} more", names[-1]])


def _batch_norm(planned: PlannedStage, model: keras.Model) -> str:
    norms = graph.batch_norms(model)
    if not norms:
        return "none"
    training = sum(layer.trainable for layer in norms)
    return f"{training} of {len(norms)} train" if training else "frozen"
