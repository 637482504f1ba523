"""The scorer of detection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from kft.errors import InputError
from kft.tasks.boxes.drawing import Drawn, drawn, opened
from kft.tasks.boxes.labels import counted
from kft.tasks.evaluation.average_precision import AP75, AveragePrecision, matched
from kft.tasks.evaluation.checks import finite_outputs
from kft.tasks.evaluation.content import Mistake, Picture
from kft.tasks.evaluation.detection import BoxMetrics, DetectionEvaluation
from kft.tasks.evaluation.scorer import Places, compact, need_examples
from kft.tasks.evaluation.worst import Worst

if TYPE_CHECKING:
    from kft.data.examples import Examples

__all__ = ["DetectionScorer"]

KEPT_WORST = 12
KEPT_OTHERS = 6
_SIDE = 224
_RED = (220, 30, 30)


class DetectionScorer:
    """Score boxes batch by batch, keeping counts and the boxes of a few images; see `Scorer`.

    Args:
        classes: The classes.
        colours: The colour in which each is drawn, uint8 `[k, 3]`.
        threshold: The lowest score at which a predicted box counts as an answer; the average precision
            counts all boxes.
        found: Converts a model's outputs to boxes, scores and class numbers `[n, m, 6]`, the best
            first, padded with rows of score 0.
        examples: The examples, to draw on their images; None for a stream.
        task: The name of the task in the evaluation.
    """

    def __init__(
        self,
        classes: Sequence[str],
        colours: np.ndarray,
        threshold: float,
        found: Any,
        examples: Examples | None = None,
        task: str = "detection",
    ) -> None:
        self._classes, self._colours, self._task = tuple(classes), colours, task
        self._threshold, self._found, self._data = threshold, found, examples
        k = len(self._classes)
        self._precision = AveragePrecision(k)
        self._counts = np.zeros((3, k), np.int64)  # boxes, found, wrong
        self._places = Places()
        self._examples: list[np.ndarray] = []
        self._worst, self._first = Worst(KEPT_WORST), Worst(KEPT_WORST + KEPT_OTHERS)

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch.

        Args:
            targets: The targets of `Detection.collate`, `[n, max_boxes, 5]`.
            outputs: The outputs of the model, `[n, places, 8 + k]`.
            rows: As in `Scorer`.

        Raises:
            InputError: If their shapes do not match, or the outputs are not finite.
        """
        targets, outputs = np.asarray(targets), np.asarray(outputs)
        k = len(self._classes)
        if (
            targets.ndim != 3
            or targets.shape[2] != 5
            or outputs.shape[::2] != (len(targets), 8 + k)
        ):
            raise InputError(
                f"targets of shape {targets.shape} and outputs of shape {outputs.shape}: expected "
                f"[n, boxes, 5] and [n, places, {8 + k}]."
            )
        finite_outputs(outputs, "boxes")
        places = self._places.of(rows, outputs)
        self._examples.append(places)
        answers = self._found(outputs)
        wrong = np.array(list(map(self._compare, answers, targets)), np.float64)
        self._worst.add(places[wrong > 0], wrong[wrong > 0], targets[wrong > 0], answers[wrong > 0])
        self._first.add(places, -places.astype(np.float64), wrong, targets, answers)

    def result(self) -> DetectionEvaluation:
        """Return the evaluation of all batches."""
        need_examples(sum(map(len, self._examples)))
        values = self._precision.values()
        known = ~np.isnan(values[:, 0])
        metrics = tuple(
            BoxMetrics(
                name,
                boxes=int(self._counts[0, place]),
                found=int(self._counts[1, place]),
                wrong=int(self._counts[2, place]),
                average_precision=float(values[place].mean()) if known[place] else None,
                ap50=float(values[place, 0]) if known[place] else None,
            )
            for place, name in enumerate(self._classes)
        )
        worst = [self._told(*row) for row in self._worst.rows()]
        listed = {one.index for one in worst}
        others = [
            self._told(place, *row) for place, _, *row in self._first.rows() if place not in listed
        ]
        return DetectionEvaluation(
            task=self._task,
            examples=compact(np.sort(np.concatenate(self._examples))),
            per_class=metrics,
            ap75=float(values[known, AP75].mean()) if known.any() else None,
            threshold=self._threshold,
            intervals=self._precision.intervals(),
            colours=self._colours,
            worst=tuple(worst),
            others=tuple(others[:KEPT_OTHERS]),
        )

    def _compare(self, answers: np.ndarray, targets: np.ndarray) -> int:
        """Count the boxes of an image; return how many are wrong or missed."""
        self._precision.add(answers[answers[:, 4] > 0], targets)
        right, wrong, missed = self._judged(answers, targets)
        k = len(self._classes)
        counts = [np.bincount(each[:, -1].astype(np.int64), minlength=k) for each in (right, wrong)]
        kinds = targets[targets[:, 4] >= 0, 4].astype(np.int64)
        self._counts += np.stack([np.bincount(kinds, minlength=k), *counts])
        return len(wrong) + len(missed)

    def _judged(
        self, answers: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the right answers, the wrong answers and the missed boxes at the threshold."""
        confident = answers[answers[:, 4] >= self._threshold]
        right, ignored, found = (one[:, 0] for one in matched(confident, targets))
        return (
            confident[right],
            confident[~right & ~ignored],
            targets[(targets[:, 4] >= 0) & ~found],
        )

    def _told(self, place: int, size: float, targets: np.ndarray, answers: np.ndarray) -> Mistake:
        _, wrong, missed = self._judged(answers, targets)
        confident = answers[answers[:, 4] >= self._threshold]
        real = targets[targets[:, 4] >= 0]
        image = None if self._data is None else opened(self._data.inputs[int(place)], _SIDE)
        image = image or Image.new("RGB", (_SIDE, _SIDE), "white")
        of_data, of_model = (
            [*self._lines(boxes, bold=False), *self._lines(bad, bold=True)]
            for boxes, bad in ((real, missed), (confident, wrong))
        )
        pictures = tuple(
            Picture(caption, np.asarray(drawn(image, lines)))
            for caption, lines in (("data", of_data), ("model", of_model))
        )
        expected, predicted = (
            counted(boxes[:, -1].astype(np.int64), self._classes) for boxes in (real, confident)
        )
        return Mistake(int(place), expected, predicted, float(size), pictures)

    def _lines(self, boxes: np.ndarray, bold: bool) -> list[Drawn]:
        return [
            Drawn(box[:4], _RED if bold else self._colour(int(box[-1])), is_bold=bold)
            for box in boxes
        ]

    def _colour(self, kind: int) -> tuple[int, int, int]:
        red, green, blue = self._colours[kind].tolist()
        return red, green, blue
