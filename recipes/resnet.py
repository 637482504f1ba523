"""The recipe for ResNet and ResNetV2."""

from dataclasses import dataclass, field
from typing import ClassVar

from recipes.application import ApplicationRecipe, named


@dataclass(kw_only=True, eq=False)
class ResNetRecipe(ApplicationRecipe):
    """Fine-tune a ResNet (He et al., https://arxiv.org/abs/1512.03385, V2 https://arxiv.org/abs/1603.05027).

    Args:
        name: `"ResNet50"`, `"ResNet101"`, `"ResNet152"`, or one of them with the suffix `"V2"`.

    The other arguments are those of `kft.ImageRecipe`.

    Example:

    ```python
    recipe = ResNetRecipe("ResNet50", num_classes=5, image_size=(160, 160))
    run = recipe.fit("photos/", run_dir="runs/photos")
    recipe.export("serving/photos")
    ```
    """

    architectures: ClassVar = named(
        *(f"ResNet{depth}{version}" for version in ("", "V2") for depth in (50, 101, 152))
    )

    name: str = field(default="ResNet50", kw_only=False)
