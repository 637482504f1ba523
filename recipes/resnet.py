"""Recipe for the ResNets and their second version."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras

from kft.image_recipe import ImageRecipe, caffe_pixels, unit_pixels


@dataclass(kw_only=True, eq=False)
class ResNetRecipe(ImageRecipe):
    """Fine-tune a ResNet (He et al., https://arxiv.org/abs/1512.03385, V2 https://arxiv.org/abs/1603.05027).

    Args:
        name: `"ResNet50"`, `"ResNet101"`, `"ResNet152"`, or one of them with `"V2"` behind it.

    The other arguments are those of `kft.ImageRecipe`.

    Example:

    ```python
    recipe = ResNetRecipe("ResNet50", num_classes=5, image_size=(160, 160))
    run = recipe.fit("photos/", run_dir="runs/photos")
    recipe.export("serving/photos")
    ```
    """

    architectures: ClassVar = {
        "ResNet50": keras.applications.ResNet50,
        "ResNet101": keras.applications.ResNet101,
        "ResNet152": keras.applications.ResNet152,
        "ResNet50V2": keras.applications.ResNet50V2,
        "ResNet101V2": keras.applications.ResNet101V2,
        "ResNet152V2": keras.applications.ResNet152V2,
    }

    name: str = field(default="ResNet50", kw_only=False)

    def preprocess(self, inputs: Any) -> Any:
        """Pixels from -1 to 1 for the second version, as Caffe expects them for the first."""
        return unit_pixels(inputs) if self.name.endswith("V2") else caffe_pixels(inputs)
