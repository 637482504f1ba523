"""Which stages of a fit train on kept features, and why the others do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras

from kft.cache.cost import estimate
from kft.cache.cut import Cut, cut_at, find_cut
from kft.cache.store import FeatureStore
from kft.distribution import processes
from kft.model import graph
from kft.stages.plan import PlannedStage, kept_flags
from kft.training.solver import Solver


@dataclasses.dataclass(frozen=True, eq=False)
class CachedStage:
    """Whether a stage trains on kept features.

    Attributes:
        cut: where the model is cut; None if the stage computes everything anew.
        reason: why, for the plan table.
    """

    cut: Cut | None
    reason: str


def decide(
    model: keras.Model,
    planned: Sequence[PlannedStage],
    store: FeatureStore,
    *,
    examples: int,
    augments: bool,
    cache: bool | str,
    length: int | None = None,
    before: Sequence[bool] | None = None,
    solver: Solver | None = None,
) -> list[CachedStage]:
    """Choose for each stage whether its frozen features are kept.

    Args:
        model: the model; its flags are put back.
        planned: the stages.
        store: where features would be kept.
        examples: number of examples whose features would be kept, validation and views included.
        augments: whether the training inputs change from epoch to epoch.
        cache: True wherever it changes nothing, `"auto"` where it also pays and the disk has room,
            False nowhere.
        length: tokens of a text, where the model does not say it.
        before: what was decided when this run began, if it goes on: it decides again in the same way.
        solver: solves the head in a stage that asks for it.
    """
    if processes.rank() > 0:  # the room on the disk, for one, is seen by the first process alone
        before = processes.from_first(before)
    chosen: list[CachedStage] = []
    moved: set[int] = set()  # variables that an earlier stage trains
    with kept_flags(model):
        for stage in planned:
            stage.enter(model)
            if before is not None and len(before) == len(planned):
                cache = before[len(chosen)]
            chosen.append(
                CachedStage(None, "off")
                if cache is False
                else CachedStage(None, "off: augmentation changes the inputs")
                if augments and not stage.stage.solve
                else _chosen(model, stage, moved, store, examples, cache, length, solver)
            )
            moved |= {id(variable) for variable in graph.changing(model)}
    if processes.rank() == 0:
        processes.from_first([stage.cut is not None for stage in chosen])
    return chosen


def _chosen(
    model: keras.Model,
    stage: PlannedStage,
    moved: set[int],
    store: FeatureStore,
    examples: int,
    cache: bool | str,
    length: int | None,
    solver: Solver | None,
) -> CachedStage:
    cut: Cut | None
    solves = stage.stage.solve and solver is not None
    if solver is not None and solves:  # which reads its features twice: to solve and to evaluate
        cut, reason, epochs = cut_at(model, solver.head_inputs), "", 2
    else:
        (cut, reason), epochs = find_cut(model, moved), stage.stage.epochs
    if cut is None:
        return CachedStage(None, f"off: {reason}")
    cost = estimate(cut, examples, epochs, store.directory, length)
    if cache == "auto" and not cost.fits:
        return CachedStage(None, f"off: the disk has no room ({cost})")
    if cache == "auto" and not cost.pays and not solves:
        below = f"{reason}, and what lies below it" if reason else "it"
        return CachedStage(None, f"off: {below} would not pay ({cost})")
    return CachedStage(cut, f"on: {cost}")
