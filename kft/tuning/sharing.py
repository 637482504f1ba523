"""One pretrained backbone for many trials, and whether they can share its frozen features."""

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

# Arguments that do not affect the backbone.
HEAD_ARGUMENTS = frozenset(("hidden", "dropout", "weight_decay", "label_smoothing"))


def why_little_is_shared(
    recipe: Family, stages: Sequence[Stage], batch_norm: BatchNorm
) -> str | None:
    """Return why trials cannot share the features of frozen layers; None if they can.

    Args:
        recipe: The recipe of the search.
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
    """Build recipes that differ in their heads on one backbone, with the same result as separately.

    Building a backbone and reading its weights takes longer than many a trial on frozen features.

    Args:
        recipe: The recipe; a copy is built, and the recipe is not changed.
    """

    def __init__(self, recipe: Family) -> None:
        self._recipe = dataclasses.replace(recipe)
        with seeded(recipe.seed):
            self._inputs = self._recipe.inputs()
            self._features = self._recipe.backbone(self._inputs)
            # Initializers draw from Python's generator, those of the head after the backbone's.
            self._random = random.getstate(), np.random.get_state()
        self._recipe.input_identity()  # loads the tokenizer of a text recipe once for all trials
        self._backbone = keras.Model(self._inputs, self._features)
        self._values = values_of(self._backbone.variables)

    @staticmethod
    def suits(recipe: Family, arguments: Mapping[str, Any]) -> bool:
        """Return whether a recipe with these arguments differs only in its head."""
        builds_itself = type(recipe).model is not Family.model
        is_plain = recipe.adapters is None  # adapters would remain for the next trial
        return HEAD_ARGUMENTS.issuperset(arguments) and not builds_itself and is_plain

    def build(self, arguments: Mapping[str, Any], classes: Any) -> Family:
        """Return a recipe with these arguments and the pretrained weights.

        The one that was built before must no longer be used, since they share the backbone.

        Args:
            arguments: Arguments of the head and of training.
            classes: The names of the classes, or None.
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
        """Return a recipe with these arguments, without building its model.

        Args:
            arguments: Arguments of the head and of training.
            classes: The names of the classes, or None.
        """
        checked = dataclasses.replace(self._recipe, **arguments, classes=classes)
        recipe = copy.copy(self._recipe)  # shares the loaded encoder and tokenizer
        for name in (*arguments, *ARGUMENTS, "classes", "task"):
            setattr(recipe, name, getattr(checked, name))
        return recipe
