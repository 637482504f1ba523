"""Evaluation of detection: how many objects are found, and how precisely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.tasks.evaluation import plots
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.content import Chart, Mistake, Mistakes, Section, Table, Text
from kft.tasks.evaluation.figures import Figure, Figures


@dataclass(frozen=True)
class BoxMetrics:
    """Figures of the boxes of one class.

    Attributes:
        name: The class.
        boxes: The number of boxes in the data, without ignored ones.
        found: How many of these the model finds, with a score of at least the task's threshold and an
            overlap (IoU) of at least 0.5.
        wrong: The number of predicted boxes with such a score that match none.
        average_precision: The mean over overlaps from 0.5 to 0.95; None without boxes.
        ap50: The average precision at an overlap of 0.5; None without boxes.
    """

    name: str
    boxes: int
    found: int
    wrong: int
    average_precision: float | None
    ap50: float | None

    @property
    def precision(self) -> float | None:
        """Fraction of the answers that are right; None without answers."""
        answers = self.found + self.wrong
        return self.found / answers if answers else None

    @property
    def recall(self) -> float | None:
        """Fraction of the boxes that are found; None without boxes."""
        return self.found / self.boxes if self.boxes else None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class DetectionEvaluation(Evaluation):
    """A model's boxes, compared with the boxes in the data as COCO does.

    Attributes:
        mean_ap: Mean average precision over the classes in the data and the overlaps (IoU) 0.5, 0.55,
            ... 0.95.
        ap50: Mean average precision at an overlap of 0.5.
        ap75: Mean average precision at an overlap of 0.75.
        precision: Fraction of the answers that are right at an overlap of 0.5.
        recall: Fraction of the boxes that these answers find.
        per_class: `BoxMetrics` of each class.
        threshold: The lowest score at which a predicted box counts as an answer.
        colours: The colour in which each class is drawn, uint8 `[k, 3]`.
    """

    task: str = "detection"
    per_class: tuple[BoxMetrics, ...]
    ap75: float | None
    threshold: float
    colours: np.ndarray
    intervals: dict[str, tuple[float, float]]
    worst: tuple[Mistake, ...] = ()
    others: tuple[Mistake, ...] = ()

    @property
    def figures(self) -> Figures:
        """Name and value of each figure; `mean_ap` first."""
        over = "mean over the classes in the data"
        counted = f"at a score of at least {self.threshold:g} and an overlap of at least 0.5"
        boxes, found = (
            sum(getattr(c, name) for c in self.per_class) for name in ("boxes", "found")
        )
        answered = found + sum(one.wrong for one in self.per_class)
        made = (
            ("mean_ap", self._mean("average_precision"), "AP", f"COCO's average precision, {over}"),
            ("ap50", self._mean("ap50"), "AP50", f"average precision at an overlap of 0.5, {over}"),
            ("ap75", self.ap75, "AP75", f"average precision at an overlap of 0.75, {over}"),
            (
                "precision",
                found / answered if answered else None,
                "precision",
                f"fraction of the predicted boxes that are right, {counted}",
            ),
            (
                "recall",
                found / boxes if boxes else None,
                "recall",
                f"fraction of the true boxes that are found, {counted}",
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
        """Return the classes, and images with their boxes, the wrong and missed ones highlighted."""
        names = tuple(one.name for one in self.per_class)
        values = [one.average_precision for one in self.per_class]
        chart = Chart(
            "AP of each class",
            "In the colours of the boxes below.",
            plots.coloured_bars(names, values, self.colours, "AP"),
        )
        note = Text(
            "Thick red boxes are mistakes: true boxes that the model missed, and predicted boxes that are "
            f"wrong. Boxes are predicted from a score of {self.threshold:g} on."
        )
        sections = [Section("classes", "Classes", (self._classes(), chart))]
        sentence = (
            "{size} boxes are wrong or missed: the model finds {predicted}; there are {expected}."
        )
        for anchor, heading, shown in (
            ("mistakes", "Images with the most wrong and missed boxes", self.worst),
            ("others", "Other images", self.others),
        ):
            if shown:
                body = Mistakes(shown, sentence, ".0f")
                sections.append(Section(anchor, heading, (note, body)))
        return tuple(sections)

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the images with the most wrong and missed boxes, counted by `size`; at most 12."""
        return self.worst[:limit]

    def plot(self) -> plots.Drawing:
        """Return a matplotlib figure of the average precision of each class."""
        names = [one.name for one in self.per_class]
        values = [one.average_precision for one in self.per_class]
        return plots.coloured_bars(names, values, self.colours, "AP")

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers."""
        return {
            **super().to_dict(),
            **{f"{name}_interval": list(ends) for name, ends in self.intervals.items()},
            "per_class": [
                {
                    "class": one.name,
                    "average_precision": one.average_precision,
                    "ap50": one.ap50,
                    "precision": one.precision,
                    "recall": one.recall,
                    "boxes": one.boxes,
                    "found": one.found,
                    "wrong": one.wrong,
                }
                for one in self.per_class
            ],
        }

    def _mean(self, name: str) -> float | None:
        found = [value for one in self.per_class if (value := getattr(one, name)) is not None]
        return float(np.mean(found)) if found else None

    def _classes(self) -> Table:
        head = ("class", "AP", "AP50", "precision", "recall", "boxes", "found", "wrong")
        rows = tuple(
            (
                one.name,
                one.average_precision,
                one.ap50,
                one.precision,
                one.recall,
                one.boxes,
                one.found,
                one.wrong,
            )
            for one in self.per_class
        )
        return Table("Classes", head, rows)
