"""The default batch size and stages of a fit."""

from __future__ import annotations

from typing import Any

from kft.data.examples import Examples
from kft.family.hooks import Family
from kft.stages.lengths import USUAL_BATCH, batch_size_for, without_solving
from kft.stages.stage import Stage, checked_stages

HALFWAY = 0.5
TEMPERED = 16  # with fewer validation examples, single ones decide the temperature


def usual_end(recipe: Family, examples: int, given: Any) -> dict[str, Any]:
    """Return where a deeper default stage ends, and how much worse it may be there.

    Losses of single examples vary about as much as their mean, so chance moves a mean over n of them by
    a fraction of 1/sqrt(n). In a family whose deeper stages usually help, a stage is discarded only if
    it is worse by more than that.

    In others, a classifier whose head was solved ends halfway between it and the fine-tuned model. The
    mean of the weights of both is rarely much worse than either, so it is discarded only in the same
    case. With fewer than 16 examples, the fine-tuned model itself is compared, and has to be better by
    more than chance: the solved head is already as good as a linear model.

    Args:
        recipe: The recipe.
        examples: The number of validation examples, fewer than 200.
        given: Settings whose `interpolate`, unless it is `"auto"`, and `tolerance`, unless it is None,
            were chosen by a person, as was a `monitor` other than None.

    Returns:
        `interpolate` and `tolerance`, as for `kft.BestEpoch`.
    """
    solves = recipe.head_is_linear and recipe.task.calibrated_loss() is not None
    doubtful = solves and not recipe.deeper_is_better
    share, tolerance = given.interpolate, given.tolerance
    if share == "auto":
        share = HALFWAY if doubtful and examples >= TEMPERED and given.monitor is None else False
    if tolerance is None:
        chance = examples**-0.5
        if doubtful and examples < TEMPERED:
            tolerance = -chance
        else:
            between = isinstance(share, float)
            tolerance = chance if recipe.deeper_is_better or between else 0.0
    return {"interpolate": share, "tolerance": tolerance}


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
