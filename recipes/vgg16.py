"""The recipe for VGG16 and VGG19."""

from dataclasses import dataclass, field
from typing import ClassVar

from kft.stages.lengths import deep_stage
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

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """Return a solved head, then everything, for up to 60 epochs and about 500 steps.

        The rate is low: without BatchNorm, higher ones undo what was learned.
        """
        return [self.head_stage(steps), deep_stage(steps, 3e-5)]
