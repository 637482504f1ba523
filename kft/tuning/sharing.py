"""What trials share: one pretrained backbone, and the features of what stays frozen."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kft.cache.cut import find_cut
from kft.family.hooks import Family
from kft.model.values import put_back, values_of
from kft.runs.randomness import seeded
from kft.stages.plan import BatchNorm, kept_flags, plan
from kft.stages.stage import Stage
from kft.tasks.forms import ARGUMENTS

# Arguments that the backbone does not know of.
HEAD_ARGUMENTS = frozenset(("hidden", "dropout", "weight_decay", "label_smoothing"))


def why_little_is_shared(
    recipe: Family, stages: Sequence[Stage], batch_norm: BatchNorm
) -> str | None:
    """Return why trials cannot share the features of frozen layers, None if they can.

    Args:
        recipe: The recipe that is searched for.
        stages: Its stages.
        batch_norm: As in `Recipe.fit`.
    """
    model = recipe.model
    with kept_flags(model):
        plan(model, stages, batch_norm)[0].enter(model)
        cut, reason = find_cut(model)
    if cut is not None and not reason:
        return None
    way_out = ""
    if getattr(recipe, "backbone_dropout", 0):
        way_out = " Pass backbone_dropout=0.0 (--set backbone_dropout=0.0) to run them once."
    return f"Trials run frozen layers in every epoch, since {reason}.{way_out}"


class SharedBackbone:
    """Builds recipes that differ in their heads on one backbone, each as if it were built alone.

    To build a backbone and to read its weights takes longer than many a trial on frozen features.

    Args:
        recipe: the recipe; it is left alone, a copy is built.
    """

    def __init__(self, recipe: Family) -> None:
        self._recipe = dataclasses.replace(recipe)
        with seeded(recipe.seed):
            self._inputs = self._recipe.inputs()
            self._features = self._recipe.backbone(self._inputs)
            # Initializers draw from Python's generator, the head's after those of the backbone.
            self._random = random.getstate(), np.random.get_state()
        self._recipe.input_identity()  # reads the tokenizer of texts, for all trials too
        self._backbone = keras.Model(self._inputs, self._features)
        self._values = values_of(self._backbone.variables)

    @staticmethod
    def suits(recipe: Family, arguments: Mapping[str, Any]) -> bool:
        """Whether a recipe with these arguments differs in its head only."""
        builds_itself = type(recipe).model is not Family.model
        is_plain = recipe.adapters is None  # the adapters of one trial would stay for the next
        return HEAD_ARGUMENTS.issuperset(arguments) and not builds_itself and is_plain

    def build(self, arguments: Mapping[str, Any], classes: Any) -> Family:
        """A recipe with these arguments and the pretrained weights.

        The one that was built before must not be used any longer: they share the backbone.

        Args:
            arguments: arguments of the head and of training.
            classes: the names of the classes, or None.
        """
        recipe = self.unbuilt(arguments, classes)
        for layer in self._backbone.layers:
            layer.trainable = True
        put_back(self._values)
        with seeded(recipe.seed):
            random.setstate(self._random[0])
            np.random.set_state(self._random[1])
            recipe.build_head(self._inputs, self._features)
        return recipe

    def unbuilt(self, arguments: Mapping[str, Any], classes: Any) -> Family:
        """A recipe with these arguments, without a model.

        Args:
            arguments: arguments of the head and of training.
            classes: the names of the classes, or None.
        """
        checked = dataclasses.replace(self._recipe, **arguments, classes=classes)
        recipe = copy.copy(self._recipe)  # with what is loaded: encoder and tokenizer
        for name in (*arguments, *ARGUMENTS, "classes", "task"):
            setattr(recipe, name, getattr(checked, name))
        return recipe
