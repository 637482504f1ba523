"""Recipe for MobileNet and MobileNetV2."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras

from kft.errors import InputError
from kft.stages import Stage
from recipes.application import ApplicationRecipe, named


@dataclass(kw_only=True, eq=False)
class MobileNetRecipe(ApplicationRecipe):
    """Fine-tune a MobileNet (https://arxiv.org/abs/1704.04861) or MobileNetV2 (https://arxiv.org/abs/1801.04381).

    Args:
        name: `"MobileNetV2"` or `"MobileNet"`.
        alpha: Width of the network as a multiple of the original one, from 1/32 to 10. Pretrained
            are 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4 of MobileNetV2, 0.25, 0.5, 0.75 and 1.0 of
            MobileNet. Defaults to 1.

    The other arguments are those of `kft.ImageRecipe`.

    Example:

    ```python
    recipe = MobileNetRecipe("MobileNetV2", num_classes=5, alpha=0.35, image_size=(128, 128))
    run = recipe.fit("photos/", run_dir="runs/photos")
    recipe.export("serving/photos")
    ```
    """

    architectures: ClassVar = named("MobileNetV2", "MobileNet")

    name: str = field(default="MobileNetV2", kw_only=False)
    alpha: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not 1 / 32 <= self.alpha <= 10:  # MobileNet's first layer has 32 filters at 1.0
            raise InputError(
                f"`alpha={self.alpha!r}` is not a width: pass a number from {1 / 32} to 10, such as "
                "0.35 or 1.0."
            )

    def application(self, inputs: Any, weights: str | None) -> keras.Model:
        """Build the architecture at the width `alpha`."""
        return self.architectures[self.name](
            include_top=False,
            weights=weights,
            input_tensor=inputs,
            input_shape=(*self.image_size, 3),  # decides which pretrained resolution is downloaded
            alpha=self.alpha,
        )

    def default_stages(self) -> list[Stage]:
        """Stages for a few hundred photographs: the head, the uppermost block, everything.

        Larger rates did no better on 400 photographs of flowers.
        """
        return [
            Stage(unfreeze=0, epochs=20, learning_rate=3e-3, name="head"),
            Stage(unfreeze=1, epochs=10, learning_rate=3e-4, warmup=0.1, name="top"),
            Stage(unfreeze="all", epochs=10, learning_rate=1e-4, warmup=0.1, name="all"),
        ]
