"""Exact match and F1 of answers, as in the evaluation of SQuAD.

Rajpurkar et al., SQuAD: 100,000+ Questions for Machine Comprehension of Text, 2016,
https://arxiv.org/abs/1606.05250. Case, punctuation, articles and white space do not matter; the best
match among the accepted answers counts; giving no answer is right only if there is none.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

__all__ = ["best_scores", "normalized"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)  # only ASCII, for comparable figures


def normalized(answer: str) -> str:
    """Return an answer in lower case, without punctuation and articles, with single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def best_scores(answer: str, accepted: Sequence[str]) -> tuple[float, float]:
    """Return the exact match, 0 or 1, and the F1 of an answer, each against the best accepted answer.

    Args:
        answer: The answer; empty for none.
        accepted: The accepted answers; empty if the context has none. Those that consist of punctuation
            and articles alone do not count.
    """
    found = normalized(answer)
    truths = [one for one in map(normalized, accepted) if one] or [""]
    return float(found in truths), max(_f1(found.split(), one.split()) for one in truths)


def _f1(found: Sequence[str], truth: Sequence[str]) -> float:
    """Return the F1 of the words; if a side has none, 1 if neither has any, else 0."""
    if not found or not truth:
        return float(not found and not truth)
    same = (Counter(found) & Counter(truth)).total()
    return 2 * same / (len(found) + len(truth))
