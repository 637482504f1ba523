"""The mapping of variables to the optimizers of groups, and the choice of fused steps."""

from __future__ import annotations

import keras

from kft.errors import InputError
from kft.stages.fused_adam import is_fusable
from kft.stages.optimizer_internals import decays


class OptimizerGroups:
    """The mapping of variables to the optimizers of groups.

    Kept outside the optimizer's own attributes, where Keras would track the model's variables as the
    optimizer's.
    """

    def __init__(self, optimizers: list, groups: list[list]) -> None:
        self.optimizers = optimizers
        self.groups = groups
        self.variables: list[keras.Variable] = []
        self.group_of: dict[int, int] = {}
        self.decayed: list[set[int] | None] = []

    def bind(self, variables: list[keras.Variable]) -> None:
        """Map the trainable variables to their groups, once they are known."""
        for index, group in enumerate(self.groups):
            self.group_of.update((id(variable), index) for variable in group)
        stray = [variable.path for variable in variables if id(variable) not in self.group_of]
        if stray:
            raise InputError(
                f"The optimizer has no group for {stray[:3]}: the trainable variables have changed "
                "since the stage was entered. Let StagedUnfreezing set the `trainable` flags."
            )
        self.variables = variables

    def choose_steps(self) -> None:
        """Choose the optimizers with fused steps, and the variables (by `id`) that weight decay applies to."""
        self.decayed = [
            {id(variable) for variable in group if decays(optimizer, variable)}
            if is_fusable(optimizer, group)
            else None
            for optimizer, group in zip(self.optimizers, self.groups, strict=True)
        ]
