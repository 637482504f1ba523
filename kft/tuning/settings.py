"""The settings of a search, their checks, and those of them that identify it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kft.arguments import check_choice, check_training, check_verbose, check_whole, path_of
from kft.cache.settings import CACHING
from kft.callbacks.stage_early_stopping import describe_rule
from kft.distribution.strategies import resolve
from kft.errors import InputError
from kft.family.policies import Resume
from kft.family.settings import CHOICES, stopping_rule
from kft.stages.plan import BatchNorm
from kft.stages.stage import Stage
from kft.tuning.bounds import Bounds
from kft.tuning.oracles import ALGORITHMS, hyperband_units

PRUNE = ("median",)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SearchSettings:
    """The arguments of `Recipe.tune` besides the data; that method documents them.

    Raises:
        InputError: If a value is out of its range.
    """

    run_dir: str | os.PathLike
    max_trials: int
    max_seconds: float | None
    max_epochs: int | None
    folds: int | None
    algorithm: str
    prune: str | None
    space: Any
    objective: Any
    stages: Sequence[Stage] | None
    batch_size: int
    early_stopping: Any
    batch_norm: BatchNorm
    balance: str | None
    jit_compile: bool | str
    cache: bool | str
    resume: Resume | None
    workers: int | None
    host: str | None
    distribution: Any
    seed: int
    on_bad_example: str
    verbose: int | str

    def __post_init__(self) -> None:
        check_training(batch_size=self.batch_size, seed=self.seed)
        Bounds(self.max_trials, self.max_seconds, self.max_epochs)  # checks them
        check_choice("prune", self.prune, (None, *PRUNE))
        if self.folds is not None:
            check_whole("folds", self.folds, "folds", least=2)
            if self.prune is not None:
                raise InputError(
                    f"`prune={self.prune!r}` compares trials after each epoch, and with `folds` a trial "
                    "has a score only after its last fold: leave out one of them."
                )
        check_choice("algorithm", self.algorithm, ALGORITHMS)
        check_choice("cache", self.cache, CACHING)
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        check_verbose(self.verbose)
        Resume.of(self.resume)
        resolve(self.distribution)
        stopping_rule(self.early_stopping)
        path_of("run_dir", self.run_dir)

    @property
    def path(self) -> Path:
        """The directory of the search."""
        return path_of("run_dir", self.run_dir)

    @property
    def bounds(self) -> Bounds:
        """The budget of the search."""
        return Bounds(self.max_trials, self.max_seconds, self.max_epochs)

    @property
    def units(self) -> int:
        """The number of parts into which Hyperband divides a full fit; 1 for other algorithms."""
        return hyperband_units(self.max_trials) if self.algorithm == "hyperband" else 1

    @property
    def shared(self) -> dict[str, Any]:
        """The arguments of `Recipe.fit` that all trials share and that affect their results."""
        return {
            "batch_size": self.batch_size,
            "batch_norm": self.batch_norm,
            "balance": self.balance,
            "jit_compile": self.jit_compile,
            "cache": self.cache,
            "early_stopping": self.early_stopping,
            "seed": self.seed,
        }

    def identity(self) -> Mapping[str, Any]:
        """Return what identifies this search in a directory, besides recipe, data and space."""
        rule = self.early_stopping
        is_rule = isinstance(rule, keras.callbacks.EarlyStopping)
        return self.shared | {
            "algorithm": self.algorithm,
            "prune": self.prune,
            "folds": self.folds,
            "units": self.units,
            "early_stopping": describe_rule(rule) if is_rule else rule,
        }
