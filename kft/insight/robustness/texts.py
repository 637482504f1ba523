"""Distortions of texts at five severities."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np


def distort(text: str, name: str, severity: int, seed: Sequence[int]) -> str:
    """Distort a text.

    Args:
        text: The text.
        name: A key of `DISTORTIONS`.
        severity: 1 to 5.
        seed: Seed, and the position of the text in the data.
    """
    function, parts = DISTORTIONS[name]
    random = np.random.default_rng([*seed, zlib.crc32(name.encode()), severity])
    words = text.split(" ")
    hit = random.random(len(words)) < parts[severity - 1]
    changed = [function(word, random) if on else word for word, on in zip(words, hit, strict=True)]
    kept = [word for word in changed if word is not None]
    return " ".join(kept) if kept else text


def _typo(word: str, random: np.random.Generator) -> str | None:
    """Swap two letters, or drop, double or replace one."""
    if len(word) < 2:
        return word
    place = int(random.integers(len(word) - 1))
    kind = int(random.integers(4))
    before, first, second, after = word[:place], word[place], word[place + 1], word[place + 2 :]
    middle = (
        second + first,
        second,
        first + first + second,
        "abcdefghijklmnopqrstuvwxyz"[int(random.integers(26))] + second,
    )[kind]
    return before + middle + after


def _capitals(word: str, random: np.random.Generator) -> str | None:
    return word.upper()


def _gap(word: str, random: np.random.Generator) -> str | None:
    return None


Distortion = Callable[[str, np.random.Generator], str | None]

# The strengths are fractions of the words to distort.
DISTORTIONS: dict[str, tuple[Distortion, tuple[float, ...]]] = {
    "typos": (_typo, (0.05, 0.1, 0.2, 0.35, 0.5)),
    "casing": (_capitals, (0.1, 0.25, 0.5, 0.75, 1.0)),
    "missing_words": (_gap, (0.05, 0.1, 0.2, 0.3, 0.4)),
}
