"""Predictions of a language model: the next tokens of each text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from kft.arguments import is_whole, shown
from kft.errors import InputError
from kft.tasks.predictions.base import Predictions, line, plain


@dataclass(frozen=True)
class NextTokens:
    """The most probable next tokens of a text.

    Attributes:
        tokens: The tokens as texts to append, the most probable first.
        scores: Their probabilities.
        perplexity: The perplexity of the text itself; None for fewer than two tokens.
    """

    tokens: tuple[str, ...]
    scores: tuple[float, ...]
    perplexity: float | None


@dataclass(frozen=True, eq=False, repr=False)
class NextTokenPredictions(Predictions):
    """The most probable next tokens of each text; an answer, `predictions[0]`, is a `NextTokens`.

    Args:
        inputs: The texts.
        found: The next tokens of each text.
        shown_tokens: How many tokens tables and files show. Defaults to 3.
    """

    like: ClassVar[Mapping[str, Any]] = {"perplexity": 1.0}

    found: Sequence[NextTokens]
    shown_tokens: int = 3

    @classmethod
    def of(
        cls, texts: Sequence[str], outputs: np.ndarray, vocabulary: Sequence[str], count: int
    ) -> Self:
        """Return the next tokens of texts from the outputs of a model.

        Args:
            texts: The texts.
            outputs: The outputs of the model, see `kft.tasks.language.layers.FollowingTokens`.
            vocabulary: The tokens as texts.
            count: The maximum number of candidates.
        """
        count = min(count, len(vocabulary))
        places, candidates = outputs[:, :-count], outputs[:, -count:]
        follows = places[..., 1] >= 0
        tokens = follows.sum(axis=1)
        nats = -np.where(follows, places[..., 0], 0.0).sum(axis=1) / np.maximum(tokens, 1)
        found = [
            NextTokens(
                tuple(vocabulary[int(number)] for number in row[:, 1]),
                tuple(plain(row[:, 0])),
                math.exp(min(float(mean), 700.0)) if some else None,
            )
            for row, mean, some in zip(candidates, nats, tokens, strict=True)
        ]
        return cls(texts, found)

    @property
    def labels(self) -> list[str]:
        """The most probable next token of each text."""
        return [one.tokens[0] for one in self.found]

    @property
    def class_count(self) -> int:
        """The number of tokens that `top` can show."""
        return len(self.found[0].tokens) if self.found else 10

    def top(self, k: int) -> Self:
        """Return the same answers, with the `k` most probable tokens in tables and files.

        Args:
            k: The number of tokens, from 1 to `class_count`.

        Raises:
            InputError: If it is out of range.
        """
        if not is_whole(k) or not 1 <= k <= self.class_count:
            raise InputError(
                f"`top({shown(k)})`: pass a whole number from 1 to {self.class_count}."
            )
        return replace(self, shown_tokens=k)

    def columns(self) -> dict[str, list[Any]]:
        """Return `input`, `tokens` and `scores`, lists of equal lengths, and `perplexity`."""
        k = self.shown_tokens
        return {
            "input": list(self.inputs),
            "tokens": [list(one.tokens[:k]) for one in self.found],
            "scores": [list(one.scores[:k]) for one in self.found],
            "perplexity": [one.perplexity for one in self.found],
        }

    def shown(self, column: str, value: Any) -> str:
        """Return a cell of the printed table."""
        if column == "tokens":
            return line(" ".join(map(repr, value)))
        if column == "scores":
            return line(" ".join(f"{one:.3f}" for one in value))
        return super().shown(column, value)

    def _at(self, index: int) -> NextTokens:
        return self.found[index]
