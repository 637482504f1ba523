"""The default optimizer of a recipe."""

from __future__ import annotations

from typing import Any

import keras

from kft.stages.optimizer import norms_and_biases


def usual_optimizer(
    model: keras.Model, learning_rate: Any = 1e-3, *, weight_decay: float, name: str = "adamw"
) -> keras.optimizers.AdamW:
    """Return AdamW for a model, whose norms and biases do not decay.

    Args:
        model: The model.
        learning_rate: A rate or a schedule. Defaults to 1e-3.
        weight_decay: The decay of all other weights.
        name: The optimizer's name.
    """
    made = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, name=name)
    made.exclude_from_weight_decay(var_list=norms_and_biases(model))
    return made
