"""Recipes for images: what the families of `keras.applications` have in common."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from os import PathLike, fspath
from os.path import isfile
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import numpy as np

from kft.arguments import is_whole, shown
from kft.data import images
from kft.data.augment import image_augmentation
from kft.data.examples import Examples
from kft.data.image_files import MAX_PIXELS
from kft.data.pixels import check_images_in_memory, image_rows
from kft.data.raw_images import raw_images
from kft.data.raw_texts import refuse_inputs
from kft.data.sequences import as_rows
from kft.data.served_images import decode_rows
from kft.data.stream_checks import StreamCheck, checked
from kft.data.stream_images import as_model_images
from kft.errors import InputError
from kft.family.serving import ServingInputs
from kft.model.pretrained import RANDOM, StartingWeights, load_weights_file, why_not_downloaded
from kft.model.pyramid import pyramid
from kft.recipe.recipe import Recipe

POOLINGS = ("avg", "max", "flatten")


@dataclass(kw_only=True, eq=False)
class ImageRecipe(Recipe):
    """A recipe whose inputs are images.

    The model takes float32 images `(batch, height, width, 3)` with values from 0 to 255, as a
    decoder makes them: the preprocessing that the pretrained weights expect is part of the model.

    A family is a subclass: its architectures, its smallest image, and `preprocess`.

    Args:
        name: Name of the architecture, as in `keras.applications`.
        image_size: Height and width that images are resized to. Defaults to (224, 224), which most
            families were trained on.
        weights: `"imagenet"` downloads the pretrained weights, a path is a weights file without
            classifier, None starts from scratch. Defaults to `"imagenet"`.
        pooling: `"avg"`, `"max"` or `"flatten"`: how feature maps become a vector. Defaults to
            `"avg"`.
        max_pixels: The largest image that an export decodes, width times height; it answers a
            larger one with a status instead of scores. Defaults to 50 million.

    The other arguments are those of `kft.Recipe`.
    """

    modality: ClassVar[str] = "image"
    gives: ClassVar[tuple[str, ...]] = ("vector", "map", "pyramid")
    usual_augmentation: ClassVar[str | None] = "light"
    architectures: ClassVar[dict[str, Callable[..., keras.Model]]] = {}
    smallest_image: ClassVar[int] = 32

    name: str = field(default="", kw_only=False)
    image_size: tuple[int, int] = (224, 224)
    weights: str | PathLike | None = "imagenet"
    pooling: str = "avg"
    max_pixels: int = MAX_PIXELS

    def __post_init__(self):
        self.image_size = self._checked_size()  # first, since a single number stands for a square
        if isinstance(self.weights, PathLike):
            self.weights = fspath(self.weights)
        super().__post_init__()
        self.task = self.task.for_images(self.image_size)
        if self.name not in self.architectures:
            known = ", ".join(map(repr, self.architectures))
            raise InputError(
                f"`name={self.name!r}` is not an architecture of {type(self).__name__}: pass {known}."
            )
        if self.pooling not in POOLINGS:
            known = ", ".join(map(repr, POOLINGS))
            raise InputError(f"`pooling={self.pooling!r}` is unknown for images: pass {known}.")
        self._check_max_pixels()
        if self.weights not in (None, "imagenet") and not isfile(self.weights):
            raise InputError(
                f"`weights={self.weights!r}` is not a file: pass the path of a weights file of "
                f"{self.name}, 'imagenet' to download one, or weights=None to start from scratch."
            )
        if keras.config.image_data_format() != "channels_last":
            raise InputError(
                "`keras.config.image_data_format()` is 'channels_first', but recipes feed images "
                "as (height, width, channels): call "
                "keras.config.set_image_data_format('channels_last') first."
            )

    def pretrained_weights(self) -> StartingWeights:
        """ImageNet, a file, or random weights."""
        if self.weights is None:
            return RANDOM
        return StartingWeights(
            "ImageNet" if self.weights == "imagenet" else f"the file {self.weights}"
        )

    def preprocess(self, inputs: Any) -> Any:
        """Scale pixels from 0..255 to what the pretrained weights expect, by Keras' own layers."""
        raise NotImplementedError(f"{type(self).__name__} must define `preprocess(inputs)`.")

    def application(self, inputs: Any, weights: str | None) -> keras.Model:
        """Build the architecture on `inputs`, without its classifier.

        Args:
            inputs: The preprocessed images, a Keras tensor.
            weights: None for random weights, or `"imagenet"`.
        """
        build = self.architectures[self.name]
        return build(include_top=False, weights=weights, input_tensor=inputs)

    def inputs(self) -> Any:
        """The model's input: float32 images with values from 0 to 255."""
        return keras.Input((*self.image_size, 3), dtype="float32", name="image")

    def backbone(self, inputs: Any) -> Any:
        """Feature maps `(batch, height, width, channels)` of the preprocessed images."""
        x = self.preprocess(inputs)
        if self.weights is None:
            return self.application(x, None).output
        if self.weights == "imagenet":
            backbone = self._downloaded(x)
        else:
            backbone = self.application(x, None)
            load_weights_file(backbone, self.weights, architecture=self.name)
        self.adapt(backbone)
        return backbone.output

    def features(self, need: str, backbone: Any, inputs: Any) -> Any:
        """Return pooled features, the last map, or those of all resolutions, see `kft.model.pyramid`."""
        if need == "pyramid":
            return pyramid(inputs, backbone)
        return super().features(need, backbone, inputs)

    def adapt(self, backbone: keras.Model) -> None:
        """Change what the pretrained weights of an architecture need changed. Defaults to nothing.

        Args:
            backbone: The architecture with its pretrained weights.
        """

    def load(self, raw: Any) -> np.ndarray:
        """Decode and resize images.

        Args:
            raw: Paths of image files, encoded images, Pillow's, or images as arrays
                `(height, width, 3)` with values from 0 to 255, which may differ in size if they are
                in a list.

        Returns:
            Float32 `(n, *image_size, 3)`, values from 0 to 255.

        Raises:
            InputError: One of them is no image, or cannot be decoded; or arrays have another shape.
        """
        rows = as_rows(raw, "raw")
        if len(rows):
            _, rows, reasons = image_rows(rows, "raw", self.max_pixels)
            refuse_inputs(reasons)
        if isinstance(rows, list) and rows and isinstance(rows[0], np.ndarray):
            return np.concatenate([images.load(image[None], self.image_size) for image in rows])
        return images.load(rows, self.image_size)

    def input_identity(self) -> str:
        """Images are resized, and all else is part of the model."""
        return f"image {self.image_size}"

    def check_examples(self, examples: Examples) -> None:
        """Check that examples are images, arrays of them in the range that the model expects."""
        if isinstance(examples.inputs, dict) or examples.kind == "texts":
            what = "several inputs" if isinstance(examples.inputs, dict) else "texts"
            raise InputError(
                f"{examples.source} has {what}, but {type(self).__name__} takes images."
            )
        if examples.kind == "arrays":
            check_images_in_memory(examples.inputs, examples.source)

    def raw_inputs(self, raw: Any) -> Any:
        """Return images to answer by their position; files are judged by their headers."""
        return raw_images(raw)

    def from_stream(self, dataset: Any) -> Any:
        """Put decoding and resizing in front of a `tf.data.Dataset` of images or encoded images.

        The targets of each batch are checked, and the pixels of the first. A `PyDataset` yields
        images of the size that the model takes.
        """
        check = StreamCheck(
            self.task, images=True, image_size=self.image_size, inputs=self.input_names
        )
        return as_model_images(checked(dataset, check), self.image_size)

    def augmentation(self, chosen: Any) -> Callable | None:
        """Turn a preset (`"light"`, `"standard"`, `"strong"`), Keras layers or a function into one.

        Args:
            chosen: What `kft.data.augment.image_augmentation` takes.
        """
        moves = self.task.moves_with_images
        return self.labels_stay_true(chosen, image_augmentation(chosen, moves_masks=moves))

    def serving_inputs(self) -> ServingInputs:
        """Encoded images as a string tensor `[n]` to the model's input, up to `max_pixels`."""
        decode = partial(decode_rows, image_size=self.image_size, max_pixels=self.max_pixels)
        return ServingInputs(decode)

    @classmethod
    def rebuild(cls, arguments: dict[str, Any], directory: Path) -> Self:
        """Build the recipe again, without the pretrained weights."""
        recipe = cls(**{**arguments, "weights": None})
        _ = recipe.model  # built now, as `weights` becomes what it was for the record
        weights = arguments["weights"]
        recipe.weights = None if weights is None else str(weights)
        return recipe

    def _downloaded(self, x):
        try:
            return self.application(x, "imagenet")
        except InputError:
            raise
        except Exception as error:
            # Keras raises a plain Exception when a download fails, and ValueError for what it has
            # no pretrained weights for; both messages say what happened.
            if isinstance(error, ValueError):
                raise InputError(f"`weights='imagenet'` for {self.name}: {error}") from error
            url = re.search(r"https?://[^\s:]+", str(error))
            if url is None:
                raise
            raise InputError(
                f"the weights of {self.name} could not be downloaded: "
                f"{why_not_downloaded(str(error), url.group())}. Fetch {url.group()} on a machine "
                "with a network, bring the file here and pass its path as `weights`, or weights=None "
                "to start from scratch."
            ) from error

    def _check_max_pixels(self):
        height, width = self.image_size
        if not is_whole(self.max_pixels) or self.max_pixels < height * width:
            raise InputError(
                f"`max_pixels={shown(self.max_pixels)}`: pass a whole number from {height * width}, what "
                f"images of `image_size={self.image_size}` have, such as 50_000_000."
            )

    def _checked_size(self):
        size: Any = self.image_size
        if is_whole(size):
            size = (size, size)
        pair = isinstance(size, (tuple, list)) and len(size) == 2
        if not pair or not all(map(is_whole, size)):
            raise InputError(
                f"`image_size={shown(self.image_size)}`: pass a height and a width in pixels, such "
                "as image_size=(224, 224)."
            )
        height, width = map(int, size)
        least, most = self.smallest_image, MAX_PIXELS
        if min(height, width) < least:
            raise InputError(
                f"`image_size={(height, width)}` is too small: {type(self).__name__} needs at least "
                f"{(least, least)}."
            )
        if height * width > most:
            raise InputError(
                f"`image_size={(height, width)}` is too large: at most {most:,} pixels are read."
            )
        return height, width
