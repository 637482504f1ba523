"""The parts of the data on which each trial of a search is fitted and scored."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.examples import Examples
from kft.data.folds import folds_of
from kft.errors import InputError
from kft.runs.places import fold_run
from kft.tuning.trials import RUN, score_of


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Training and validation data of one fit of each trial.

    Attributes:
        train: The training data.
        validation: The validation data.
        run: The run directory of the fit, relative to the trial's folder.
    """

    train: Any
    validation: Any
    run: Path = Path(RUN)

    @property
    def weight(self) -> int:
        """The weight of its score in the mean over folds: the number of its validation examples."""
        return len(self.validation)


def fold_parts(data: Any, count: int, seed: int) -> tuple[Part, ...]:
    """Return a part for each fold of the data: it validates on that fold and trains on the others.

    Args:
        data: The data, as `Recipe.read` returned them.
        count: The number of folds.
        seed: Seed of the folds.

    Raises:
        InputError: The data are a stream, have times, or are too few.
    """
    if not isinstance(data, Examples):
        raise InputError(
            f"{data.source} is a stream, which cannot be divided into `folds`: pass files, a table or "
            "arrays, or leave out `folds` and pass `validation_data`."
        )
    folds = folds_of(data, count, seed)
    return tuple(
        Part(
            data.take(np.flatnonzero(folds != number)),
            data.take(np.flatnonzero(folds == number)),
            fold_run(Path(RUN), number),
        )
        for number in range(count)
    )


def outcome_of(
    parts: Sequence[Part], histories: Sequence[Mapping[str, Sequence[Any]]], objective: Any
) -> dict[str, Any]:
    """Return the fields of a `Trial` that describe its result.

    Args:
        parts: The parts of the data.
        histories: The history of the fit on each of them.
        objective: The `keras_tuner.Objective` of the search.
    """
    scores = [score_of(history, objective) for history in histories]
    epochs = sum(len(history["loss"]) for history in histories)
    if len(parts) == 1:
        score, epoch, stage = scores[0]
        return {"score": score, "best_epoch": epoch, "best_stage": stage, "epochs": epochs}
    by_fold = tuple(score for score, _, _ in scores)
    weights = [float(part.weight) for part in parts]
    return {
        "score": statistics.fmean(by_fold, weights),
        "fold_scores": by_fold,
        "epochs": epochs,
    }
