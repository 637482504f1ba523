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
    """An oracle that no run of failing trials stops; the search itself decides about those.

    Args:
        algorithm: one of `ALGORITHMS`.
        objective: a `keras_tuner.Objective`.
        max_trials: most trials; Hyperband's first bracket is made to fit into them.
        hyperparameters: the `keras_tuner.HyperParameters` to search.
        seed: equal seeds and equal scores give equal trials.

    Raises:
        InputError: the algorithm is unknown.
    """
    settings: dict[str, Any] = {
        "objective": objective,
        "hyperparameters": hyperparameters,
        "seed": seed + 1,  # KerasTuner (1.4.8) takes 0 for "any seed"
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
            hyperband_iterations=max_trials,  # as often as there are trials left
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
    """How many parts a full fit has for Hyperband: the most whose first bracket fits the trials.

    A bracket of `FACTOR ** s` parts begins with trials of one part each, and lets the best third go
    on with three times as many, up to all (Li et al. 2018, https://jmlr.org/papers/v18/16-558.html).
    """
    units = 1
    while _bracket(FACTOR * units) <= max_trials:
        units *= FACTOR
    return units


def depends_on_no_score(
    algorithm: str, max_trials: int, number: int, values: Mapping[str, Any]
) -> bool:
    """Return whether an oracle asks for a trial whatever comes of those before.

    Those of Bayesian optimisation begin at random. Hyperband's are known until its first bracket lets
    the best go on.

    Args:
        algorithm: As for `make_oracle`.
        max_trials: As for `make_oracle`.
        number: The trial's, counted from 1, where all before it depend on none.
        values: Its values.
    """
    if algorithm == "bayesian":
        return number <= _random_first(max_trials)
    if algorithm == "hyperband":
        return values["tuner/round"] == 0 and number <= hyperband_units(max_trials)
    return True


def _random_first(max_trials: int) -> int:
    """Trials that Bayesian optimisation draws at random.

    Three points a dimension, KerasTuner's default, would leave 20 trials to chance alone.
    """
    return max(3, max_trials // 3)


def _bracket(units: int) -> int:
    """Trials of a bracket in which `units` begin, a third of them goes on, and so forth to one."""
    return sum(units // FACTOR**power for power in range(round(math.log(units, FACTOR)) + 1))
