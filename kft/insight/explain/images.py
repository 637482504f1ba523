"""Explanations of images: a map for each, and its figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.errors import InputError
from kft.plots.explain import image_maps
from kft.plots.style import Figure

if TYPE_CHECKING:
    from kft.family.hooks import Family


@dataclass(frozen=True, eq=False, repr=False)
class ImageExplanation:
    """A map of what supports a class in each image; shows as a figure in a notebook.

    Attributes:
        method: Name of the method.
        images: The images as the model takes them, `(n, height, width, 3)`, 0 to 255.
        maps: The importance of each pixel, `(n, height, width)`: 0 to 1 for Grad-CAM; for integrated
            gradients its positive or negative contribution to the score.
        labels: The explained class.
        scores: The recipe's score of that class.
        gaps: For integrated gradients, the error of the map's sum, which should be the score minus that
            of the baseline. None for methods without this property.
    """

    method: str
    images: np.ndarray
    maps: np.ndarray
    labels: tuple[str, ...]
    scores: np.ndarray
    gaps: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<{self.method} of {len(self)} images for {', '.join(self.labels[:5])}>"

    def plot(self) -> Figure:
        """Return a figure with each image next to the image under its map."""
        titles = [
            f"{label} {score:.2f}" for label, score in zip(self.labels, self.scores, strict=True)
        ]
        return image_maps(self.images, self.maps, titles, self.method)

    def _repr_png_(self) -> bytes:
        return self.plot()._repr_png_()


def load_inputs(recipe: Family, raw: Any) -> Any:
    """Convert raw inputs to the model's, as `Recipe.predict` does.

    Raises:
        InputError: If there are none, or one cannot be used.
    """
    raw = recipe.raw_inputs(raw)
    if not len(raw):
        raise InputError("there is nothing to explain: pass at least one input.")
    return recipe.load(raw)
