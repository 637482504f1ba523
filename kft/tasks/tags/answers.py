"""The tags of each text's words from a model's outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.tasks.tags.scheme import scheme_of
from kft.tasks.tags.viterbi import best_tags

__all__ = ["tags_of"]


def tags_of(
    scores: np.ndarray, chosen: np.ndarray, classes: Sequence[str]
) -> tuple[list[list[str]], list[np.ndarray]]:
    """Return the tags of each text's words, and their probabilities.

    Args:
        scores: Probabilities of the tags, `[n, length, tags]`.
        chosen: Which tokens begin the requested words, booleans `[n, length]`.
        classes: The tags.
    """
    counts = chosen.sum(axis=1)
    order = np.argsort(~chosen, axis=1, kind="stable")[:, : max(counts, default=0)]
    words = np.take_along_axis(scores, order[..., None], axis=1)
    best = best_tags(words, counts, classes, scheme_of(classes, "the recipe"))
    sure = np.take_along_axis(words, best[..., None], axis=2)[..., 0]
    tags = [[classes[n] for n in row[:k]] for row, k in zip(best, counts, strict=True)]
    return tags, [row[:k] for row, k in zip(sure, counts, strict=True)]
