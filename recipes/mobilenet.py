"""The recipe for MobileNet and MobileNetV2."""

import re
from dataclasses import dataclass, field, replace
from os.path import basename, isfile
from typing import Any, ClassVar

import keras

from kft.errors import InputError
from kft.model.outlines import without_values
from kft.model.pretrained import fits
from kft.stages.lengths import deep_stage
from kft.stages.stage import Stage
from recipes.application import ApplicationRecipe, named

# The widths for which keras.applications has weights.
PRETRAINED = {
    "MobileNetV2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    "MobileNet": (0.25, 0.5, 0.75, 1.0),
}


@dataclass(kw_only=True, eq=False)
class MobileNetRecipe(ApplicationRecipe):
    """Fine-tune a MobileNet (https://arxiv.org/abs/1704.04861) or MobileNetV2 (https://arxiv.org/abs/1801.04381).

    Args:
        name: `"MobileNetV2"` or `"MobileNet"`.
        alpha: Width of the network as a multiple of the original one, from 1/32 to 10. There are
            pretrained weights for 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4 of MobileNetV2, and for 0.25, 0.5,
            0.75 and 1.0 of MobileNet. Defaults to 1.

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

    def backbone(self, inputs: Any) -> Any:
        """Return feature maps of the preprocessed images, and refuse weights of another width."""
        try:
            features = super().backbone(inputs)
        except InputError as error:
            alpha = self._alpha_that_fits()
            if alpha is None:
                raise
            raise InputError(self._wrong(alpha)) from error
        if isinstance(self.weights, str) and self.alpha not in PRETRAINED[self.name]:
            alpha = _alpha_in_name(self.weights)
            if alpha not in (None, self.alpha):
                raise InputError(self._wrong(alpha))
        return features

    def _alpha_that_fits(self):
        """Return the pretrained width that the weights file has, None if it fits none."""
        file = str(self.weights)
        if not (file.endswith(".h5") and isfile(file)):
            return None
        found: list[float] = []

        def compare():
            for alpha in PRETRAINED[self.name]:
                recipe = replace(self, alpha=alpha, weights=None)
                images = keras.Input((*self.image_size, 3))
                model = recipe.application(recipe.preprocess(images), None)
                if alpha != self.alpha and fits(model, file):
                    found.append(alpha)
                    return

        without_values(compare)
        return found[0] if found else None

    def _wrong(self, alpha):
        return (
            f"`weights={self.weights!r}` is of alpha={alpha}, but `alpha={self.alpha!r}`: pass "
            f"alpha={alpha}."
        )

    def application(self, inputs: Any, weights: str | None) -> keras.Model:
        """Build the architecture at the width `alpha`."""
        return self.architectures[self.name](
            include_top=False,
            weights=weights,
            input_tensor=inputs,
            input_shape=(*self.image_size, 3),  # selects the pretrained resolution to download
            alpha=self.alpha,
        )

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """Return a solved head, then everything, for up to 60 epochs and about 500 steps."""
        return [self.head_stage(steps), deep_stage(steps, 3e-4)]


def _alpha_in_name(path):
    """Return the width in a file's name as keras.applications writes it, None if there is none."""
    found = re.search(r"mobilenet_(?:v2_.*?(\d\.\d+)|(1_0|7_5|5_0|2_5))_\d{2,3}_", basename(path))
    if found is None:
        return None
    return float(found[1] or {"1_0": "1.0"}.get(found[2], f"0.{found[2].replace('_', '')}"))
