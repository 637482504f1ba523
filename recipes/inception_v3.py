"""Recipe for InceptionV3."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras

from kft.image_recipe import ImageRecipe, unit_pixels


@dataclass(kw_only=True, eq=False)
class InceptionV3Recipe(ImageRecipe):
    """Fine-tune InceptionV3 (Szegedy et al., https://arxiv.org/abs/1512.00567).

    Args:
        name: `"InceptionV3"`, the only one.

    The other arguments are those of `kft.ImageRecipe`; images have at least 75 x 75 pixels, 299 x
    299 unless `image_size` says otherwise.

    Example:

    ```python
    recipe = InceptionV3Recipe(num_classes=5)
    run = recipe.fit("photos/", run_dir="runs/photos")
    recipe.export("serving/photos")
    ```
    """

    architectures: ClassVar = {"InceptionV3": keras.applications.InceptionV3}
    smallest_image: ClassVar[int] = 75

    name: str = field(default="InceptionV3", kw_only=False)
    image_size: tuple[int, int] = (299, 299)

    def preprocess(self, inputs: Any) -> Any:
        """Pixels from -1 to 1."""
        return unit_pixels(inputs)
