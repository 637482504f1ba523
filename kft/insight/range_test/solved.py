"""A first stage that solves the head: it has no rate, and the tests begin after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kft.data.examples import Examples
from kft.data.streams import Stream
from kft.errors import InputError
from kft.family.solving import check_solving, solver_of
from kft.stages.stage import Stage

if TYPE_CHECKING:
    from kft.family.hooks import Family


def stages_for(
    recipe: Family, read: Examples | Stream, chosen: Sequence[Stage]
) -> tuple[Stage | None, Sequence[Stage]]:
    """Return the stage that solves the head, if there is one, and the stages with steps.

    Args:
        recipe: The recipe, which has learned from the data.
        read: The training data.
        chosen: The stages.

    Raises:
        InputError: If the head cannot be solved, or no stage has steps.
    """
    if not chosen[0].solve:
        return None, chosen
    check_solving(recipe, read, chosen)
    if len(chosen) == 1:
        raise InputError("`stages` solve the head, which takes no rate: pass a stage with steps.")
    return chosen[0], chosen[1:]


def solve_head(
    recipe: Family,
    read: Examples | Stream,
    most: int,
    batch_size: int,
    balance: str | None,
    seed: int,
) -> None:
    """Set the head to the weights with which the next stage of a fit begins.

    Args:
        recipe: The recipe, which has learned from the data.
        read: The training data.
        most: The maximum number of examples; of more, a random part is used.
        batch_size: Examples per step.
        balance: As for `fit`.
        seed: Seed that selects the examples.
    """
    assert isinstance(read, Examples)
    if len(read) > most:
        read = read.take(np.sort(np.random.default_rng(seed).permutation(len(read))[:most]))
    solver = solver_of(recipe, read, batch_size, balance, seed)
    solver.solve(recipe.model, None)
    solver.soften(recipe.model)
