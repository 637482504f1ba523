"""The most probable valid sequences of tags (Viterbi 1967), for a batch of texts at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.tasks.tags.scheme import Scheme

__all__ = ["best_tags"]

_NEVER = -1e9
_SMALLEST = 1e-30


def best_tags(
    scores: np.ndarray, counts: np.ndarray, classes: Sequence[str], scheme: Scheme
) -> np.ndarray:
    """Return the tags of the most probable valid sequence of each text.

    Args:
        scores: Probabilities `[n, words, tags]`; values after a text's words are not used.
        counts: The number of words of each text, `[n]`.
        classes: The tags.
        scheme: The scheme, which defines valid sequences.

    Returns:
        Class numbers `[n, words]`, padded with 0.
    """
    n, length, _ = scores.shape
    found = np.zeros((n, length), np.int64)
    if not n or not length:
        return found
    logs = np.log(np.maximum(scores, _SMALLEST).astype(np.float64))
    allowed = np.array([[scheme.may_follow(one, tag) for tag in classes] for one in classes])
    steps = np.where(allowed, 0.0, _NEVER)
    first = np.where([scheme.may_begin(tag) for tag in classes], 0.0, _NEVER)
    last = np.where([scheme.may_end(tag) for tag in classes], 0.0, _NEVER)
    best = first + logs[:, 0]
    back = np.zeros(scores.shape, np.int64)
    final = best + last
    for word in range(1, length):
        paths = best[:, :, None] + steps
        back[:, word] = paths.argmax(axis=1)
        best = paths.max(axis=1) + logs[:, word]
        final = np.where((counts == word + 1)[:, None], best + last, final)
    at = final.argmax(axis=1)
    rows = np.arange(n)
    for word in range(length - 1, -1, -1):
        inside = word < counts
        found[:, word] = np.where(inside, at, 0)
        if word:
            at = np.where(inside, back[rows, word, at], at)
    return found
