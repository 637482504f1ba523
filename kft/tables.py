"""What each stage trains, as a table to read before a step is taken."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Sequence
from typing import Any

import keras
from rich.console import Console
from rich.table import Table

from kft import graph
from kft.distribution.on_jax import layout_of
from kft.distribution.strategies import ModelParallel
from kft.plans import BatchNorm, PlannedStage, kept_flags, plan
from kft.stages import Stage

_COLUMNS = (
    "",
    "stage",
    "trains",
    "epochs",
    "trained",
    "frozen",
    "peak rate",
    "warmup",
    "BatchNorm",
)


@dataclasses.dataclass(frozen=True)
class PlanTable:
    """The table of `kft.plan_table`: prints as text, shows as a table in a notebook.

    Attributes:
        title: the model's name.
        rows: a tuple of texts for each stage, in the order of the columns.
        notes: lines below the table.
    """

    title: str
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __rich__(self) -> Table:
        table = Table(title=f"Plan for {self.title}", title_justify="left", caption_justify="left")
        if self.notes:
            table.caption = "\n".join(self.notes)
        for column in _COLUMNS:
            numeric = column in ("epochs", "trained", "frozen")
            table.add_column(column, justify="right" if numeric else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        return table

    def __str__(self) -> str:
        console = Console(width=120, color_system=None, force_terminal=False)
        with console.capture() as capture:
            console.print(self)
        return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").splitlines())

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in _COLUMNS)
        body = "".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return (
            f"<table><caption>Plan for {html.escape(self.title)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
        )


def plan_table(
    model: keras.Model,
    stages: Sequence[Stage],
    batch_norm: BatchNorm = "frozen",
    *,
    cache: Sequence[str] | None = None,
    distribution: Any = None,
) -> PlanTable:
    """Shows stage by stage what will train: blocks, parameters, peak rates, BatchNorm mode.

    Args:
        model: any model that `kft.callbacks.StagedUnfreezing` takes; it is not changed.
        stages: list of `kft.Stage`.
        batch_norm: as in `StagedUnfreezing`. Defaults to `"frozen"`.
        cache: for each stage, what was decided about keeping its frozen features; shown below.
        distribution: a `kft.distribution.ModelParallel`, whose cut weights are listed below.

    Returns:
        An object that prints as a table and shows as one in a notebook.

    Raises:
        InputError: a stage does not fit the model.
    """
    rows = []
    with kept_flags(model):
        for index, planned in enumerate(plan(model, stages, batch_norm)):
            planned.enter(model)
            rows.append(_row(index, planned, model))
    notes = [f"Frozen features of stage {i}: {said}" for i, said in enumerate(cache or (), start=1)]
    if isinstance(distribution, ModelParallel):
        notes += layout_of(distribution, model).lines()
    return PlanTable(model.name, tuple(rows), tuple(notes))


def _row(index: int, planned: PlannedStage, model: keras.Model) -> tuple[str, ...]:
    stage = planned.stage
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    total = sum(math.prod(weight.shape) for weight in model.weights)
    rates = [group.learning_rate for group in planned.groups]
    rate = f"{max(rates):g}" if min(rates) == max(rates) else f"{max(rates):g} to {min(rates):.2g}"
    warmup = f"{stage.warmup:.0%}" if isinstance(stage.warmup, float) else f"{stage.warmup} steps"
    return (
        str(index + 1),
        stage.label,
        _shortened([group.name for group in planned.groups]),
        str(stage.epochs),
        f"{trained:,}",
        f"{total - trained:,}",
        rate if stage.decay == "constant" else f"{rate}, {stage.decay}",
        warmup if stage.warmup else "-",
        _batch_norm(planned, model),
    )


def _shortened(names: list[str], limit: int = 4) -> str:
    if len(names) <= limit:
        return ", ".join(names)
    return ", ".join([*names[: limit - 1], f"... {len(names) - limit} more ...", names[-1]])


def _batch_norm(planned: PlannedStage, model: keras.Model) -> str:
    norms = graph.batch_norms(model)
    if not norms:
        return "none"
    training = sum(layer.trainable for layer in norms)
    return f"{training} of {len(norms)} train" if training else "frozen"
