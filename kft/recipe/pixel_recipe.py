"""Recipes for images with any backbone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

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
from kft.model.pyramid import pyramid
from kft.recipe.recipe import Recipe


@dataclass(kw_only=True, eq=False)
class PixelRecipe(Recipe):
    """A recipe whose inputs are images.

    The model takes float32 images `(batch, height, width, 3)` with values from 0 to 255, as a
    decoder makes them: the preprocessing that the pretrained weights expect is part of the model.

    Args:
        image_size: Height and width to which images are resized. Defaults to (224, 224), on which
            most families were trained.
        pooling: One of `poolings`: how features become a vector. Defaults to `"avg"`.
        max_pixels: The largest image that an export decodes, width times height; a larger one gets
            a status instead of scores. Defaults to 50 million.

    The other arguments are those of `kft.Recipe`.
    """

    modality: ClassVar[str] = "image"
    gives: ClassVar[tuple[str, ...]] = ("vector", "map", "pyramid")
    usual_augmentation: ClassVar[str | None] = "light"
    smallest_image: ClassVar[int] = 32
    poolings: ClassVar[tuple[str, ...]] = ("avg", "max", "flatten")

    image_size: tuple[int, int] = (224, 224)
    pooling: str = "avg"
    max_pixels: int = MAX_PIXELS

    def __post_init__(self):
        self.image_size = self._checked_size()  # first, since a single number means a square
        super().__post_init__()
        self.task = self.task.for_images(self.image_size)
        if self.pooling not in self.poolings:
            known = ", ".join(map(repr, self.poolings))
            raise InputError(f"`pooling={self.pooling!r}` is unknown for images: pass {known}.")
        self._check_max_pixels()
        if keras.config.image_data_format() != "channels_last":
            raise InputError(
                "`keras.config.image_data_format()` is 'channels_first', but recipes feed images "
                "as (height, width, channels): call "
                "keras.config.set_image_data_format('channels_last') first."
            )

    def inputs(self) -> Any:
        """Return the model's input: float32 images with values from 0 to 255."""
        return keras.Input((*self.image_size, 3), dtype="float32", name="image")

    def features(self, need: str, backbone: Any, inputs: Any) -> Any:
        """Return pooled features, the last map, or maps of all resolutions, see `kft.model.pyramid`."""
        if need == "pyramid":
            return pyramid(inputs, backbone)
        return super().features(need, backbone, inputs)

    def load(self, raw: Any) -> np.ndarray:
        """Decode and resize images.

        Args:
            raw: Paths of image files, encoded images, Pillow images, or images as arrays
                `(height, width, 3)` with values from 0 to 255, whose size may differ in a list.

        Returns:
            Float32 `(n, *image_size, 3)`, values from 0 to 255.

        Raises:
            InputError: If one of them is not an image, or cannot be decoded; or arrays have another shape.
        """
        rows = as_rows(raw, "raw")
        if len(rows):
            _, rows, reasons = image_rows(rows, "raw", self.max_pixels)
            refuse_inputs(reasons)
        if isinstance(rows, list) and rows and isinstance(rows[0], np.ndarray):
            return np.concatenate([images.load(image[None], self.image_size) for image in rows])
        return images.load(rows, self.image_size)

    def input_identity(self) -> str:
        """Return the image size; everything else is part of the model."""
        return f"image {self.image_size}"

    def check_examples(self, examples: Examples) -> None:
        """Check that examples are images, and that arrays have the range that the model expects."""
        if isinstance(examples.inputs, dict) or examples.kind == "texts":
            what = "several inputs" if isinstance(examples.inputs, dict) else "texts"
            raise InputError(
                f"{examples.source} has {what}, but {type(self).__name__} takes images."
            )
        if examples.kind == "arrays":
            check_images_in_memory(examples.inputs, examples.source)

    def raw_inputs(self, raw: Any) -> Any:
        """Return images as a sequence; files are checked by their headers."""
        return raw_images(raw)

    def from_stream(self, dataset: Any) -> Any:
        """Add decoding and resizing to a `tf.data.Dataset` of images or encoded images.

        The targets of each batch are checked, and the pixels of the first. A `PyDataset` must yield
        images of the model's size.
        """
        check = StreamCheck(
            self.task, images=True, shape=(*self.image_size, 3), inputs=self.input_names
        )
        return as_model_images(checked(dataset, check), self.image_size)

    def augmentation(self, chosen: Any) -> Callable | None:
        """Convert a preset (`"light"`, `"standard"`, `"strong"`), Keras layers or a function to an augmentation.

        Args:
            chosen: An argument of `kft.data.augment.image_augmentation`.
        """
        moves = self.task.moves_with_images
        return self.labels_stay_true(chosen, image_augmentation(chosen, moves=moves))

    def serving_inputs(self) -> ServingInputs:
        """Return how encoded images, a string tensor `[n]`, are converted, up to `max_pixels`."""
        decode = partial(decode_rows, image_size=self.image_size, max_pixels=self.max_pixels)
        return ServingInputs(decode)

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
