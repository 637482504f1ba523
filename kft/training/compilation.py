"""The choice whether to compile training steps for texts, and the padding that depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kft.backends import backend
from kft.data.buckets import BucketedBatches
from kft.stages.stage import Stage

# Measured with MiniLM in batches of 32 on two cores: compiling saves 0.13, 0.19 and 0.07 s per step
# of 16, 32 and 64 tokens and takes 4 to 9 s, twice, since an epoch's last batch has another shape.
_STEPS_THAT_REPAY = 150


def choose(
    jit_compile: bool | str, batches: Any, stages: Sequence[Stage], distribution: Any = None
) -> bool | str:
    """Resolve `"auto"` for texts on TensorFlow: True if there are enough steps to repay compilation.

    Keras (3.15.1) does not compile steps on a CPU by default, and each length is compiled separately.

    Args:
        jit_compile: the requested value; anything but `"auto"` is returned as it is.
        batches: the training batches.
        stages: the stages; the average number of their epochs counts.
        distribution: the strategy; with several devices the choice is left to Keras.
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


def pad_to_longest(model: keras.Model, *batches: Any) -> None:
    """Pad each batch of texts to its longest text, unless every new length would be compiled.

    Args:
        model: the compiled model.
        batches: the training and validation batches.
    """
    if backend().compiles_every_step or model.jit_compile:
        return
    for one in batches:
        if isinstance(one, BucketedBatches):
            one.pad_to_longest()
