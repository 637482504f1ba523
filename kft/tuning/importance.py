"""The importance of each hyperparameter for the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.tuning.trials import Trial
from kft.tuning.values import searched

if TYPE_CHECKING:
    from kft.tuning.result import Search

FEWEST = 4


def coordinates(trials: Sequence[Trial]) -> tuple[list[str], np.ndarray]:
    """Return the hyperparameters that vary, scaled to the range from 0 to 1.

    Numbers that span more than a factor of 20 are scaled by their logarithm, strings by their
    alphabetical rank. An inactive value lies below all others.

    Args:
        trials: The trials of one search.

    Returns:
        The names, and an array `[trials, names]`.
    """
    names = list(dict.fromkeys(name for trial in trials for name in searched(trial)))
    columns = {name: [searched(trial).get(name) for trial in trials] for name in names}
    varying = [name for name in names if len(set(map(repr, columns[name]))) > 1]
    placed = [_placed(columns[name]) for name in varying]
    return varying, np.stack(placed, axis=1) if placed else np.zeros((len(trials), 0))


def importance(search: Search) -> dict[str, float]:
    """Return the share of the variance of the scores that each hyperparameter explains.

    A forest of regression trees predicts scores from values, and the gains of its splits are added
    up for each hyperparameter (mean decrease in impurity: Breiman 2001,
    https://doi.org/10.1023/A:1010933404324). With few trials this is a hint, not a measurement.

    Args:
        search: The search.

    Returns:
        Shares by name that sum to 1, the largest first; empty with fewer than four scores, or if
        all are equal.
    """
    from sklearn.ensemble import RandomForestRegressor

    done = [trial for trial in search.trials if trial.score is not None]
    names, places = coordinates(done)
    scores = np.array([trial.score for trial in done], dtype=float)
    if len(done) < FEWEST or not names or np.ptp(scores) == 0:
        return {}
    forest = RandomForestRegressor(n_estimators=100, min_samples_leaf=2, random_state=0)
    shares = forest.fit(places, scores).feature_importances_
    order = np.argsort(-shares, kind="stable")
    return {names[index]: float(shares[index]) for index in order}


def _placed(values: list[Any]) -> np.ndarray:
    present = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in present):
        known = sorted(set(map(str, present)))
        numbers = [np.nan if v is None else float(known.index(str(v))) for v in values]
    else:
        numbers = [np.nan if v is None else float(v) for v in values]
        if min(map(float, present)) > 0 and max(present) / min(present) > 20:
            numbers = list(np.log(numbers))
    array = np.array(numbers)
    low, high = np.nanmin(array), np.nanmax(array)
    scaled = (array - low) / (high - low) if high > low else np.where(np.isnan(array), array, 0.5)
    return np.where(np.isnan(scaled), -0.1, scaled)
