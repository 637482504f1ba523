"""The recipe for every model of `keras.applications` with pretrained weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras
import numpy as np

from kft.errors import InputError
from kft.recipe.image import ImageRecipe
from kft.recipe.preprocessing import (
    IMAGENET_DEVIATIONS,
    caffe_pixels,
    imagenet_pixels,
    unit_pixels,
)


@dataclass(frozen=True)
class Architecture:
    """An architecture as `keras.applications` defines it in its code and documentation.

    Attributes:
        pixels: Scales images from 0 to 255 to what the pretrained weights expect; None if the model
            does so itself.
        size: Height and width in pixels of the images that it was trained on.
        smallest: Minimum height and width of an image.
    """

    pixels: Callable[[Any], Any] | None
    size: int = 224
    smallest: int = 32


_EFFICIENT = {
    "B0": 224,
    "B1": 240,
    "B2": 260,
    "B3": 300,
    "B4": 380,
    "B5": 456,
    "B6": 528,
    "B7": 600,
}
_EFFICIENT_V2 = {"B0": 224, "B1": 240, "B2": 260, "B3": 300, "S": 384, "M": 480, "L": 480}

ARCHITECTURES: Mapping[str, Architecture] = {
    **{
        f"ConvNeXt{size}": Architecture(None)
        for size in ("Tiny", "Small", "Base", "Large", "XLarge")
    },
    **{f"DenseNet{depth}": Architecture(imagenet_pixels) for depth in (121, 169, 201)},
    **{f"EfficientNet{name}": Architecture(None, size) for name, size in _EFFICIENT.items()},
    **{f"EfficientNetV2{name}": Architecture(None, size) for name, size in _EFFICIENT_V2.items()},
    "InceptionResNetV2": Architecture(unit_pixels, 299, 75),
    "InceptionV3": Architecture(unit_pixels, 299, 75),
    "MobileNet": Architecture(unit_pixels),
    "MobileNetV2": Architecture(unit_pixels),
    "MobileNetV3Large": Architecture(None),
    "MobileNetV3Small": Architecture(None),
    "NASNetLarge": Architecture(unit_pixels, 331),
    "NASNetMobile": Architecture(unit_pixels),
    **{f"ResNet{depth}": Architecture(caffe_pixels) for depth in (50, 101, 152)},
    **{f"ResNet{depth}V2": Architecture(unit_pixels) for depth in (50, 101, 152)},
    "VGG16": Architecture(caffe_pixels),
    "VGG19": Architecture(caffe_pixels),
    "Xception": Architecture(unit_pixels, 299, 71),
}


def named(*names: str) -> dict[str, Callable[..., keras.Model]]:
    """Return the functions of `keras.applications` that build these architectures."""
    return {name: getattr(keras.applications, name) for name in names}


@dataclass(kw_only=True, eq=False)
class ApplicationRecipe(ImageRecipe):
    """Fine-tune a model of `keras.applications` (https://keras.io/api/applications).

    Args:
        name: Name of the architecture: any of ConvNeXt, DenseNet, EfficientNet, EfficientNetV2,
            Inception, MobileNet, NASNet, ResNet, VGG and Xception there, such as
            `"EfficientNetV2B0"`.
        image_size: Height and width to which images are resized. Defaults to the size of the
            pretrained weights, 224 to 600 pixels.

    The other arguments are those of `kft.ImageRecipe`.

    Example:

    ```python
    recipe = ApplicationRecipe("EfficientNetV2B0", num_classes=5)
    run = recipe.fit("photos/", run_dir="runs/photos")
    recipe.export("serving/photos")
    ```
    """

    architectures: ClassVar[dict[str, Callable[..., keras.Model]]] = named(*ARCHITECTURES)

    name: str = field(default="EfficientNetV2B0", kw_only=False)
    image_size: Any = None

    def __post_init__(self) -> None:
        if self.image_size is None:
            self.image_size = (self._known.size, self._known.size)
        super().__post_init__()

    @property
    def smallest_image(self) -> int:  # type: ignore[override]
        """Minimum height and width of an image in pixels."""
        return self._known.smallest

    @property
    def _known(self) -> Architecture:
        """The facts about the architecture; the usual ones for an unknown name, which is refused later."""
        known = ARCHITECTURES.get(self.name) if isinstance(self.name, str) else None
        return known or Architecture(None)

    def preprocess(self, inputs: Any) -> Any:
        """Scale pixels as the architecture's own `preprocess_input` does."""
        pixels = self._known.pixels
        return inputs if pixels is None else pixels(inputs)

    def application(self, inputs: Any, weights: str | None) -> keras.Model:
        """Build the architecture, always with the same graph.

        Keras (3.15.1) adds a layer to EfficientNet when it downloads the weights itself, which a saved
        run could not rebuild: here its weights are moved into the graph without that layer.
        """
        if weights is None or not _is_first_efficient(self.name):
            try:
                return super().application(inputs, weights)
            except ValueError as error:  # for a backend or a size that Keras refuses
                raise InputError(f"`name={self.name!r}`: {error}") from error
        downloaded = self.architectures[self.name](
            include_top=False, weights=weights, input_shape=(*self.image_size, 3)
        )
        backbone = super().application(inputs, None)
        backbone.set_weights(downloaded.get_weights())
        return backbone

    def adapt(self, backbone: keras.Model) -> None:
        """Correct the variance in EfficientNet's pretrained weights.

        Its weights files have the standard deviations of ImageNet's channels where Keras'
        `Normalization` expects variances (https://github.com/tensorflow/tensorflow/issues/49930). A file
        with correct variances is left alone.
        """
        if not _is_first_efficient(self.name):
            return
        norms = [one for one in backbone.layers if isinstance(one, keras.layers.Normalization)]
        for norm in norms:
            mean, variance, count = (keras.ops.convert_to_numpy(one) for one in norm.weights)
            if np.allclose(np.ravel(variance), IMAGENET_DEVIATIONS, atol=1e-4):
                norm.set_weights([mean, np.square(variance), count])
            norm.finalize_state()


def _is_first_efficient(name: str) -> bool:
    return name.startswith("EfficientNet") and not name.startswith("EfficientNetV2")
