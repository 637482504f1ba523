"""Recipe for VGG16 and VGG19."""

from dataclasses import dataclass, field
from typing import ClassVar

from kft.stages.stage import Stage
from recipes.application import ApplicationRecipe, named


@dataclass(kw_only=True, eq=False)
class VGG16Recipe(ApplicationRecipe):
    """Fine-tune VGG16 or VGG19 (Simonyan and Zisserman, https://arxiv.org/abs/1409.1556).

    Args:
        name: `"VGG16"` or `"VGG19"`.

    The other arguments are those of `kft.ImageRecipe`.

    Example:

    ```python
    recipe = VGG16Recipe("VGG16", num_classes=5)
    run = recipe.fit("photos/", run_dir="runs/photos")
    recipe.export("serving/photos")
    ```
    """

    architectures: ClassVar = named("VGG16", "VGG19")

    name: str = field(default="VGG16", kw_only=False)

    def default_stages(self) -> list[Stage]:
        """Stages for a few hundred photographs: the head, the uppermost block, everything.

        The rates are small: without BatchNorm, larger ones undo what was learnt.
        """
        return [
            Stage(unfreeze=0, epochs=20, learning_rate=1e-3, name="head"),
            Stage(unfreeze=1, epochs=10, learning_rate=3e-5, warmup=0.1, name="top"),
            Stage(unfreeze="all", epochs=10, learning_rate=1e-5, warmup=0.1, name="all"),
        ]
