"""The work that caching frozen features has saved a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kft.training.cached_stages import CachedStage


def savings(
    stages: Sequence[CachedStage], epochs: Mapping[str, int], examples: int, passes: int
) -> dict[str, Any]:
    """Compare the passes through frozen layers with those needed without a cache.

    Args:
        stages: The decision for each stage.
        epochs: Epochs per stage, by its number from 1.
        examples: Examples per epoch, validation included.
        passes: Examples that went through frozen layers to be cached.

    Returns:
        `stages`, the passes that each cached stage would have needed, by number; `needed` and
        `computed`, the totals without and with the cache; `saved`, roughly the number of
        multiplications and additions avoided.
    """
    needed, work = {}, 0
    deepest = max((one.cut.operations for one in stages if one.cut is not None), default=0)
    for number, stage in enumerate(stages, start=1):
        if stage.cut is None:
            continue
        needed[str(number)] = epochs.get(str(number), 0) * examples
        work += needed[str(number)] * stage.cut.operations
    return {
        "stages": needed,
        "needed": sum(needed.values()),
        "computed": passes,
        # One pass fills the caches of all stages and runs up to the deepest cut.
        "saved": work - passes * deepest,
    }
