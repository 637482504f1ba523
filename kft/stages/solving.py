"""The check for stages that solve the head, which only a recipe can run."""

from __future__ import annotations

from collections.abc import Sequence

from kft.errors import InputError
from kft.stages.stage import Stage


def refuse_solving(stages: Sequence[Stage], caller: str) -> None:
    """Refuse stages that solve the head where the task is unknown.

    Raises:
        InputError: If the first stage has `solve=True`.
    """
    if stages[0].solve:
        raise InputError(
            f"Stage 1 has `solve=True`, which {caller} cannot do, since only a recipe's task defines how "
            "to solve its head: call the `fit` of a recipe, or pass kft.Stage(unfreeze=0, epochs=20, "
            "learning_rate=1e-3)."
        )
