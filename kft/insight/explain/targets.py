"""The score that is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kft.arguments import is_whole, shown
from kft.errors import InputError

if TYPE_CHECKING:
    from kft.family.hooks import Family


@dataclass(frozen=True, eq=False)
class Targets:
    """The explained output of each example.

    Attributes:
        labels: Its name.
        scores: The recipe's score.
        weights: Its position among the outputs, as one-hot rows.
    """

    labels: tuple[str, ...]
    scores: np.ndarray
    weights: np.ndarray


def choose(recipe: Family, scores: np.ndarray, target: str | int | None) -> Targets:
    """Return the output to explain: a class, or the predicted one.

    Args:
        recipe: The recipe.
        scores: Its scores for the examples, `(n, classes)`.
        target: Name or index of a class, None for each example's highest score.

    Raises:
        InputError: If there is no such class, or the task is not one of classes or numbers.
    """
    if not isinstance(scores, np.ndarray) or scores.ndim != 2:
        raise InputError(
            f"the task {recipe.task.name!r} has more than one answer per input, but an explanation is of "
            "one score: pass a recipe of classification, of several labels, or of regression."
        )
    count = scores.shape[1]
    names = [str(one) for one in (recipe.classes or range(count))]
    if target is None:
        places = scores.argmax(axis=1)
    elif isinstance(target, str) and target in names:
        places = np.full(len(scores), names.index(target))
    elif is_whole(target, 0, count - 1):
        places = np.full(len(scores), target)
    else:
        listed = ", ".join(names[:10])
        raise InputError(f"`target={shown(target)}` is not a class: pass one of {listed}, or None.")
    weights = np.eye(count, dtype="float32")[places]
    labels = tuple(names[place] for place in places)
    return Targets(labels, scores[np.arange(len(scores)), places], weights)
