"""The decision which stages of a fit train on cached features, with the reason for each."""

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

_AUGMENTED = "not kept, since augmentation changes the inputs in each epoch"


@dataclasses.dataclass(frozen=True, eq=False)
class CachedStage:
    """The decision whether a stage trains on cached features.

    Attributes:
        cut: where the model is cut; None if the stage runs the whole model.
        reason: the reason for the plan table, such as "kept: 3 MB" or "not kept, since ...".
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
    """Decide for each stage whether to cache its frozen features.

    Args:
        model: the model; its trainable flags are restored afterwards.
        planned: the stages.
        store: where the features would be stored.
        examples: number of examples to cache, validation examples and views included.
        augments: whether the training inputs change from epoch to epoch.
        cache: True caches wherever results stay the same, `"auto"` only if it also saves time and
            fits on the disk, False never.
        length: tokens per text, if the model does not fix it.
        before: the decisions made when this run began, if it resumes; they are repeated.
        solver: solves the head in stages with `solve=True`.
        sample: returns a batch of model inputs `[n, ...]`, with which `"auto"` measures the machine.
            None assumes the speed of a laptop, for runs that may resume without a record of what was
            decided.
    """
    if processes.rank() > 0:  # only the first process measures the machine and its disk
        before = processes.from_first(before)
    is_noted = before is not None and len(before) == len(planned)
    wanted = before if before is not None and is_noted else [cache] * len(planned)
    candidates: list[_Candidate] = []
    moved: set[int] = set()  # variables that an earlier stage trains
    with kept_flags(model):
        for stage, asked in zip(planned, wanted, strict=True):
            stage.enter(model)
            if asked is False and cache is False:
                candidates.append(_Candidate("not kept, since cache=False"))
            elif augments and not stage.stage.solve:
                candidates.append(_Candidate(_AUGMENTED))
            elif asked is False:
                candidates.append(_Candidate("not kept, as was decided when the run began"))
            else:
                candidates.append(_candidate(model, stage, moved, solver))
            moved |= {id(variable) for variable in graph.changing(model)}
    # Outside `kept_flags`: JAX compiles for the flags, and features are computed with the model's own.
    chooser = _Chooser(store, examples, length, sample)
    chosen = [chooser.choose(one, asked) for one, asked in zip(candidates, wanted, strict=True)]
    if processes.rank() == 0:
        processes.from_first([stage.cut is not None for stage in chosen])
    return chosen


@dataclasses.dataclass(frozen=True, eq=False)
class _Candidate:
    """The deepest cut that a stage allows.

    Attributes:
        reason: why there is no cut, or no deeper one; empty if nothing prevents it.
        cut: the cut, or None.
        epochs: how many times its features would be read.
        solves: whether the stage solves a head, for which caching always pays.
    """

    reason: str
    cut: Cut | None = None
    epochs: int = 0
    solves: bool = False


def _candidate(
    model: keras.Model, stage: PlannedStage, moved: set[int], solver: Solver | None
) -> _Candidate:
    """Find the cut of a model whose flags are set for a stage."""
    if solver is not None and stage.stage.solve:
        # The features are read twice: to solve the head and to evaluate it.
        return _Candidate("", cut_at(model, solver.head_inputs), epochs=2, solves=True)
    cut, reason = find_cut(model, moved)
    return _Candidate(reason if cut else f"not kept, since {reason}", cut, stage.stage.epochs)


@dataclasses.dataclass(eq=False)
class _Chooser:
    """The decision about each candidate in turn; see `decide` for the attributes."""

    store: FeatureStore
    examples: int
    length: int | None
    sample: Callable[[], Any] | None
    speed: Speed | None = None  # measured on first use

    def choose(self, candidate: _Candidate, asked: bool | str) -> CachedStage:
        """Decide whether to cache the features of a stage.

        Args:
            candidate: where the stage can be cut.
            asked: like `cache` of `decide`.
        """
        cut, reason = candidate.cut, candidate.reason
        if cut is None:
            return CachedStage(None, reason)
        cost = estimate(cut, self.examples, candidate.epochs, self.store, self.length)
        if asked == "auto" and not cost.fits:
            return CachedStage(None, f"not kept, since the disk has no room ({cost})")
        if asked == "auto" and not candidate.solves and not self._pays(cost, cut):
            why = f"{reason}, and keeping what lies below it" if reason else "keeping them"
            return CachedStage(None, f"not kept, since {why} would not pay ({cost})")
        return CachedStage(cut, f"kept: {cost}")

    def _pays(self, cost: Cost, cut: Cut) -> bool:
        """Return whether caching saves time, measuring the machine if the estimate is not clear."""
        if self.sample is None or cost.is_clear:
            return cost.pays(LAPTOP)
        if self.speed is None:
            self.speed = measured(cut, self.store, self.sample())
        return cost.pays(self.speed)
