"""Explanations of texts: the contribution of each token to a score."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np

from kft.plots.explain import token_bars
from kft.plots.style import Figure

_FOR, _AGAINST = "11, 97, 164", "194, 87, 12"  # the first two colours of the figures


@dataclass(frozen=True, eq=False, repr=False)
class TextExplanation:
    """Each token's contribution to a class' score; prints as a table, shows in colour in a notebook.

    Attributes:
        texts: The texts.
        tokens: The tokens of each text, as the model takes them, without padding.
        attributions: The positive or negative contribution of each token to the score.
        labels: The explained class.
        scores: The recipe's score of that class.
        gaps: The error of the attributions' sum, padding included, which should be the score minus that
            of the baseline.
    """

    texts: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    attributions: tuple[np.ndarray, ...]
    labels: tuple[str, ...]
    scores: np.ndarray
    gaps: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def __str__(self) -> str:
        lines = []
        for index, (label, score) in enumerate(zip(self.labels, self.scores, strict=True)):
            lines.append(f"{label} {score:.2f}")
            lines += [
                f"  {value:+.3f}  {token}"
                for token, value in zip(self.tokens[index], self.attributions[index], strict=True)
            ]
        return "\n".join(lines)

    __repr__ = __str__

    def plot(self, index: int = 0) -> Figure:
        """Return a bar chart of the tokens of one text.

        Args:
            index: The index of the text. Defaults to the first.
        """
        title = f"{self.labels[index]} {self.scores[index]:.2f}"
        return token_bars(self.tokens[index], self.attributions[index], title)

    def _repr_html_(self) -> str:
        lines = []
        for index, (label, score) in enumerate(zip(self.labels, self.scores, strict=True)):
            values = self.attributions[index]
            most = max(float(np.abs(values).max()), 1e-12)
            words = " ".join(
                f'<span title="{value:+.4f}" style="background: rgba('
                f'{_FOR if value > 0 else _AGAINST}, {abs(value) / most * 0.7:.2f})">'
                f"{html.escape(token)}</span>"
                for token, value in zip(self.tokens[index], values, strict=True)
            )
            lines.append(f"<p><b>{html.escape(label)}</b> {score:.2f}: {words}</p>")
        return "".join(lines)
