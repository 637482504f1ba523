"""`Task`: everything between labels and a person, and nothing about backbones."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from kft.data.targets import TargetKind


@dataclass(frozen=True, kw_only=True)
class Task(TargetKind):
    """What a model is to do with the features of a backbone.

    A task is a frozen dataclass, so that equal tasks compare equal and a saved recipe can describe
    its own. It puts the last layers on a backbone, says what they are trained to do, and turns what
    they put out into figures, predictions and answers of a server. What it has to say of labels and
    targets, with defaults for all of it, is in `kft.data.targets.TargetKind`.

    Args:
        seed: Seed of the initial weights and of the dropout of its layers. A recipe sets it to its
            own.
        prefix: What the names of its layers begin with. `Several` sets it, so that several tasks
            fit into one model.

    Attributes:
        name: What the task is called in `recipe.json` and in an export's description.
        needs: The features that its head takes: `"vector"` `(batch, channels)`, `"map"` `(batch,
            height, width, channels)` or `"tokens"` `(batch, length, channels)`.
        objective: The logged value that tells which epoch is better, and its direction.
    """

    name: ClassVar[str]
    needs: ClassVar[str] = "vector"
    objective: ClassVar[tuple[str, str]] = ("val_loss", "min")

    seed: int = 0
    prefix: str = ""

    def head(self, features: Any, inputs: Any) -> Any:
        """Put the task's layers on the features of a backbone, in the same functional graph.

        All layers between the features and what is returned are the head: they are new, and they
        train in every stage.

        Args:
            features: A Keras tensor of the shape that `needs` names.
            inputs: The model's inputs, a Keras tensor or a dict of them; of texts, `padding_mask` is
                not 0 where there is a token.

        Returns:
            The model's output: a Keras tensor, or a dict of them.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `head(features, inputs)`.")

    def loss(self) -> Any:
        """Return the loss that `fit` compiles the model with."""
        raise NotImplementedError(f"{type(self).__name__} must define `loss()`.")

    def metrics(self) -> Any:
        """Return new metrics that `fit` compiles the model with. Defaults to none."""
        return []

    def learn(self, targets: Any) -> dict[str, Any]:
        """Return what the head takes from the training targets, as JSON values.

        Args:
            targets: The targets of the training examples.
        """
        return {}

    @property
    def unlearnt(self) -> dict[str, Any]:
        """What `learn` would return of a head that has learnt nothing."""
        return {}

    def apply(self, model: keras.Model, learnt: dict[str, Any]) -> None:
        """Set up a model with what `learn` returned, now or in the run that it is loaded from.

        Args:
            model: A model with this task's head.
            learnt: What `learn` returned.

        Raises:
            InputError: If it is nothing that `learn` returns.
        """

    def config(self) -> dict[str, Any]:
        """Return the arguments that build the task again, as JSON values, without the recipe's."""
        return {
            each.name: _plain(getattr(self, each.name))
            for each in dataclasses.fields(self)
            if each.init and each.name not in ("seed", "prefix")
        }

    def named(self, layer: str) -> str:
        """Return the name of a layer of the head."""
        return f"{self.prefix}{layer}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
