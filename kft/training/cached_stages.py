"""Which stages of a fit train on kept features, and why the others do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras

from kft.cache.cost import Cost, estimate
from kft.cache.cut import Cut, cut_at, find_cut
from kft.cache.speed import LAPTOP, Speed, measured
from kft.cache.store import FeatureStore
from kft.distribution import processes
from kft.model import graph
from kft.stages.plan import PlannedStage, kept_flags
from kft.training.solver import Solver

_AUGMENTED = "not kept, since augmentation changes the inputs: pass augment=None to keep them"
_ELSEWHERE = "pass cache=kft.Cache(directory=...) for another disk"
_ANYWAY = "pass cache=True to keep them all the same"


@dataclasses.dataclass(frozen=True, eq=False)
class CachedStage:
    """Whether a stage trains on kept features.

    Attributes:
        cut: where the model is cut; None if the stage computes everything anew.
        reason: why, for the plan table, as in "kept: 3 MB" or "not kept, since ...".
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
    sample: Callable[[], Any] | None = None,
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
        before: what was decided when this run began, if it resumes: it decides again in the same way.
        solver: solves the head in a stage that asks for it.
        sample: gives inputs of the model, a batch `[n, ...]`, by which `"auto"` measures the machine.
            Without it a machine counts as a laptop: for a run that may resume where nothing tells
            what was decided.
    """
    if processes.rank() > 0:  # the machine and its disk are seen by the first process alone
        before = processes.from_first(before)
    is_noted = before is not None and len(before) == len(planned)
    wanted = before if before is not None and is_noted else [cache] * len(planned)
    candidates: list[_Candidate] = []
    moved: set[int] = set()  # variables that an earlier stage trains
    with kept_flags(model):
        for stage, asked in zip(planned, wanted, strict=True):
            stage.enter(model)
            if asked is False:
                candidates.append(_Candidate("not kept, since cache=False"))
            elif augments and not stage.stage.solve:
                candidates.append(_Candidate(_AUGMENTED))
            else:
                candidates.append(_candidate(model, stage, moved, solver))
            moved |= {id(variable) for variable in graph.changing(model)}
    # With the model's own flags, with which features are computed: JAX compiles for them.
    chooser = _Chooser(store, examples, length, sample)
    chosen = [chooser.choose(one, asked) for one, asked in zip(candidates, wanted, strict=True)]
    if processes.rank() == 0:
        processes.from_first([stage.cut is not None for stage in chosen])
    return chosen


@dataclasses.dataclass(frozen=True, eq=False)
class _Candidate:
    """Where a stage can be cut.

    Attributes:
        reason: why not, or why not deeper; empty where nothing is in the way.
        cut: the cut, None where there is none.
        epochs: how often its features would be read.
        solves: whether the stage solves a head, which always pays.
    """

    reason: str
    cut: Cut | None = None
    epochs: int = 0
    solves: bool = False


def _candidate(
    model: keras.Model, stage: PlannedStage, moved: set[int], solver: Solver | None
) -> _Candidate:
    """Find where a model can be cut that has entered a stage."""
    if solver is not None and stage.stage.solve:
        # It reads its features twice: to solve and to evaluate.
        return _Candidate("", cut_at(model, solver.head_inputs), epochs=2, solves=True)
    cut, reason = find_cut(model, moved)
    return _Candidate(reason if cut else f"not kept, since {reason}", cut, stage.stage.epochs)


@dataclasses.dataclass(eq=False)
class _Chooser:
    """Decides about one candidate after the other; see `decide` for the attributes."""

    store: FeatureStore
    examples: int
    length: int | None
    sample: Callable[[], Any] | None
    speed: Speed | None = None  # once it was needed

    def choose(self, candidate: _Candidate, asked: bool | str) -> CachedStage:
        """Decide whether the features of a stage are kept.

        Args:
            candidate: where it can be cut.
            asked: as `cache` for `decide`.
        """
        cut, reason = candidate.cut, candidate.reason
        if cut is None:
            return CachedStage(None, reason)
        cost = estimate(cut, self.examples, candidate.epochs, self.store, self.length)
        if asked == "auto" and not cost.fits:
            return CachedStage(None, f"not kept, since the disk has no room ({cost}): {_ELSEWHERE}")
        if asked == "auto" and not candidate.solves and not self._pays(cost, cut):
            below = f"{reason}, and what lies below it" if reason else "it"
            return CachedStage(None, f"not kept, since {below} would not pay ({cost}): {_ANYWAY}")
        return CachedStage(cut, f"kept: {cost}")

    def _pays(self, cost: Cost, cut: Cut) -> bool:
        """Return whether features are worth keeping, by a measurement where that is not clear."""
        if self.sample is None or cost.is_clear:
            return cost.pays(LAPTOP)
        if self.speed is None:
            self.speed = measured(cut, self.store, self.sample())
        return cost.pays(self.speed)
