"""The default batch size and stages of a fit."""

from __future__ import annotations

from typing import Any

from kft.data.examples import Examples
from kft.family.hooks import Family
from kft.stages.lengths import USUAL_BATCH, batch_size_for, without_solving
from kft.stages.stage import Stage, checked_stages

TEMPERED = 16  # with fewer validation examples, single ones decide the temperature


def usual_tolerance(recipe: Family, examples: int) -> float:
    """Return by what fraction the end of a deeper default stage may be worse and still be kept.

    Losses of single examples vary about as much as their mean, so chance moves a mean over n of them by
    a fraction of 1/sqrt(n). In a family whose deeper stages usually help, a stage is discarded only if
    it is worse by more than that. In others it is kept only if it is better. With fewer than 16
    examples, where a solved classifier is already as good as a linear model, it must be better by more
    than chance.

    Args:
        recipe: The recipe.
        examples: The number of validation examples, fewer than 200.
    """
    chance = examples**-0.5
    if recipe.deeper_is_better:
        return chance
    solves = recipe.head_is_linear and recipe.task.calibrated_loss() is not None
    return -chance if solves and examples < TEMPERED else 0.0


def usual_plan(
    recipe: Family, train: Any, batch_size: int | None = None
) -> tuple[int, tuple[Stage, ...]]:
    """Return the batch size and the stages with which a recipe trains on some data.

    Args:
        recipe: The recipe.
        train: The training data without the validation data, `Examples` or a `Stream`.
        batch_size: The chosen batch size, or None.
    """
    if not isinstance(train, Examples):
        steps = getattr(train, "batches", None)
        stages = without_solving(checked_stages(recipe.usual_stages(steps)), steps)
        return batch_size or USUAL_BATCH, stages
    rows = recipe.row_count(train)
    size = batch_size or batch_size_for(rows)
    return size, checked_stages(recipe.usual_stages(-(-rows // size)))
