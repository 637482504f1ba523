"""The recipe for InceptionV3."""

from dataclasses import dataclass, field
from typing import ClassVar

from recipes.application import ApplicationRecipe, named


@dataclass(kw_only=True, eq=False)
class InceptionV3Recipe(ApplicationRecipe):
    """Fine-tune InceptionV3 (Szegedy et al., https://arxiv.org/abs/1512.00567).

    Args:
        name: `"InceptionV3"`, the only one.

    The other arguments are those of `kft.ImageRecipe`; images have at least 75 x 75 pixels, and 299 x
    299 by default.

    Example:

    ```python
    recipe = InceptionV3Recipe(num_classes=5)
    run = recipe.fit("photos/", run_dir="runs/photos")
    recipe.export("serving/photos")
    ```
    """

    architectures: ClassVar = named("InceptionV3")

    name: str = field(default="InceptionV3", kw_only=False)
