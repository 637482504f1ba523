"""The scorer of segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.errors import InputError
from kft.tasks.evaluation.checks import finite_outputs
from kft.tasks.evaluation.content import Mistake, Picture
from kft.tasks.evaluation.intervals import drawn_interval
from kft.tasks.evaluation.scorer import Places, compact, need_examples
from kft.tasks.evaluation.segmentation import MaskMetrics, SegmentationEvaluation
from kft.tasks.evaluation.worst import Worst
from kft.tasks.masks.colours import drawn
from kft.tasks.masks.stored import IGNORED

KEPT_WORST = 12
KEPT_OTHERS = 6
DRAWS = 500  # of the bootstrap
_SHOWN = 3  # classes in the description of a mask
_ROW = 0  # the row of pixels in the data; answers and right ones follow


class SegmentationScorer:
    """Score masks batch by batch, keeping counts and the masks of a few images; see `Scorer`.

    Intervals come from a Poisson bootstrap over images (Hanley and MacGibbon 2006): in each draw an
    image has a Poisson weight, so that no images have to be kept.

    Args:
        classes: The classes.
        colours: The colour in which each is drawn, uint8 `[k, 3]`.
        task: The name of the task in the evaluation.
    """

    def __init__(
        self, classes: Sequence[str], colours: np.ndarray, task: str = "segmentation"
    ) -> None:
        self._classes, self._colours, self._task = tuple(classes), colours, task
        k = len(self._classes)
        self._confusion = np.zeros((k, k), np.int64)
        self._images = np.zeros(k, np.int64)
        self._drawn = np.zeros((DRAWS, 3 * k))
        self._random = np.random.default_rng(0)
        self._places = Places()
        self._examples: list[np.ndarray] = []
        self._worst, self._first = Worst(KEPT_WORST), Worst(KEPT_WORST + KEPT_OTHERS)

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch.

        Args:
            targets: The targets of `Segmentation.collate`, `[n, height, width]`.
            outputs: The outputs of the model, `[n, height, width, k]`.
            rows: As in `Scorer`.

        Raises:
            InputError: If their shapes do not match, or probabilities are not finite.
        """
        targets, outputs = np.asarray(targets), np.asarray(outputs)
        k = len(self._classes)
        if outputs.shape != (*targets.shape, k) or targets.ndim != 3:
            raise InputError(
                f"targets of shape {targets.shape} and outputs of shape {outputs.shape}: expected "
                f"[n, height, width] and [n, height, width, {k}]."
            )
        finite_outputs(outputs)
        places = self._places.of(rows, outputs)
        self._examples.append(places)
        truth, predicted = targets.astype(np.uint8), outputs.argmax(axis=-1).astype(np.uint8)
        matrices = _confusions(truth, predicted, k)
        self._confusion += matrices.sum(axis=0)
        right = np.diagonal(matrices, axis1=1, axis2=2)
        counts = np.stack([matrices.sum(axis=2), matrices.sum(axis=1), right], axis=1)
        self._images += (counts[:, _ROW] > 0).sum(axis=0)
        weights = self._random.poisson(1.0, (len(places), DRAWS))
        self._drawn += weights.T @ counts.reshape(len(places), -1).astype(np.float64)
        total = matrices.sum(axis=(1, 2))
        wrong = 1 - right.sum(axis=1) / np.maximum(total, 1)
        wrong[total == 0] = 0
        masks = np.stack([truth, predicted], axis=1)
        self._worst.add(places[wrong > 0], wrong[wrong > 0], masks[wrong > 0])
        self._first.add(places, -places.astype(np.float64), wrong, masks)

    def result(self) -> SegmentationEvaluation:
        """Return the evaluation of all batches."""
        need_examples(sum(map(len, self._examples)))
        matrix = self._confusion
        metrics = tuple(
            MaskMetrics(name, *map(int, counts))
            for name, *counts in zip(
                self._classes,
                matrix.sum(axis=1),
                matrix.sum(axis=0),
                np.diag(matrix),
                self._images,
                strict=True,
            )
        )
        worst = [self._told(place, size, masks) for place, size, masks in self._worst.rows()]
        listed = {one.index for one in worst}
        others = [
            self._told(place, size, masks)
            for place, _, size, masks in self._first.rows()
            if place not in listed
        ]
        return SegmentationEvaluation(
            task=self._task,
            examples=compact(np.sort(np.concatenate(self._examples))),
            per_class=metrics,
            confusion_matrix=matrix,
            colours=self._colours,
            intervals=_intervals(self._drawn.reshape(DRAWS, 3, -1)),
            worst=tuple(worst),
            others=tuple(others[:KEPT_OTHERS]),
        )

    def _told(self, place: int, size: float, masks: np.ndarray) -> Mistake:
        truth, predicted = masks
        pictures = tuple(
            Picture(caption, drawn(mask, self._colours))
            for caption, mask in (("data", truth), ("model", predicted))
        )
        words = (self._shares(truth), self._shares(np.where(truth == IGNORED, IGNORED, predicted)))
        return Mistake(int(place), *words, float(size), pictures)

    def _shares(self, mask: np.ndarray) -> str:
        """Describe the largest classes of a mask with their fractions of the pixels that count."""
        pixels = np.bincount(mask.ravel(), minlength=IGNORED)[: len(self._classes)]
        order = np.argsort(-pixels, kind="stable")[:_SHOWN]
        parts = [f"{self._classes[n]} {pixels[n] / pixels.sum():.0%}" for n in order if pixels[n]]
        return ", ".join(parts) or "nothing"


def _confusions(truth: np.ndarray, predicted: np.ndarray, k: int) -> np.ndarray:
    """Return the confusion matrix of each image, `[n, k, k]`."""
    count = len(truth)
    image = np.arange(count)[:, None, None]
    cells = (image * k + truth.astype(np.int64)) * k + predicted
    found = np.bincount(cells[truth != IGNORED], minlength=count * k * k)
    return found.reshape(count, k, k)


def _intervals(drawn_counts: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return the central 95 % of each figure over the draws `[draws, 3, k]`."""
    pixels, answers, right = np.moveaxis(drawn_counts, 1, 0)
    occurs = pixels > 0
    usable = occurs.any(axis=1)
    if not usable.any():
        return {}
    pixels, answers, right, occurs = (one[usable] for one in (pixels, answers, right, occurs))
    classes = occurs.sum(axis=1)
    each = {
        "mean_iou": right / np.maximum(pixels + answers - right, 1),
        "mean_dice": 2 * right / np.maximum(pixels + answers, 1),
    }
    found = {name: (values * occurs).sum(axis=1) / classes for name, values in each.items()}
    found["pixel_accuracy"] = right.sum(axis=1) / pixels.sum(axis=1)
    return {name: drawn_interval(values) for name, values in found.items()}
