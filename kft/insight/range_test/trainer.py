"""Models that train the layers of another without changing how it was compiled."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from kft.errors import InputError
from kft.model import graph
from kft.model.flags import decisions
from kft.stages.optimizer import unscaled
from kft.stages.plan import BatchNorm, Group, PlannedStage, plan
from kft.stages.regrouping import regroup, strategy_scope, template
from kft.stages.solving import refuse_solving
from kft.stages.stage import Stage, checked_stages
from kft.stages.usual_optimizer import usual_optimizer

if TYPE_CHECKING:
    from kft.family.hooks import Family


class Unstaged(PlannedStage):
    """The weights that train now, as a stage that changes no flags."""

    def enter(self, model: keras.Model) -> None:
        """Leave the flags as they are."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trainers:
    """A factory of models that train the layers of `model`, each with a new optimizer.

    Attributes:
        model: The model with the layers.
        optimizer: The optimizer to copy, None for the one that `model` is compiled with.
        settings: The other arguments of `compile`.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer | None
    settings: dict[str, Any]

    def at(self, planned: PlannedStage, rate: float) -> keras.Model:
        """Return a model at the start of a stage with this rate of the head."""
        planned.enter(self.model)
        with strategy_scope(self.model):
            trainer = keras.Model(*graph.inputs_and_outputs(self.model), name="range_test")
            # `compile` scales the loss by the model's policy, which may differ from the current default.
            trainer.dtype_policy = self.model.dtype_policy
            placeholder = keras.optimizers.SGD(name="range_test")
            trainer.compile(self.optimizer or placeholder, **self.settings)
        pattern = template(self.model if self.optimizer is None else trainer)
        factor = rate / planned.stage.learning_rate
        groups = [
            dataclasses.replace(group, learning_rate=group.learning_rate * factor)
            for group in planned.groups
        ]
        regroup(trainer, pattern, groups, Stage("all", epochs=1, learning_rate=rate), None)
        return trainer


def set_rate(trainer: keras.Model, times: float) -> None:
    """Set the rates of all groups to a multiple of their initial ones."""
    unscaled(trainer.optimizer).rate_scale.assign(times)


def trainers_for_model(
    model: keras.Model, optimizer: keras.optimizers.Optimizer | None
) -> Trainers:
    """Return trainers with the loss of a compiled model.

    Raises:
        InputError: If the model is not compiled, or has no loss.
    """
    if not model.compiled or getattr(model, "loss", None) is None:
        raise InputError(f"Model {model.name!r} has no loss yet: call model.compile(...) first.")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # about a loss that cannot be saved, but nothing is saved here
        weights = (model.get_compile_config() or {}).get("loss_weights")
    settings = {
        "loss": model.loss,
        "loss_weights": weights,
        "jit_compile": model.jit_compile,
        "run_eagerly": model.run_eagerly,
    }
    return Trainers(model, optimizer, settings)


def trainers_for_recipe(recipe: Family, optimizer: keras.optimizers.Optimizer | None) -> Trainers:
    """Return trainers with a recipe's loss and, by default, the optimizer of its `fit`."""
    if optimizer is None:
        decay = recipe.weight_decay
        optimizer = usual_optimizer(recipe.model, weight_decay=decay, name="range_test")
    return Trainers(recipe.model, optimizer, {"loss": recipe.loss()})


def planned_stages(
    model: keras.Model, stages: Sequence[Stage] | None, batch_norm: BatchNorm
) -> list[PlannedStage]:
    """Plan stages for a model, all with steps; without any, one for the weights that train now.

    Raises:
        InputError: If the stages do not fit the model, or nothing trains.
    """
    if stages is not None:
        checked = checked_stages(stages)
        refuse_solving(checked, "a range test of a model without a recipe")
        return plan(model, checked, batch_norm)
    if not model.trainable_variables:
        raise InputError(
            f"Nothing of model {model.name!r} trains: set `trainable`, or pass stages."
        )
    now = Stage("all", epochs=1, learning_rate=1.0, name="as it is")
    trained = Group("all that trains", (), 1.0, tuple(model.trainable_variables))
    return [Unstaged(now, (trained,), batch_norm, decisions(model))]
