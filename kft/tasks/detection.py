"""Object detection: boxes around the objects in an image, each with a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from kft.answers import Detections, Ops, Rules
from kft.answers.detected import suppressed
from kft.arguments import check_whole, is_number, shown
from kft.data.bad import BadExamples
from kft.data.raw_labels import RawLabels, ReadTargets
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.tasks.boxes.folder import read_box_folder
from kft.tasks.boxes.head import BOX, SCORES, chosen_maps, detector
from kft.tasks.boxes.labels import batch_of, box_targets, classes_of, counted
from kft.tasks.boxes.losses import BoxLoss
from kft.tasks.evaluation.detection_scorer import DetectionScorer
from kft.tasks.masks.colours import colours_of
from kft.tasks.of_images import LabelsInImages
from kft.tasks.predictions import BoxPredictions
from kft.tasks.task import Task

if TYPE_CHECKING:
    from kft.data.examples import Examples

MOST_BOXES = 1000  # more would make steps slow: each location is compared with each box
_LEAST_SCORE = 0.05  # boxes with a lower score are dropped, whatever the threshold


@dataclass(frozen=True, kw_only=True, repr=False)
class Detection(LabelsInImages):
    """Object detection: an anchor-free detector on an image backbone.

    Boxes are left, top, right and bottom in pixels of the original image, whatever size the model
    takes; the upper left corner is (0, 0).

    Data are a folder in Pascal VOC, COCO or YOLO format, or `(images, boxes)`, where the boxes of an
    image are an array `[m, 5]` of left, top, right, bottom and class number, an empty list, or
    `{"boxes": [m, 4], "labels": [m]}`.

    Args:
        classes: Names of the classes, in the order of their numbers. Defaults to those of the training
            data: the categories of a COCO file, `classes.txt` in the folder, or the names that occur.
        max_boxes: Maximum number of boxes per image, in the data and in predictions. Defaults to 100.
        threshold: The score that a predicted box must exceed. The average precision also counts boxes below
            it. Defaults to 0.3.
        overlap: A box is dropped as a duplicate if its intersection over union with a better box of its
            class exceeds this. Defaults to 0.5.
        box_loss: Weight of the box loss relative to the score loss. Defaults to 2.
        channels: Channels of the feature pyramid, a multiple of 8. Defaults to 64.
        image_size: Height and width of the model's images. A recipe sets it.

    Raises:
        InputError: If an argument is out of range.

    Example:

    ```python
    recipe = MobileNetRecipe("MobileNetV2", task=kft.tasks.Detection())
    run = recipe.fit("cells/", run_dir="runs/cells")
    recipe.predict(["one.jpg"]).write("drawn")
    ```
    """

    name: ClassVar[str] = "detection"
    needs: ClassVar[str] = "pyramid"
    objective: ClassVar[tuple[str, Literal["max", "min"]]] = ("val_loss", "min")
    augmentable: ClassVar[bool] = True
    moves_with_images: ClassVar[str | None] = "boxes"
    reads_inputs: ClassVar[bool] = False
    example_classes: ClassVar[tuple[str, ...] | None] = ("thing",)
    set_by_recipe: ClassVar[tuple[str, ...]] = (*Task.set_by_recipe, "image_size")

    max_boxes: int = 100
    threshold: float = 0.3
    overlap: float = 0.5
    box_loss: float = 2.0
    channels: int = 64

    def __post_init__(self) -> None:
        if self.classes is not None:
            names = self.checked_classes(self.classes, "`classes`")
            object.__setattr__(self, "classes", names)
        check_whole("max_boxes", self.max_boxes, "boxes", least=1)
        if self.max_boxes > MOST_BOXES:
            raise InputError(f"`max_boxes={self.max_boxes}`: pass at most {MOST_BOXES}.")
        for name in ("threshold", "overlap"):
            value = getattr(self, name)
            if not is_number(value) or not _LEAST_SCORE <= value < 1:
                raise InputError(
                    f"`{name}={shown(value)}`: pass a number from {_LEAST_SCORE} up to 1, such as 0.5."
                )
        if not is_number(self.box_loss) or self.box_loss <= 0:
            raise InputError(
                f"`box_loss={shown(self.box_loss)}` is not a weight: pass a number above 0, such as 2."
            )
        check_whole("channels", self.channels, "channels", least=8)
        if self.channels % 8:
            raise InputError(f"`channels={self.channels}`: pass a multiple of 8, such as 64.")

    # From boxes to targets.

    @property
    def folder(self) -> Callable[[Path, BadExamples], ReadFile]:
        """The reader of folders in Pascal VOC, COCO or YOLO format."""
        return read_box_folder

    def checked_classes(self, classes: Any, what: str) -> tuple[str, ...]:
        """Return the checked class names, of which there must be at least one."""
        names = super().checked_classes(classes, what)
        if not names:
            raise InputError(f"{what} names no class: pass at least one.")
        return names

    def targets(self, raw: RawLabels, classes: Any = None) -> ReadTargets:
        """Check the boxes and number their classes."""
        known = classes or self.classes
        if raw.columns:
            raise InputError(
                f"{raw.source} is a table, but boxes are files beside their images: pass a folder in the "
                "form of Pascal VOC, COCO or YOLO, or (images, boxes)."
            )
        if raw.numbered is not None:
            self.checked_classes(raw.numbered, raw.source)
            if known is not None and tuple(known) != raw.numbered:
                raise InputError(
                    f"{raw.source} has the classes {shown(raw.numbered)} by its own list, but "
                    f"{shown(tuple(known))} are expected: make them equal."
                )
        return box_targets(raw, known, self.max_boxes)

    def counts(self, rows: Any, classes: Any) -> dict[str, int]:
        """Return the number of images in which each class occurs."""
        found = np.zeros(len(classes or ()), np.int64)
        for row in rows if len(found) else ():
            found[np.unique(classes_of(row))] += 1
        return dict(zip(classes or (), found.tolist(), strict=True))

    def label(self, row: Any, classes: Any) -> str:
        """Return the number of boxes of each class in an image, most frequent first."""
        return counted(classes_of(row), classes)

    def collate(self, rows: Any, inputs: Any) -> np.ndarray:
        """Return the boxes of a batch, float32 `[batch, max_boxes, 5]`, padded with the class -1."""
        return batch_of(rows, self.max_boxes)

    # The model.

    @property
    def _known(self) -> tuple[str, ...]:
        if self.classes is None:
            raise InputError(
                "the classes are not known before data are read: call `fit` first, or pass them, such "
                'as Detection(("cell",)).'
            )
        return self.classes

    def head(self, features: Any, inputs: Any) -> Any:
        """Add a feature pyramid that predicts class scores and a box at each location.

        Returns:
            Float32 `(batch, locations, 8 + classes)`: the box as fractions of the image, the centre and
            stride of its location, and the class scores.
        """
        size = inputs.shape[1:3]
        maps = chosen_maps(list(features.values()), size)
        return detector(maps, len(self._known), self.channels, self.seed, self.named)

    def embedded(self, features: Any) -> Any:
        """Return only the coarsest map: all maps together are larger than the image."""
        return min(features.values(), key=lambda one: one.shape[1])

    def loss(self) -> BoxLoss:
        """Return the quality focal loss of the scores plus the GIoU loss of the boxes."""
        return BoxLoss(box=self.box_loss)

    # The outcome.

    def scorer(self, classes: Sequence[str] | None) -> DetectionScorer:
        """Return a scorer of boxes."""
        return self.scorer_of(None, classes)

    def scorer_of(self, examples: Examples | None, classes: Any) -> DetectionScorer:
        """Return a scorer of boxes that draws some of them on the images of the examples."""
        names = classes or self._known
        colours = colours_of(names, None)
        return DetectionScorer(names, colours, self.threshold, self._found, examples, self.name)

    def reduced(self, outputs: np.ndarray) -> np.ndarray:
        """Return the predicted boxes, `[n, max_boxes, 6]`; see `BoxPredictions.found`."""
        return self._found(outputs, self.threshold)

    def predictions(
        self, names: Sequence[str], outputs: np.ndarray, classes: Sequence[str] | None
    ) -> BoxPredictions:
        """Return the boxes of each image."""
        known = tuple(classes or self._known)
        size = self.image_size or (1, 1)
        return BoxPredictions(names, outputs, known, colours_of(known, None), size)

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return the boxes of each image, best first, and their number.

        `boxes`, float32 `[n, max_boxes, 4]`, are left, top, right and bottom as fractions of the width
        and height of the image after its EXIF orientation is applied; `scores`, float32, and `labels`,
        strings, are `[n, max_boxes]`, padded with 0 and empty strings; `count` is int32 `[n]`.
        """
        boxes, scores, kinds, counts = ops.suppressed(
            outputs[..., BOX], outputs[..., SCORES], self.max_boxes, self.overlap, self.threshold
        )
        labels = ops.where(scores > 0, ops.labels(classes or self._known, kinds), "")
        return {"boxes": boxes, "scores": scores, "labels": labels, "count": counts}

    def answer_rules(self) -> Rules:
        """Return rules that compare boxes as a set: rounding can reorder those with close scores."""
        return Rules(
            detections=(
                Detections("boxes", "scores", "labels", "count", self.threshold, self.overlap),
            )
        )

    def _found(self, outputs: np.ndarray, least: float = _LEAST_SCORE) -> np.ndarray:
        """Return boxes, scores and class numbers, `[n, max_boxes, 6]`."""
        boxes, scores, kinds, _ = suppressed(
            outputs[..., BOX], outputs[..., SCORES], self.max_boxes, self.overlap, least
        )
        return np.concatenate([boxes, scores[..., None], kinds[..., None]], -1).astype(np.float32)
