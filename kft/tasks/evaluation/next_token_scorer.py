"""The scorer of language models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kft.errors import InputError
from kft.tasks.evaluation.checks import finite_outputs
from kft.tasks.evaluation.content import Mistake
from kft.tasks.evaluation.next_token import NextTokenEvaluation
from kft.tasks.evaluation.ratios import Ratio
from kft.tasks.evaluation.scorer import Places, compact, need_examples
from kft.tasks.evaluation.worst import Worst

KEPT_MISTAKES = 100


class NextTokenScorer:
    """Sum up the cost of the tokens of each text, keeping four numbers per text; see `Scorer`.

    Args:
        task: The name of the task in the evaluation.
    """

    def __init__(self, task: str = "next_token") -> None:
        self._task = task
        self._places = Places()
        self._sums: dict[int, np.ndarray] = {}  # per text: nats, tokens, right tokens, bytes

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch.

        Args:
            targets: The targets of `NextToken.collate`, `[n, length, 2]`.
            outputs: The outputs of the model, `[n, length + candidates, 2]`.
            rows: The text to which each row of tokens belongs. Defaults to one text per row.

        Raises:
            InputError: If their shapes do not match, or scores are not finite.
        """
        targets, outputs = np.asarray(targets), np.asarray(outputs)
        shapes = targets.shape, outputs.shape
        fits = targets.ndim == outputs.ndim == 3 and len(targets) == len(outputs)
        if not fits or not shapes[0][1] <= shapes[1][1] or (shapes[0][2], shapes[1][2]) != (2, 2):
            raise InputError(
                f"targets of shape {shapes[0]} and outputs of shape {shapes[1]}: expected "
                "[n, length, 2] and [n, length + candidates, 2]."
            )
        logged = outputs[:, : targets.shape[1]].astype(np.float64)
        counts = targets[..., 0] > 0
        finite_outputs(logged[counts])
        places = self._places.of(rows, outputs)
        nats = np.where(counts, -logged[..., 0], 0.0).sum(axis=1)
        right = (counts & (logged[..., 1] > 0)).sum(axis=1)
        found = np.stack([nats, counts.sum(axis=1), right, targets[..., 1].sum(axis=1)], axis=1)
        for place, numbers in zip(places.tolist(), found, strict=True):
            self._sums[place] = self._sums.get(place, 0.0) + numbers

    def result(self) -> NextTokenEvaluation:
        """Return the evaluation of all batches."""
        need_examples(len(self._sums))
        places = np.array(sorted(self._sums), np.int64)
        sums = np.array([self._sums[place] for place in places.tolist()])
        per_token, per_byte, right = Ratio(), Ratio(), Ratio()
        for nats, tokens, hits, size in sums.tolist():
            per_token.add(nats, tokens)
            per_byte.add(nats, size)
            right.add(hits, tokens)
        worst = Worst(KEPT_MISTAKES)
        known = sums[:, 3] > 0
        bits = sums[known, 0] / math.log(2) / sums[known, 3]
        worst.add(places[known], bits, sums[known])
        return NextTokenEvaluation(
            task=self._task,
            examples=compact(places),
            nats_per_token=per_token,
            nats_per_byte=per_byte,
            right=right,
            tokens=int(sums[:, 1].sum()),
            worst=tuple(
                Mistake(int(place), *_said(numbers), float(size))
                for place, size, numbers in worst.rows()
            ),
        )


def _said(numbers: np.ndarray) -> tuple[str, str]:
    """Describe the evaluated tokens and bytes of a text, and how many tokens the model ranks first."""
    _, tokens, right, size = numbers.tolist()
    return f"{tokens:,.0f} tokens, {size:,.0f} bytes", f"{right:,.0f} tokens predicted right"
