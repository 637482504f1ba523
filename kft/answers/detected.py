"""Non-maximum suppression of boxes, with the same results as TensorFlow's op."""

from __future__ import annotations

import numpy as np

__all__ = ["overlap_of", "suppressed"]


def suppressed(
    boxes: np.ndarray, scores: np.ndarray, most: int, overlap: float, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the boxes of each image, best first, without those that overlap a better one.

    Args:
        boxes: Left, top, right and bottom as fractions of the image, `[n, locations, 4]`.
        scores: `[n, locations, classes]`.
        most: Maximum number of boxes per image.
        overlap: A box is dropped if its intersection over union with a better box of its class exceeds
            this.
        least: The score that a box must exceed.

    Returns:
        Boxes `[n, most, 4]`, scores and int32 class numbers `[n, most]`, and int32 counts `[n]`, padded
        with 0.
    """
    n = len(boxes)
    found = np.zeros((n, most, 4), np.float32), np.zeros((n, most), np.float32)
    kinds, counts = np.zeros((n, most), np.int32), np.zeros(n, np.int32)
    for row in range(n):
        kept = _kept(boxes[row], scores[row], most, overlap, least)
        place, kind = (
            (np.array(one, np.int64) for one in zip(*kept, strict=True)) if kept else _NONE
        )
        counts[row] = len(place)
        found[0][row, : len(place)] = np.clip(boxes[row][place], 0, 1)
        found[1][row, : len(place)] = scores[row][place, kind]
        kinds[row, : len(place)] = kind
    return *found, kinds, counts


_NONE = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def _kept(
    boxes: np.ndarray, scores: np.ndarray, most: int, overlap: float, least: float
) -> list[tuple[int, int]]:
    """Return the location and class of each box that is kept in an image."""
    kind, place = np.nonzero(least < scores.T)
    order = np.argsort(-scores[place, kind], kind="stable")
    kind, place = kind[order], place[order]
    alive, kept = np.ones(len(place), bool), []
    for candidate in range(len(place)):
        if alive[candidate]:
            kept.append((int(place[candidate]), int(kind[candidate])))
            if len(kept) == most:
                break
            later = np.flatnonzero(
                alive[candidate + 1 :] & (kind[candidate + 1 :] == kind[candidate])
            )
            later += candidate + 1
            shared = overlap_of(boxes[place[candidate]][None], boxes[place[later]])[0]
            alive[later[shared > overlap]] = False
    return kept


def overlap_of(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each pair of boxes `[m, 4]` and `[k, 4]`, `[m, k]`."""
    one, other = first[:, None], second[None]
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), -1)
    areas = [np.prod(np.maximum(each[..., 2:] - each[..., :2], 0), -1) for each in (one, other)]
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-12)
