"""The tasks of `tuning.py`, photographs and questions, with a recipe and with plain Keras."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class Photos:
    """MobileNetV2 0.35 with ImageNet's weights on a folder of photographs."""

    data: str
    weights: str
    size: int = 128
    rates = (3e-4, 3e-2)
    block_rate = 1e-4

    def read(self) -> Any:
        """Read all photographs."""
        from kft.data.read import read

        return read(self.data, task="single_label", modality="image")

    def recipe(self, classes: int) -> Any:
        """Return the recipe of kft."""
        from recipes import MobileNetRecipe

        return MobileNetRecipe(
            "MobileNetV2",
            num_classes=classes,
            alpha=0.35,
            image_size=(self.size, self.size),
            weights=self.weights,
        )

    def model(self, recipe: Any) -> tuple[Any, Any]:
        """Return a new model and its frozen backbone, as in Keras' guide to transfer learning."""
        import keras

        shape = (self.size, self.size, 3)
        base = keras.applications.MobileNetV2(
            input_shape=shape, alpha=0.35, include_top=False, weights=None, pooling="avg"
        )
        base.load_weights(self.weights)
        base.trainable = False
        inputs = keras.Input(shape)
        x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
        x = keras.layers.Dropout(recipe.dropout, seed=recipe.seed)(base(x, training=False))
        outputs = keras.layers.Dense(recipe.num_classes, activation="softmax")(x)
        return keras.Model(inputs, outputs), base


@dataclasses.dataclass
class Questions:
    """MiniLM-L6 on questions in six classes."""

    data: str
    preset: str
    rates = (3e-4, 3e-2)
    block_rate = 1e-4

    def read(self) -> Any:
        """Read all questions of the training part."""
        from pathlib import Path

        from kft.data.read import read

        return read(Path(self.data) / "train.tsv", task="single_label", modality="text")

    def recipe(self, classes: int) -> Any:
        """Return the recipe of kft."""
        from recipes import BertRecipe

        return BertRecipe(self.preset, num_classes=classes, backbone_dropout=0.0)

    def model(self, recipe: Any) -> tuple[Any, Any]:
        """Return a new model and its frozen backbone, built with KerasHub."""
        import keras
        import keras_hub

        base = keras_hub.models.BertBackbone.from_preset(self.preset, dropout=0.0)
        base.trainable = False
        mask = keras.ops.expand_dims(keras.ops.cast(base.input["padding_mask"], "float32"), -1)
        x = base.output["sequence_output"] * mask
        x = keras.ops.sum(x, axis=1) / keras.ops.sum(mask, axis=1)
        x = keras.layers.Dropout(recipe.dropout, seed=recipe.seed)(x)
        outputs = keras.layers.Dense(recipe.num_classes, activation="softmax")(x)
        return keras.Model(base.input, outputs), base
