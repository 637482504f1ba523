"""Semantic segmentation: a class for each pixel of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from kft.answers import Ops, Rules
from kft.arguments import check_choice, check_whole, is_number, is_whole, shown
from kft.data.bad import BadExamples
from kft.data.raw_labels import RawLabels, ReadTargets
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.tasks.evaluation.figures import Better
from kft.tasks.evaluation.segmentation_scorer import SegmentationScorer
from kft.tasks.masks.colours import check_colours, colours_of
from kft.tasks.masks.decoder import DECODERS, resized
from kft.tasks.masks.files import Ignored
from kft.tasks.masks.folder import read_mask_folder
from kft.tasks.masks.labels import batch_of, mask_targets, pixels_of
from kft.tasks.masks.layers import MaskLoss, PixelAccuracy
from kft.tasks.masks.stored import IGNORED
from kft.tasks.of_images import LabelsInImages
from kft.tasks.predictions import MaskPredictions
from kft.tasks.task import Task

MOST_CLASSES = 255  # a PNG mask has 8 bits, and one number is reserved for ignored pixels


@dataclass(frozen=True, kw_only=True, repr=False)
class Segmentation(LabelsInImages):
    """Semantic segmentation: a decoder on the feature maps of an image backbone.

    Data are a folder with `images` and `masks`, PNG files of class numbers or of colours; a folder with
    `images` and a COCO file of polygons or run-length encodings; or `(images, masks)`, where a mask is
    an array of class numbers `[height, width]` or the path of a PNG file. A mask has the size of its
    image, and is resized with it to the recipe's size.

    Args:
        classes: Names of the classes, in the order of their numbers. Defaults to those of the training
            data: `classes.txt` in the folder, or else "0", "1", ...
        colors: The colour of each class in mask files, by class name, in the order of the classes:
            `{"road": (128, 64, 128)}`. Defaults to None for masks of class numbers, or to the colours in
            `classes.txt`.
        ignore: The class number of ignored pixels, or their colour in masks of colours. Defaults to 255.
        dice: Weight of a soft Dice loss added to the cross-entropy; it helps small classes. Defaults
            to 0.
        decoder: `"unet"`, or `"fpn"` for a feature pyramid. Defaults to `"unet"`.
        channels: Channels of the decoder at the finest map, a multiple of 8; coarser maps have up to 8
            times as many. Defaults to 16.
        image_size: Height and width of the model's images. A recipe sets it.

    Raises:
        InputError: If an argument is out of range, or `classes` and `colors` differ.

    Example:

    ```python
    recipe = MobileNetRecipe("MobileNetV2", task=kft.tasks.Segmentation())
    run = recipe.fit("cells/", run_dir="runs/cells")
    recipe.predict(["one.jpg"]).write("masks")
    ```
    """

    name: ClassVar[str] = "segmentation"
    needs: ClassVar[str] = "pyramid"
    objective: ClassVar[tuple[str, Literal["max", "min"]]] = ("val_loss", "min")
    directions: ClassVar[Mapping[str, Better]] = {"pixel_accuracy": "max"}
    augmentable: ClassVar[bool] = True
    moves_with_images: ClassVar[str | None] = "masks"
    reads_inputs: ClassVar[bool] = False
    example_classes: ClassVar[tuple[str, ...] | None] = ("background", "thing")
    set_by_recipe: ClassVar[tuple[str, ...]] = (*Task.set_by_recipe, "image_size")

    colors: Mapping[str, tuple[int, int, int]] | None = None
    ignore: Ignored = IGNORED
    dice: float = 0.0
    decoder: str = "unet"
    channels: int = 16

    def __post_init__(self) -> None:
        if self.colors is not None:
            object.__setattr__(self, "colors", _checked_colors(self.colors))
        if self.classes is not None or self.colors is not None:
            named = tuple(self.colors or ()) if self.classes is None else self.classes
            names = self.checked_classes(named, "`classes`")
            object.__setattr__(self, "classes", tuple(names))
            if self.colors is not None:
                if set(self.colors) != set(names):
                    raise InputError(
                        f"`classes={shown(names)}` and `colors={shown(self.colors)}` name different "
                        "classes: leave `classes` out."
                    )
                object.__setattr__(self, "colors", {name: self.colors[name] for name in names})
        object.__setattr__(self, "ignore", _checked_ignore(self.ignore))
        if self.colors is not None:
            check_colours(self.colors, self.ignore, f"`colors={shown(self.colors)}`")
        if not is_number(self.dice) or self.dice < 0:
            raise InputError(
                f"`dice={shown(self.dice)}` is not a weight: pass 0 or more, such as 1."
            )
        check_choice("decoder", self.decoder, tuple(DECODERS))
        check_whole("channels", self.channels, "channels", least=8)
        if self.channels % 8:
            raise InputError(f"`channels={self.channels}`: pass a multiple of 8, such as 16.")

    # From masks to targets.

    @property
    def folder(self) -> Callable[[Path, BadExamples], ReadFile]:
        """The reader of folders with images and masks."""
        return lambda root, bad: read_mask_folder(root, bad, self.colors, self.ignore)

    def checked_classes(self, classes: Any, what: str) -> tuple[str, ...]:
        """Return the checked class names, of which there must be 2 to 255."""
        names = super().checked_classes(classes, what)
        if not 2 <= len(names) <= MOST_CLASSES:
            raise InputError(f"{what} names {len(names)} classes: pass 2 to {MOST_CLASSES}.")
        return names

    def targets(self, raw: RawLabels, classes: Any = None) -> ReadTargets:
        """Check all masks once; those in files are loaded again for each batch."""
        known = classes or self.classes
        if raw.numbered is not None:
            self.checked_classes(raw.numbered, raw.source)
        if raw.columns:
            raise InputError(
                f"{raw.source} is a table, but masks are files beside their images: pass a folder with "
                "images/ and masks/, or (images, masks) with the paths of both."
            )
        if known is not None and raw.numbered is not None and tuple(known) != raw.numbered:
            raise InputError(
                f"{raw.source} has the classes {shown(raw.numbered)} by its own list, but "
                f"{shown(tuple(known))} are expected: make them equal."
            )
        return mask_targets(raw, known, self.colors, self.ignore)

    def counts(self, rows: Any, classes: Any) -> dict[str, int]:
        """Return the number of masks in which each class occurs."""
        if not classes:
            return {}
        found = sum((pixels_of(row) > 0).astype(np.int64) for row in rows)
        return dict(zip(classes, np.asarray(found).tolist(), strict=False))

    def label(self, row: Any, classes: Any) -> str:
        """Return the classes of a mask, largest area first."""
        pixels = pixels_of(row)
        order = [n for n in np.argsort(-pixels, kind="stable") if pixels[n]]
        return ", ".join(classes[n] for n in order[:5]) or "nothing"

    def collate(self, rows: Any, inputs: Any) -> np.ndarray:
        """Return the masks of a batch, uint8 `[batch, height, width]`, with 255 for ignored pixels."""
        return batch_of(rows, self.image_size)

    # The model.

    @property
    def _known(self) -> tuple[str, ...]:
        if self.classes is None:
            raise InputError(
                "the classes are not known before data are read: call `fit` first, or pass them, such "
                'as Segmentation(("background", "cell")).'
            )
        return self.classes

    def head(self, features: Any, inputs: Any) -> Any:
        """Add the decoder and the class scores, resized to the image.

        Returns:
            Probabilities, float32 `(batch, height, width, classes)`.
        """
        maps = sorted(features.values(), key=lambda one: -one.shape[1])
        x = DECODERS[self.decoder](maps, self.channels, self.seed, self.named)
        x = keras.layers.Conv2D(
            len(self._known),
            1,
            kernel_initializer=keras.initializers.GlorotUniform(seed=self.seed),
            dtype="float32",
            name=self.named("predictions"),
        )(x)
        x = resized(x, inputs.shape[1:3], self.named("full"))
        return keras.layers.Activation("softmax", dtype="float32", name=self.named("scores"))(x)

    def embedded(self, features: Any) -> Any:
        """Return only the coarsest map: all maps together are larger than the image."""
        return min(features.values(), key=lambda one: one.shape[1])

    def loss(self) -> keras.losses.Loss:
        """Return the cross-entropy of the pixels that count, plus soft Dice if it has a weight."""
        return MaskLoss(dice=self.dice)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the pixel accuracy."""
        return [PixelAccuracy()]

    # The outcome.

    def scorer(self, classes: Sequence[str] | None) -> SegmentationScorer:
        """Return a scorer of masks."""
        names = classes or self._known
        return SegmentationScorer(names, colours_of(names, self.colors), self.name)

    def reduced(self, outputs: np.ndarray) -> np.ndarray:
        """Return the most probable class of each pixel, uint8 `[n, height, width]`."""
        return np.argmax(outputs, axis=-1).astype(np.uint8)

    def predictions(
        self, names: Sequence[str], outputs: np.ndarray, classes: Sequence[str] | None
    ) -> MaskPredictions:
        """Return the mask of each image."""
        known = tuple(classes or self._known)
        return MaskPredictions(names, outputs, known, colours_of(known, self.colors))

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return the mask of each image as the bytes of a PNG file, and the share of each class.

        `mask_png_bytes` holds class numbers at the model's image size; `shares`, float32 `[n, classes]`,
        are the class probabilities averaged over the pixels.
        """
        return {
            "mask_png_bytes": ops.png(ops.largest(outputs)),
            "shares": ops.mean(outputs, (1, 2)),
        }

    def answer_rules(self) -> Rules:
        """Return rules that let pixels of a mask differ where rounding decides between classes."""
        return Rules(pictures=("mask_png_bytes",))


def _checked_colors(colors: Any) -> dict[str, tuple[int, int, int]]:
    if not isinstance(colors, Mapping) or not all(map(_is_color, colors.values())):
        raise InputError(
            f"`colors={shown(colors)}`: pass a dict of names to colours from 0 to 255, such as "
            '{"road": (128, 64, 128)}.'
        )
    return {name: (int(red), int(green), int(blue)) for name, (red, green, blue) in colors.items()}


def _checked_ignore(ignore: Any) -> Ignored:
    if _is_color(ignore):
        red, green, blue = map(int, ignore)
        return red, green, blue
    if is_whole(ignore, 0, 2**16 - 1):
        return int(ignore)
    raise InputError(
        f"`ignore={shown(ignore)}`: pass a class number such as 255, or a colour such as (0, 0, 0)."
    )


def _is_color(value: Any) -> bool:
    is_list = isinstance(value, list | tuple) and len(value) == 3
    return is_list and all(is_whole(part, 0, 255) for part in value)
