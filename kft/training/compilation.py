"""Whether the steps of a fit are compiled for each length of texts, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kft.backends import backend
from kft.data.buckets import BucketedBatches
from kft.stages.stage import Stage

# Measured with MiniLM in batches of 32 on two cores: a step of 16, 32 or 64 tokens takes 0.13, 0.19
# and 0.07 s less once it is compiled, which takes 4 to 9 s more, and twice, since an epoch's last
# batch has a shape of its own.
_STEPS_THAT_REPAY = 150


def choose(
    jit_compile: bool | str, batches: Any, stages: Sequence[Stage], distribution: Any = None
) -> bool | str:
    """Resolves `"auto"` for texts on TensorFlow: True where the steps repay compiling them.

    Keras (3.15.1) compiles no step for a CPU of itself, and a step is compiled anew for each length.

    Args:
        jit_compile: what was asked for; anything but `"auto"` stays.
        batches: the training batches.
        stages: the stages, of which the average counts.
        distribution: the strategy; several devices leave the choice to Keras.
    """
    if (
        jit_compile != "auto"
        or distribution is not None
        or not backend().can_compile_on_request
        or not isinstance(batches, BucketedBatches)
    ):
        return jit_compile
    epochs = sum(stage.epochs for stage in stages) / len(stages)
    repaid = len(batches) * epochs / len(batches.buckets) >= _STEPS_THAT_REPAY
    return True if repaid else jit_compile


def pad_to_need(model: keras.Model, *batches: Any) -> None:
    """Pads each batch of texts to its longest one, if the model's steps take any length as they are.

    Args:
        model: the compiled model.
        batches: what it is trained and validated on.
    """
    if backend().compiles_every_step or model.jit_compile:
        return  # each length is compiled anew
    for one in batches:
        if isinstance(one, BucketedBatches):
            one.pad_to_need()
