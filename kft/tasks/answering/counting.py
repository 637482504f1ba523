"""How answers are compared: exact match and F1, as the evaluation of SQuAD counts them.

Rajpurkar et al., SQuAD: 100,000+ Questions for Machine Comprehension of Text, 2016,
https://arxiv.org/abs/1606.05250. Case, punctuation, articles and white space do not matter; of several
accepted answers the best one counts; no answer is right only where there is none.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

__all__ = ["best_scores", "normalized"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII alone, as the figures of others


def normalized(answer: str) -> str:
    """Return an answer without case, punctuation and articles, its words one space apart."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def best_scores(answer: str, accepted: Sequence[str]) -> tuple[float, float]:
    """Return the exact match, 0 or 1, and the F1 of an answer, each with the best accepted one.

    Args:
        answer: The answer; empty for none.
        accepted: The accepted answers; empty where the context has none. Those of which nothing is
            left without punctuation and articles do not count.
    """
    found = normalized(answer)
    truths = [one for one in map(normalized, accepted) if one] or [""]
    return float(found in truths), max(_f1(found.split(), one.split()) for one in truths)


def _f1(found: Sequence[str], truth: Sequence[str]) -> float:
    """The harmonic mean of precision and recall of words; without words on a side 1 if on both."""
    if not found or not truth:
        return float(not found and not truth)
    same = (Counter(found) & Counter(truth)).total()
    return 2 * same / (len(found) + len(truth))
