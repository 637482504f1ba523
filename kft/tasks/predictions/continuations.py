"""What a language model writes: a continuation of each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from kft.tasks.predictions.base import Predictions


@dataclass(frozen=True, eq=False, repr=False)
class Continuations(Predictions):
    """What follows each prompt; an answer, `continuations[0]`, is a string without its prompt.

    Args:
        inputs: The prompts.
        texts: What was written behind each.
    """

    texts: Sequence[str]

    def columns(self) -> dict[str, list[Any]]:
        """Return `input` and `continuation`."""
        return {"input": list(self.inputs), "continuation": list(self.texts)}

    def _at(self, index: int) -> str:
        return self.texts[index]

    def _repr_html_(self) -> str:
        pairs = zip(self.inputs, self.texts, strict=True)
        return "".join(
            f'<p style="white-space:pre-wrap">{escape(prompt)}<mark>{escape(text)}</mark></p>'
            for prompt, text in pairs
        )
