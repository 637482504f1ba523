"""Grad-CAM: the regions of an image that support a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.arguments.calls import checked_call
from kft.errors import InputError
from kft.insight.explain import parts
from kft.insight.explain.gradients import InputGradient
from kft.insight.explain.images import ImageExplanation, load_inputs
from kft.insight.explain.targets import choose
from kft.insight.given import check_recipe

if TYPE_CHECKING:
    from kft.family.hooks import Family


@checked_call
def grad_cam(
    recipe: Family, raw: Any, *, target: str | int | None = None, layer: str | None = None
) -> ImageExplanation:
    """Show which regions of images support a class (Selvaraju 2017, https://arxiv.org/abs/1610.02391).

    The map sums the channels of the last feature map, weighted by the mean gradient of the class'
    score before the last activation; negative values, which speak against the class, are set to 0.
    Its resolution is that of the feature map.

    Args:
        recipe: A recipe for images.
        raw: As for `predict`.
        target: Name or index of the class to explain. Defaults to each image's predicted class.
        layer: Name of the layer whose feature map is used. Defaults to the last one.

    Returns:
        A map from 0 to 1 for each image, of the image's height and width.

    Raises:
        InputError: If the recipe is not for images, or there is no such class or layer.
    """
    check_recipe(recipe)
    if recipe.modality != "image":
        raise InputError(
            f"Grad-CAM explains images, but {type(recipe).__name__} takes {recipe.modality}s"
            f"{': call integrated_gradients.' if recipe.modality == 'text' else '.'}"
        )
    images = load_inputs(recipe, raw)
    chosen = choose(recipe, recipe.model.predict_on_batch(images), target)
    below, above = parts.feature_maps(recipe.model, layer)
    maps = below.predict_on_batch(images)
    gradients = InputGradient(above)(maps, chosen.weights)
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    heat = np.maximum((weights * maps).sum(axis=-1, keepdims=True), 0).astype("float32")
    heat = keras.ops.image.resize(heat, images.shape[1:3], data_format="channels_last")
    heat = keras.ops.convert_to_numpy(heat)[..., 0]
    highest = heat.max(axis=(1, 2), keepdims=True)
    heat = np.divide(heat, highest, out=np.zeros_like(heat), where=highest > 0)
    return ImageExplanation("Grad-CAM", images, heat, chosen.labels, chosen.scores)
