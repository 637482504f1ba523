"""A copy of an optimizer that has taken no step."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from kft.stages.optimizer import unscaled
from kft.stages.optimizer_internals import decays


def fresh_copy(
    optimizer: keras.optimizers.Optimizer,
    variables: Iterable[tuple[keras.Variable, keras.Variable]],
) -> keras.optimizers.Optimizer:
    """Return an optimizer with the same settings that has taken no step.

    Args:
        optimizer: An optimizer that has not been built.
        variables: Pairs of a variable that the optimizer would have trained and the one that replaces it,
            since exclusions from weight decay are not part of an optimizer's configuration.
    """
    decaying = unscaled(optimizer)
    undecayed = [new for old, new in variables if not decays(decaying, old)]
    made = type(optimizer).from_config(optimizer.get_config())
    if undecayed:
        unscaled(made).exclude_from_weight_decay(var_list=undecayed)
    return made
