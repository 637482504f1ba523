"""The epochs and batch sizes of default stages: few examples need steps, not epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kft.model.adapters import ADAPTERS
from kft.stages.stage import Stage

_STEPS = 500
_USUAL = 10  # assumed batches per epoch if unknown: a few hundred examples
_LEAST = 3
USUAL_BATCH = 32
_SMALLEST_BATCH = 8
_STEPS_OF_AN_EPOCH = 10
_FASTER = 10  # times the rate of all weights


def epochs_of(steps: int | None, most: int) -> int:
    """Return the number of epochs for about 500 steps, at least 3.

    About 500 steps are BiT's rule for fewer than 20,000 examples (Kolesnikov et al. 2020,
    https://arxiv.org/abs/1912.11370).

    Args:
        steps: Batches per epoch; None for those of a few hundred examples.
        most: The maximum, for very few examples.
    """
    return min(most, max(_LEAST, round(_STEPS / (steps or _USUAL))))


def batch_size_for(examples: int) -> int:
    """Return the examples per step of the default stages.

    With 32 examples per step, few examples give too few steps even in the maximum of epochs. So an
    epoch has at least 10 steps, as long as a step still has 8 examples.

    Args:
        examples: Training examples.

    Returns:
        8, 16, 24 or 32.
    """
    fitting = examples // _STEPS_OF_AN_EPOCH // _SMALLEST_BATCH * _SMALLEST_BATCH
    return min(USUAL_BATCH, max(_SMALLEST_BATCH, fitting))


def trained_head(steps: int | None) -> Stage:
    """Return the stage that trains a head by steps, where it cannot be solved.

    Args:
        steps: As for `epochs_of`.
    """
    epochs = epochs_of(steps, most=20)
    return Stage(unfreeze=0, epochs=epochs, learning_rate=1e-3, name="head")


def without_solving(stages: tuple[Stage, ...], steps: int | None) -> tuple[Stage, ...]:
    """Return default stages without solving, for a stream, which cannot be held in memory.

    Args:
        stages: The default stages of a family.
        steps: As for `epochs_of`.
    """
    return (trained_head(steps), *stages[1:]) if stages[0].solve else stages


def deep_stage(
    steps: int | None, rate: float, *, most: int = 60, layer_decay: float = 0.9
) -> Stage:
    """Return the stage that trains everything, at a rate that decays to zero.

    Args:
        steps: As for `epochs_of`.
        rate: Peak rate of the head.
        most: As for `epochs_of`.
        layer_decay: As for `Stage`.
    """
    return Stage(
        unfreeze="all",
        epochs=epochs_of(steps, most),
        learning_rate=rate,
        warmup=0.1,
        decay="cosine",
        layer_decay=layer_decay,
        name="all",
    )


def adapter_stages(stages: Sequence[Stage]) -> list[Stage]:
    """Return stages that train adapters in place of all weights of the blocks.

    Their rate is ten times as high, and equal in all blocks: this was found to be LoRA's best rate
    for all ranks and models (Schulman and Thinking Machines Lab 2025, LoRA Without Regret,
    https://thinkingmachines.ai/blog/lora/); a step of `B` moves the kernel by a fraction of it.

    Args:
        stages: Stages that train everything.
    """
    return [
        stage
        if stage.unfreeze == 0
        else dataclasses.replace(
            stage,
            only=ADAPTERS,
            learning_rate=_FASTER * stage.learning_rate,
            layer_decay=1.0,
            name=ADAPTERS,
        )
        for stage in stages
    ]


def epochs_behind(
    stages: Sequence[Stage],
    history: Mapping[str, Sequence[Any]],
    best: Mapping[str, Any] | None,
) -> list[Stage]:
    """Return the stages of a run with only the epochs that led to its final weights.

    A stage that restored its best epoch has the epochs up to it; whatever came after the best epoch
    of the run is left out.

    Args:
        stages: The stages of the run.
        history: The logged values, including `stage`.
        best: The `monitor` and its `mode`, `"min"` or `"max"`, the `epoch` that was restored, from 1,
            and `among` which it was the best, see `kft.BestEpoch`; None if nothing was restored.
    """
    known = list(history["stage"])
    if best is not None:
        known = known[: best["epoch"]]
    kept = []
    for number in dict.fromkeys(known):
        length = known.count(number)
        if best is not None and best["among"] != "ends":
            values = [
                value
                for value, stage in zip(history[best["monitor"]], known, strict=False)
                if stage == number
            ]
            length = values.index((min if best["mode"] == "min" else max)(values)) + 1
        kept.append(dataclasses.replace(stages[int(number) - 1], epochs=length))
    return kept
