"""What keeping frozen features has saved a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kft.training.cached_stages import CachedStage


def savings(
    stages: Sequence[CachedStage], epochs: Mapping[str, int], examples: int, passes: int
) -> dict[str, Any]:
    """Compares the work below the cuts with what the epochs would have needed.

    Args:
        stages: What was decided for each stage.
        epochs: Epochs that each stage took, by its number from 1.
        examples: Examples an epoch, validation included.
        passes: Examples that went through frozen layers to be kept.

    Returns:
        `stages`, for each that trained on kept features the passes that its epochs would have
        `needed`; `needed` and `computed` in all; `saved`, the multiplications and additions that were
        not done, roughly.
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
        # One pass fills the caches of all stages, and goes as far as the deepest of them.
        "saved": work - passes * deepest,
    }
