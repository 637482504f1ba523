"""Evaluation of language models by how well they predict each token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.content import Mistake, Mistakes, Section, Text
from kft.tasks.evaluation.figures import Figure, Figures
from kft.tasks.evaluation.ratios import Ratio


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class NextTokenEvaluation(Evaluation):
    """How well a model predicts the tokens of texts, or of the answers if these are given with prompts.

    Attributes:
        perplexity: The exponential of the cross-entropy per token: the number of equally probable
            tokens among which it chooses, on average. It depends on the tokenizer.
        bits_per_byte: Cross-entropy in bits per UTF-8 byte, which does not depend on the tokenizer.
        accuracy: Fraction of the tokens that the model ranks first.
        tokens: The number of predicted tokens, including those that end the texts.
    """

    task: str = "next_token"
    nats_per_token: Ratio
    nats_per_byte: Ratio
    right: Ratio
    tokens: int
    worst: tuple[Mistake, ...] = ()

    @property
    def figures(self) -> Figures:
        """Name and value of each figure."""
        perplexity = Figure(
            "perplexity",
            _exponential(self.nats_per_token.value),
            _both(_exponential, self.nats_per_token.normal_interval),
            meaning="how many equally likely tokens it would choose among",
            better="min",
        )
        bits = Figure(
            "bits_per_byte",
            _bits(self.nats_per_byte.value),
            _both(_bits, self.nats_per_byte.normal_interval),
            meaning="bits to encode a byte of text; comparable between tokenizers",
            better="min",
        )
        accuracy = Figure(
            "accuracy",
            self.right.value,
            self.right.interval,
            meaning="fraction of tokens predicted right",
            better="max",
            is_fraction=True,
        )
        return Figures((perplexity, bits, accuracy))

    @property
    def title(self) -> str:
        """What was evaluated, in one line."""
        return f"{super().title}, {self.tokens:,} tokens"

    def sections(self) -> tuple[Section, ...]:
        """Return the worst predicted texts."""
        if not self.worst:
            return ()
        note = Text(
            "The texts with the most bits per byte; of prompts with answers, only the answers count."
        )
        sentence = "{size} bits per byte: {predicted}; {expected}."
        shown = Mistakes(self.mistakes(), sentence, ".2f")
        return (Section("surprises", "Texts that are predicted worst", (note, shown)),)

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the texts that cost the most bits per byte, which is `size`; at most 100."""
        return self.worst[:limit]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers."""
        intervals = {
            f"{one.name}_interval": None if one.interval is None else list(one.interval)
            for one in self.figures.described
        }
        return {**super().to_dict(), **intervals, "tokens": self.tokens}


def _exponential(nats: float | None) -> float | None:
    """Return the perplexity, or None if it is undefined or overflows."""
    return None if nats is None or nats > 700 else math.exp(nats)


def _bits(nats: float | None) -> float | None:
    return None if nats is None else nats / math.log(2)


def _both(function: Any, interval: tuple[float, float] | None) -> tuple[float, float] | None:
    if interval is None:
        return None
    low, high = map(function, interval)
    return None if low is None or high is None else (max(low, 0.0), high)
