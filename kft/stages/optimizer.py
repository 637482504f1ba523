"""An optimizer for groups of variables, each with its own rate, step count and state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kft.arguments import shown
from kft.backends import backend
from kft.errors import InputError
from kft.stages.clipping import clipped_together
from kft.stages.fused_adam import FusedAdam
from kft.stages.optimizer_groups import OptimizerGroups
from kft.stages.optimizer_internals import (
    averages_of,
    begin_averages,
    last_rate,
    rate_at,
    schedule_of,
    steps_taken,
)
from kft.stages.schedules import WarmupSchedule

# Settings that each group's optimizer applies, but that callbacks read from the model's optimizer.
_SETTINGS = (
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "gradient_accumulation_steps",
)
# Settings that the model's optimizer has for all groups together.
_TOGETHER = ("name", "learning_rate", "global_clipnorm", "loss_scale_factor")


class GroupedOptimizer(keras.optimizers.Optimizer):
    """Update each group of variables with its own optimizer, as one optimizer.

    Each group has its own slots, step count (so Adam's bias correction restarts for newly unfrozen
    weights) and learning rate. Clipping by global norm and loss scaling apply to all groups
    together. `learning_rate` reads as the rate of the first group, the head; setting it multiplies
    the rates of all groups by the same factor, which is what `ReduceLROnPlateau` needs. Every other
    setting (`weight_decay`, `use_ema`, `momentum`) is the same for all groups, and setting it sets it
    for all of them.

    A model saved as `.keras` with this optimizer keeps the optimizer it was compiled with, without
    its state, since Keras saves how the model was compiled. A run directory keeps the state.

    Args:
        optimizers: One optimizer per group, the head's first.
        groups: The variables of each optimizer.
        global_clipnorm: The norm to which the gradients of all groups together are clipped.
        loss_scale_factor: As in `keras.optimizers.Optimizer`.
        name: As in `keras.optimizers.Optimizer`.
    """

    def __init__(
        self,
        optimizers: Sequence[keras.optimizers.Optimizer],
        groups: Sequence[Sequence[keras.Variable]],
        *,
        global_clipnorm: float | None = None,
        loss_scale_factor: float | None = None,
        name: str = "grouped_optimizer",
    ) -> None:
        super().__init__(
            learning_rate=1.0,
            global_clipnorm=global_clipnorm,
            loss_scale_factor=loss_scale_factor,
            name=name,
        )
        self.finalizes = True
        self._members = OptimizerGroups(list(optimizers), [list(group) for group in groups])
        for optimizer in self.group_optimizers:
            optimizer.loss_scale_factor = None
            schedule = schedule_of(optimizer)
            if schedule is not None:
                schedule.scale = self.rate_scale

    def __getattr__(self, name: str) -> Any:
        """Return a setting of the groups' class of optimizer, such as `momentum`."""
        if not name.startswith("_") and "_members" in vars(self):
            first = self._members.optimizers[0]
            if name in first.get_config():
                return getattr(first, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if (
            name not in _TOGETHER
            and getattr(self, "built", False)
            and name in self.group_optimizers[0].get_config()
        ):
            for optimizer in self.group_optimizers:
                setattr(optimizer, name, value)
            if name not in _SETTINGS:
                return
        super().__setattr__(name, value)

    @property
    def group_optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The optimizer of each group, the head's first."""
        return self._members.optimizers

    @property
    def groups(self) -> list[list[keras.Variable]]:
        """The variables of each optimizer in `group_optimizers`."""
        return [list(group) for group in self._members.groups]

    @property
    def rate_scale(self) -> keras.Variable:
        """The factor on all rates; 1.0 unless a callback has set `learning_rate`."""
        return super().learning_rate

    @property
    def learning_rate(self) -> Any:
        """The rate of the first group's next step."""
        return self.group_optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            raise InputError(
                f"`optimizer.learning_rate = {value!r}`: during a fit with stages or warmup the rate "
                "has a schedule already. Set a number, or pass warmup and decay to kft.Stage."
            )
        wanted = float(ops.convert_to_numpy(value))
        if float(ops.convert_to_numpy(self.rate_scale)) == 0:  # which no factor raises
            self.rate_scale.assign(1.0)
        now = float(ops.convert_to_numpy(self.learning_rate))
        if now > 0:
            self.scale_rates(wanted / now)
        elif wanted > 0:
            raise InputError(
                f"`optimizer.learning_rate = {wanted!r}`, but the rate has decayed to 0, where its schedule "
                "ends: compile the model again, with a new optimizer, to train it further."
            )

    def scale_rates(self, factor: float) -> None:
        """Multiply the rates of all groups in this and all later steps."""
        self.rate_scale.assign(float(ops.convert_to_numpy(self.rate_scale)) * factor)

    @property
    def steps(self) -> keras.Variable:
        """The number of steps; `iterations` counts updates, fewer if gradients accumulate."""
        return super().variables[0]

    @property
    def last_learning_rate(self) -> float:
        """The first group's rate in the last step."""
        return last_rate(self.group_optimizers[0])

    def last_rates(self) -> dict[int, float]:
        """Return the rate of each variable in the last step, by the variable's `id`."""
        return {
            id(variable): rate
            for optimizer, group in zip(self.group_optimizers, self._members.groups, strict=True)
            for rate in [last_rate(optimizer)]
            for variable in group
        }

    @property
    def schedules(self) -> list[dict[str, Any] | None]:
        """The settings of each group's `WarmupSchedule`, None for a group without one."""
        found = [schedule_of(optimizer) for optimizer in self.group_optimizers]
        return [None if schedule is None else schedule.get_config() for schedule in found]

    @schedules.setter
    def schedules(self, settings: Sequence[dict[str, Any] | None]) -> None:
        for optimizer, each in zip(self.group_optimizers, settings, strict=True):
            if each is not None:
                schedule = WarmupSchedule(**each)
                schedule.scale = self.rate_scale
                optimizer.learning_rate = schedule

    @property
    def variables(self) -> list[keras.Variable]:
        """The optimizer's own variables, followed by those of each group's optimizer."""
        inner = [v for optimizer in self.group_optimizers for v in optimizer.variables]
        return [*super().variables, *inner]

    @property
    def averages(self) -> list[tuple[keras.Variable, keras.Variable | None]]:
        """Pairs of each trainable variable and the moving average of its values; empty without `use_ema`."""
        if not self.use_ema:
            return []
        found: dict[int, keras.Variable | None] = {}
        for optimizer, group in zip(self.group_optimizers, self._members.groups, strict=True):
            averages = zip(group, averages_of(optimizer), strict=True)
            found.update((id(variable), average) for variable, average in averages)
        return [(variable, found[id(variable)]) for variable in self._members.variables]

    @property
    def _model_variables_moving_average(self) -> list[keras.Variable | None]:
        """The averages, under the name that Keras' `SwapEMAWeights` (3.15.1) reads."""
        if not self.use_ema:
            raise AttributeError("there is no moving average without use_ema=True")
        return [average for _, average in self.averages]

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Create the slots of groups that have none yet."""
        if self.built:
            return
        self._members.bind(list(variables))
        for optimizer, group in zip(self.group_optimizers, self._members.groups, strict=True):
            if not optimizer.built:
                optimizer.build(group)
                begin_averages(optimizer, group)
        self._members.choose_steps()
        super().build(variables)
        for name in _SETTINGS:  # not earlier: Keras would create averages and accumulators here too
            setattr(self, name, getattr(self.group_optimizers[0], name))

    def get_config(self) -> dict[str, Any]:
        """Return the settings of the groups, with the first group's rate in the next step."""
        return {
            **self.group_optimizers[0].get_config(),
            "name": self.name,
            "learning_rate": float(ops.convert_to_numpy(self.learning_rate)),
            "global_clipnorm": self.global_clipnorm,
            "loss_scale_factor": self.loss_scale_factor,
        }

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        """Update each group with its gradients."""
        known = self._members.variables
        variables = known if trainable_variables is None else list(trainable_variables)
        pairs = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        if not pairs:
            raise InputError("No gradients: the loss depends on none of the variables that train.")
        gradients = [gradient for gradient, _ in pairs]
        if self.loss_scale_factor is not None:
            gradients = [gradient / self.loss_scale_factor for gradient in gradients]
        if self.global_clipnorm is not None:
            gradients, replicas = backend().summed_over_replicas(gradients)
            gradients = clipped_together(gradients, self.global_clipnorm)
            if replicas > 1:  # the gradients of all replicas will be summed
                gradients = [gradient / replicas for gradient in gradients]
        parts: list[tuple[list, list]] = [([], []) for _ in self.group_optimizers]
        for gradient, (_, variable) in zip(gradients, pairs, strict=True):
            part = parts[self._members.group_of[id(variable)]]
            part[0].append(gradient)
            part[1].append(variable)
        together = FusedAdam()
        for optimizer, (part_gradients, part_variables), decayed in zip(
            self.group_optimizers, parts, self._members.decayed, strict=True
        ):
            if part_variables and decayed is not None:
                taken = steps_taken(optimizer)
                rate = rate_at(optimizer, taken)
                together.add(optimizer, taken, rate, part_gradients, part_variables, decayed)
            elif part_variables:
                optimizer.apply(part_gradients, part_variables)
        together.step()
        self.steps.assign_add(1)

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Set variables to the moving average of their values, if an average is kept.

        Does nothing while `finalizes` is False, as between the parts of a longer run.
        """
        if not self.finalizes:
            return
        for optimizer, group in zip(self.group_optimizers, self._members.groups, strict=True):
            optimizer.finalize_variable_values(group)
            begin_averages(optimizer, group)  # so that another fit can follow on JAX


def check_optimizer(optimizer: Any) -> None:
    """Check that an optimizer is a Keras optimizer or None.

    Raises:
        InputError: If it is something else, such as a name or a class.
    """
    if optimizer is not None and not isinstance(optimizer, keras.optimizers.Optimizer):
        raise InputError(
            f"`optimizer={shown(optimizer)}`: pass a Keras optimizer, such as "
            "keras.optimizers.Adam(), or None for the default."
        )


def unscaled(optimizer: Any) -> Any:
    """Return the optimizer inside mixed precision's loss scaling, or the optimizer itself."""
    is_scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer.inner_optimizer if is_scaled else optimizer


def norms_and_biases(model: keras.Model) -> list[keras.Variable]:
    """Return the variables to exclude from weight decay: every vector and scalar.

    Pass them to `optimizer.exclude_from_weight_decay(var_list=...)` before compiling. Decay of
    biases and of the gains of norms does not regularise, it only moves what they normalise
    (He et al. 2019, https://arxiv.org/abs/1812.01187, section 3.1).
    """
    return [variable for variable in model.weights if len(variable.shape) < 2]
