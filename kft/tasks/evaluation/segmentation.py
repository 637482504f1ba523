"""Evaluation of segmentation: how well masks agree with those in the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.tasks.evaluation import plots
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.content import Chart, Grid, Mistake, Mistakes, Section, Table, Text
from kft.tasks.evaluation.figures import Figure, Figures

MAX_CONFUSION = 30


@dataclass(frozen=True)
class MaskMetrics:
    """Figures of the pixels of one class.

    Attributes:
        name: The class.
        pixels: The number of pixels in the data.
        answers: The number of pixels predicted as the class.
        right: How many of these are right.
        images: The number of images in which the class occurs.
    """

    name: str
    pixels: int
    answers: int
    right: int
    images: int

    @property
    def iou(self) -> float | None:
        """Intersection over union, `right / (pixels + answers - right)`; None without either."""
        union = self.pixels + self.answers - self.right
        return self.right / union if union else None

    @property
    def dice(self) -> float | None:
        """Dice coefficient, the F1 of the pixels; None without any."""
        both = self.pixels + self.answers
        return 2 * self.right / both if both else None

    @property
    def precision(self) -> float | None:
        """Fraction of the predicted pixels that are right; None without any."""
        return self.right / self.answers if self.answers else None

    @property
    def recall(self) -> float | None:
        """Fraction of the pixels in the data that are found; None without any."""
        return self.right / self.pixels if self.pixels else None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SegmentationEvaluation(Evaluation):
    """Evaluation of a model's masks over all pixels of all images, without ignored pixels.

    Attributes:
        mean_iou: Mean intersection over union (IoU) of the classes that occur in the data.
        mean_dice: Mean Dice coefficient of these classes.
        pixel_accuracy: Fraction of the pixels with the right class.
        per_class: `MaskMetrics` of each class.
        confusion_matrix: Counts of pixels `[k, k]`; rows are true classes, columns the model's.
        colours: The colour in which each class is drawn, uint8 `[k, 3]`.
    """

    task: str = "segmentation"
    per_class: tuple[MaskMetrics, ...]
    confusion_matrix: np.ndarray
    colours: np.ndarray
    intervals: dict[str, tuple[float, float]]
    worst: tuple[Mistake, ...] = ()
    others: tuple[Mistake, ...] = ()

    @property
    def figures(self) -> Figures:
        """Name and value of each figure; `mean_iou` first."""
        over = "mean over the classes in the data"
        found = [one for one in self.per_class if one.pixels]
        total = int(self.confusion_matrix.sum())
        right = int(np.trace(self.confusion_matrix)) / total if total else None
        iou, dice = (
            float(np.mean([getattr(one, name) for one in found])) if found else None
            for name in ("iou", "dice")
        )
        made = (
            ("mean_iou", iou, "mean IoU", f"intersection over union, {over}"),
            ("mean_dice", dice, "mean Dice", f"F1 of the pixels, {over}"),
            (
                "pixel_accuracy",
                right,
                "pixel accuracy",
                "fraction of the pixels with the right class",
            ),
        )
        return Figures(
            Figure(name, value, self.intervals.get(name), label, meaning, "max", True)
            for name, value, label, meaning in made
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the figures, and those of each class."""
        return (*super().tables(), self._classes())

    def sections(self) -> tuple[Section, ...]:
        """Return the classes, their confusion matrix, and images with their masks."""
        names = tuple(one.name for one in self.per_class)
        chart = Chart(
            "IoU of each class",
            "In the colours of the masks below; ignored pixels are light grey.",
            plots.coloured_bars(names, [one.iou for one in self.per_class], self.colours),
        )
        sections = [Section("classes", "Classes", (self._classes(), chart))]
        if len(names) <= MAX_CONFUSION:
            counts = tuple(map(tuple, self.confusion_matrix.tolist()))
            note = Text("Pixels: rows are the true classes, columns the model's.")
            sections.append(
                Section("confusion", "Confusion of classes", (note, Grid("Classes", names, counts)))
            )
        sentence = "{size} of the pixels are wrong: the model predicts {predicted}; the truth is {expected}."
        for anchor, heading, shown in (
            ("mistakes", "Images with the most wrong pixels", self.worst),
            ("others", "Other images", self.others),
        ):
            if shown:
                body = Mistakes(shown, sentence, ".1%")
                sections.append(Section(anchor, heading, (body,)))
        return tuple(sections)

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the images with the largest fraction of wrong pixels, which is `size`; at most 12."""
        return self.worst[:limit]

    def plot(self) -> plots.Drawing:
        """Return a matplotlib figure of the IoU of each class."""
        names = [one.name for one in self.per_class]
        return plots.coloured_bars(names, [one.iou for one in self.per_class], self.colours)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers."""
        return {
            **super().to_dict(),
            **{f"{name}_interval": list(ends) for name, ends in self.intervals.items()},
            "per_class": [
                {
                    "class": one.name,
                    "iou": one.iou,
                    "dice": one.dice,
                    "precision": one.precision,
                    "recall": one.recall,
                    "pixels": one.pixels,
                    "images": one.images,
                }
                for one in self.per_class
            ],
            "confusion_matrix": self.confusion_matrix.tolist(),
        }

    def _classes(self) -> Table:
        head = ("class", "IoU", "Dice", "precision", "recall", "pixels", "images")
        rows = tuple(
            (one.name, one.iou, one.dice, one.precision, one.recall, one.pixels, one.images)
            for one in self.per_class
        )
        return Table("Classes", head, rows)
