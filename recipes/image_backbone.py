"""The recipe for KerasHub's image backbones: ViT, DINO, CLIP's and SigLIP's towers, Swin and others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import keras_hub

from kft.errors import InputError
from kft.model.image_sizes import for_size
from kft.model.pooling import pooled
from kft.model.stacks import opened
from kft.recipe.from_preset import from_preset
from kft.recipe.hugging_face import IMAGE_BACKBONES, IMAGES
from kft.recipe.pixel_recipe import PixelRecipe
from kft.recipe.preset_recipe import PRESET, PresetRecipe
from kft.recipe.presets import kept_converter, write_kept_preset
from kft.stages.lengths import deep_stage
from kft.stages.stage import Stage


@dataclass(kw_only=True, eq=False)
class ImageBackboneRecipe(PresetRecipe, PixelRecipe):
    """Fine-tune an image backbone of KerasHub.

    Convolutional backbones (DenseNet, EfficientNet, ResNet, CSPNet, HGNetV2, MobileNet, VGG, Xception)
    return feature maps, transformers (ViT, DeiT, DINOv2 and v3, Swin, MiT, CLIP's image tower)
    tokens, SigLIP's tower a vector. Each block of a transformer can be unfrozen separately, even if
    KerasHub keeps all of them inside one layer.

    Pixels are scaled as the preset's image converter scales them, inside the model, so they are the
    same in training, predictions and exports. Images are resized to `image_size` without cropping.

    Args:
        preset: Name of a KerasHub preset such as `"vit_base_patch16_224_imagenet"`, a handle such as
            `"hf://facebook/dinov2-base"`, a preset folder with `image_converter.json`, or a Hugging
            Face folder of DeiT, DINOv2, DINOv3, Swin or ViT.
        weights: `"preset"` for the pretrained weights, None to start from scratch.
        image_size: Height and width to which images are resized. Defaults to the image converter's,
            otherwise to (224, 224). Position embeddings are interpolated for sizes other than those
            that the backbone was trained on.
        pooling: `"avg"`, `"max"` or `"flatten"` of feature maps; of tokens `"cls"`, the first one, or
            `"mean"`, the average over the patches. Defaults to `"auto"`: the average of maps, the
            first token if it represents the image, otherwise the mean.

    The other arguments are those of `kft.recipe.pixel_recipe.PixelRecipe`.

    Raises:
        InputError: If the preset has no image backbone or no image converter, is damaged, or could
            not be downloaded.

    Example:

    ```python
    recipe = ImageBackboneRecipe("dinov2_small", num_classes=5)
    run = recipe.fit("photos/", run_dir="runs/photos")
    recipe.export("serving/photos")
    ```
    """

    folders: ClassVar = IMAGES
    hugging_face_types: ClassVar[tuple[str, ...] | None] = IMAGE_BACKBONES
    smallest_image: ClassVar[int] = 8
    poolings: ClassVar[tuple[str, ...]] = ("auto", "avg", "max", "flatten", "cls", "mean")

    image_size: Any = None
    pooling: str = "auto"

    def __post_init__(self) -> None:
        self._converter: Any = None
        self.check_preset()  # before the preset is read
        if self.image_size is None:
            self.image_size = self.converter.image_size or (224, 224)
        super().__post_init__()

    @property
    def converter(self) -> Any:
        """The preset's image converter, whose scale and offset of pixels are used."""
        if self._converter is None:
            kept = kept_converter(Path(self.preset))
            self._converter = kept or from_preset(self, keras_hub.layers.ImageConverter)
            if self._converter is None:
                raise InputError(f"`preset={self.preset!r}` does not define the scale of pixels.")
        return self._converter

    def load_encoder(self) -> Any:
        """Load the backbone, for CLIP and similar models the image tower, for images of `image_size`."""
        loaded = super().load_encoder()
        backbone = getattr(loaded, "vision_encoder", loaded)
        if len(backbone.inputs) != 1 or len(backbone.inputs[0].shape) != 4:
            raise InputError(
                f"`preset={self.preset!r}` holds a {type(backbone).__name__}, which takes no images."
            )
        return for_size(backbone, self.image_size, self.preset)

    def inputs(self) -> Any:
        """Return the model's input: float32 images from 0 to 255, named as in the backbone."""
        given = self.encoder.input
        name = next(iter(given)) if isinstance(given, dict) else "image"
        return keras.Input((*self.image_size, 3), dtype="float32", name=name)

    def backbone(self, inputs: Any) -> Any:
        """Return feature maps, tokens or a vector of the scaled images, in a graph with a layer per block."""
        output = opened(self.encoder, inputs, self.preprocess)
        if not isinstance(output, dict):
            return output
        coarsest = min(output.values(), key=lambda one: one.shape[1])  # if there are several maps
        return output.get("sequence_output", coarsest)

    def preprocess(self, inputs: Any) -> Any:
        """Scale pixels from 0..255 as the preset's image converter does."""
        scale, offset = self.converter.scale, self.converter.offset
        return keras.layers.Rescaling(
            1.0 if scale is None else scale,
            offset=0.0 if offset is None else offset,
            dtype="float32",
            name="pixels",
        )(inputs)

    def features(self, need: str, backbone: Any, inputs: Any) -> Any:
        """Return pooled features, the last map or maps of all resolutions; for tokens the patches' map."""
        axes = len(backbone.shape)
        if axes == 3 and need != "vector":
            backbone = self._map(backbone)
            stride = self.image_size[0] // backbone.shape[1]
            return backbone if need == "map" else {f"stride_{stride}": backbone}
        if axes == 2 and need != "vector":
            raise InputError(
                f"`task={type(self.task).__name__}` needs feature maps, but {self.preset!r} gives one "
                "vector for each image: choose another backbone."
            )
        if need != "vector":
            return super().features(need, backbone, inputs)
        if self.pooling == "auto":
            tokens = "cls" if axes == 3 and self._prefix(backbone) else "mean"
            return pooled(backbone, {4: "avg", 3: tokens}.get(axes))
        if self.pooling == "mean" and axes == 3:
            return pooled(backbone[:, self._prefix(backbone) :], "mean")
        return pooled(backbone, self.pooling)

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """Return a solved head, then everything, with 0.75 times the rate per block of a transformer.

        Layer decay and rate are those with which https://arxiv.org/abs/2111.06377 fine-tunes ViT.
        """
        if len(self.encoder.output_shape) == 4:
            return super().default_stages(steps)
        return [self.head_stage(steps), deep_stage(steps, 1e-4, most=30, layer_decay=0.75)]

    def read_all(self) -> None:
        """Build the model, and read how pixels are scaled."""
        super().read_all()
        _ = self.converter

    def save_files(self, directory: Path) -> None:
        """Write the image converter and the backbone's configuration as a preset folder without weights."""
        super().save_files(directory)
        write_kept_preset(directory / PRESET, self.encoder, self.converter)

    def _grid(self) -> tuple[int, int]:
        """Return the rows and columns of patches, as far as the backbone declares them."""
        patch = getattr(self.encoder, "patch_size", None)
        height, width = patch if isinstance(patch, list | tuple) else (patch or 1, patch or 1)
        return self.image_size[0] // height, self.image_size[1] // width

    def _prefix(self, tokens: Any) -> int:
        """Return how many tokens precede those of the patches, such as [CLS] and registers."""
        return max(0, tokens.shape[1] - math.prod(self._grid()))

    def _map(self, tokens: Any) -> Any:
        """Return the tokens of patches as a map `(batch, height, width, channels)`."""
        patches = tokens[:, self._prefix(tokens) :]
        height, width = self._grid()
        merged = math.isqrt(
            height * width // patches.shape[1]
        )  # Swin halves the resolution 3 times
        shape = height // merged, width // merged
        if math.prod(shape) != patches.shape[1]:
            raise InputError(
                f"`task={type(self.task).__name__}` needs a feature map, but {self.preset!r} gives "
                f"{patches.shape[1]} tokens, which are no grid: choose another backbone."
            )
        return keras.layers.Reshape((*shape, tokens.shape[-1]), name="patches")(patches)
