"""The default batch size and stages of a fit."""

from __future__ import annotations

from typing import Any

from kft.data.examples import Examples
from kft.family.hooks import Family
from kft.stages.lengths import USUAL_BATCH, batch_size_for, without_solving
from kft.stages.stage import Stage, checked_stages


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
