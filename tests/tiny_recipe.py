"""A user's own recipe, as kept next to their data."""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from kft.recipe.image import ImageRecipe
from kft.stages.stage import Stage


def tiny_cnn(
    input_tensor: Any, include_top: bool = False, weights: str | None = None
) -> keras.Model:
    """Return a backbone of two convolutional blocks, called like those of `keras.applications`."""
    x = input_tensor
    for number in (1, 2):
        x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name=f"block{number}_conv")(x)
        x = keras.layers.Activation("relu", name=f"block{number}_relu")(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


@dataclass(kw_only=True, eq=False)
class TinyRecipe(ImageRecipe):
    """A recipe small enough to train in tests."""

    architectures: ClassVar = {"tiny": tiny_cnn}
    smallest_image: ClassVar[int] = 8
    usual_image: ClassVar[int] = 16

    name: str = "tiny"
    weights: str | None = None

    def preprocess(self, inputs: Any) -> Any:
        return keras.layers.Rescaling(1 / 255, dtype="float32")(inputs)

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        return [Stage(unfreeze=0, epochs=1, learning_rate=0.01), Stage("all", 1, 0.003)]
