"""The loss of a detector, and the assignment of boxes to locations."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kft.tasks.boxes.head import BOX, PLACE, SCORES
from kft.tasks.boxes.labels import NOTHING

__all__ = ["BoxLoss", "assigned", "overlaps"]

_LONGEST, _SHORTEST = 8.0, 3.0  # a box's longer side, in strides of the levels that may predict it
_NEAR = 1.5  # distance of a box's centre to the locations that predict it, in strides
_LEAST = 1e-7


class BoxLoss(keras.losses.Loss):
    """The quality focal loss of the scores plus the GIoU loss of the boxes, per image.

    A box is assigned to the locations around its centre on the levels whose stride fits its size (FCOS,
    https://arxiv.org/abs/1904.01355). The target of their score of its class is the overlap of their
    box with it, and that of all other scores 0 (Li et al. 2020, https://arxiv.org/abs/2006.04388).
    Unassigned locations inside ignored boxes do not count.

    Args:
        box: Weight of the GIoU loss (Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630).
            Defaults to 2.
    """

    def __init__(self, *, box: float = 2.0, name: str = "box_loss") -> None:
        super().__init__(name=name)
        self.box = box

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image `[n]`, divided by the number of its assigned locations.

        Args:
            y_true: Boxes `[n, boxes, 5]`: left, top, right, bottom as fractions of the image, and the
                class.
            y_pred: The model's output `[n, locations, 8 + classes]`.
        """
        boxes, places, scores = y_pred[..., BOX], y_pred[..., PLACE], y_pred[..., SCORES]
        owner, is_owned, is_ignored = assigned(y_true, places[0])
        mine = ops.take_along_axis(y_true, owner[..., None], axis=1)
        overlap, giou = overlaps(boxes, mine[..., :4])
        owned = ops.cast(is_owned, scores.dtype)
        classes = ops.cast(ops.where(is_owned, mine[..., 4], 0), "int32")
        quality = ops.stop_gradient(overlap) * owned
        wanted = ops.one_hot(classes, scores.shape[-1], dtype=scores.dtype) * quality[..., None]
        predicted = ops.clip(scores, _LEAST, 1 - _LEAST)
        entropy = -wanted * ops.log(predicted) - (1 - wanted) * ops.log(1 - predicted)
        costs = ops.sum(entropy * ops.square(wanted - predicted), -1)
        counted = ops.cast(ops.logical_or(is_owned, ops.logical_not(is_ignored)), scores.dtype)
        whole = ops.sum(costs * counted, -1) + self.box * ops.sum((1 - giou) * owned, -1)
        return whole / ops.maximum(ops.sum(owned, -1), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for Keras' serialisation."""
        return {"name": self.name, "box": self.box}


def assigned(targets: Any, places: Any) -> tuple[Any, Any, Any]:
    """Return the box assigned to each location, whether there is one, and whether it is in an ignored box.

    Args:
        targets: Boxes `[n, boxes, 5]`.
        places: `[locations, 4]`: the centres, and the strides.

    Returns:
        The index of the box, and two booleans, each `[n, locations]`.
    """
    left, top, right, bottom, kind = (targets[:, :, None, place] for place in range(5))
    x, y, across, down = (places[None, None, :, place] for place in range(4))
    inside = _all(x > left, x < right, y > top, y < bottom)
    away_x = ops.abs(x - (left + right) / 2) / across
    away_y = ops.abs(y - (top + bottom) / 2) / down
    away = ops.maximum(away_x, away_y)
    near = ops.logical_or(ops.logical_and(inside, away <= _NEAR), away <= 0.5)
    longer = ops.maximum((right - left) / across, (bottom - top) / down)
    finest, coarsest = ops.min(across), ops.max(across)
    fits = ops.logical_and(
        ops.logical_or(longer <= _LONGEST, across >= coarsest),
        ops.logical_or(longer > _SHORTEST, across <= finest),
    )
    area = (right - left) * (bottom - top)
    costs = ops.where(_all(near, fits, kind >= 0), area, 2.0)
    owner = ops.argmin(costs, axis=1)
    is_owned = ops.min(costs, axis=1) < 2.0
    return owner, is_owned, ops.any(ops.logical_and(inside, kind < NOTHING), axis=1)


def overlaps(first: Any, second: Any) -> tuple[Any, Any]:
    """Return the intersection over union of pairs of boxes `[..., 4]`, and its generalised form."""
    shared = _area(
        ops.maximum(first[..., :2], second[..., :2]), ops.minimum(first[..., 2:], second[..., 2:])
    )
    around = _area(
        ops.minimum(first[..., :2], second[..., :2]), ops.maximum(first[..., 2:], second[..., 2:])
    )
    one, other = (_area(box[..., :2], box[..., 2:]) for box in (first, second))
    union = ops.maximum(one + other - shared, _LEAST)
    overlap = shared / union
    return overlap, overlap - (around - union) / ops.maximum(around, _LEAST)


def _area(low: Any, high: Any) -> Any:
    sides = ops.maximum(high - low, 0.0)
    return sides[..., 0] * sides[..., 1]


def _all(first: Any, *others: Any) -> Any:
    for one in others:
        first = ops.logical_and(first, one)
    return first
