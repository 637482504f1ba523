"""The search algorithms: KerasTuner's oracles, set up for staged fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras_tuner

from kft.errors import InputError

ALGORITHMS = ("random", "bayesian", "hyperband", "grid")
FACTOR = 3


def make_oracle(
    algorithm: str, *, objective: Any, max_trials: int, hyperparameters: Any, seed: int
) -> Any:
    """Return an oracle that failing trials do not stop: the search decides about those.

    Args:
        algorithm: One of `ALGORITHMS`.
        objective: A `keras_tuner.Objective`.
        max_trials: The maximum number of trials, into which Hyperband's first bracket is fitted.
        hyperparameters: The `keras_tuner.HyperParameters` to search.
        seed: The random seed; equal seeds and scores lead to equal trials.

    Raises:
        InputError: If the algorithm is unknown.
    """
    settings: dict[str, Any] = {
        "objective": objective,
        "hyperparameters": hyperparameters,
        "seed": seed + 1,  # KerasTuner (1.4.8) replaces 0 by a random seed
        "max_consecutive_failed_trials": max_trials + 1,
    }
    oracle: Any
    if algorithm == "random":
        oracle = keras_tuner.oracles.RandomSearchOracle(max_trials=max_trials, **settings)
    elif algorithm == "bayesian":
        oracle = keras_tuner.oracles.BayesianOptimizationOracle(
            max_trials=max_trials, num_initial_points=_random_first(max_trials), **settings
        )
    elif algorithm == "hyperband":
        oracle = keras_tuner.oracles.HyperbandOracle(
            max_epochs=hyperband_units(max_trials),
            factor=FACTOR,
            hyperband_iterations=max_trials,  # `max_trials` ends it, not this
            **settings,
        )
        oracle.max_trials = max_trials
    elif algorithm == "grid":
        oracle = keras_tuner.oracles.GridSearchOracle(max_trials=max_trials, **settings)
    else:
        raise InputError(f"`algorithm={algorithm!r}`: pass {', '.join(map(repr, ALGORITHMS))}.")
    oracle.verbose = 0
    return oracle


def hyperband_units(max_trials: int) -> int:
    """Return the number of parts of a full fit, the most whose first Hyperband bracket fits the trials.

    A bracket of `FACTOR ** s` parts begins with trials of one part each; the best third continue
    with three times as many, up to all (Li et al. 2018, https://jmlr.org/papers/v18/16-558.html).
    """
    units = 1
    while _bracket(FACTOR * units) <= max_trials:
        units *= FACTOR
    return units


def depends_on_no_score(
    algorithm: str, max_trials: int, number: int, values: Mapping[str, Any]
) -> bool:
    """Return whether an oracle proposes a trial whatever the scores of earlier trials are.

    The first trials of Bayesian optimisation are random. Hyperband's are known until its first
    bracket promotes the best.

    Args:
        algorithm: As for `make_oracle`.
        max_trials: As for `make_oracle`.
        number: The trial's number, counted from 1; no trial before it depends on a score.
        values: Its values.
    """
    if algorithm == "bayesian":
        return number <= _random_first(max_trials)
    if algorithm == "hyperband":
        return values["tuner/round"] == 0 and number <= hyperband_units(max_trials)
    return True


def _random_first(max_trials: int) -> int:
    """Return how many trials Bayesian optimisation draws at random.

    KerasTuner's default of three per dimension would leave 20 trials entirely to chance.
    """
    return max(3, max_trials // 3)


def _bracket(units: int) -> int:
    """Return the trials of a bracket that begins with `units` and keeps a third each time, to one."""
    return sum(units // FACTOR**power for power in range(round(math.log(units, FACTOR)) + 1))
