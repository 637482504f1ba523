"""An optimizer like another one that has taken no step."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from kft.stages.optimizer import unscaled
from kft.stages.optimizer_internals import decays


def anew(
    optimizer: keras.optimizers.Optimizer,
    variables: Iterable[tuple[keras.Variable, keras.Variable]],
) -> keras.optimizers.Optimizer:
    """Return an optimizer with the same settings that has taken no step.

    Args:
        optimizer: An optimizer that has not been built.
        variables: Those that it would have trained, each with the one to train in its place: what
            weight decay leaves alone is no part of an optimizer's configuration.
    """
    decaying = unscaled(optimizer)
    undecayed = [new for old, new in variables if not decays(decaying, old)]
    made = type(optimizer).from_config(optimizer.get_config())
    if undecayed:
        unscaled(made).exclude_from_weight_decay(var_list=undecayed)
    return made
