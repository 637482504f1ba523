"""Solving the head of a recipe on the features of its training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kft.cache.features import Features
from kft.data.balance import class_weights
from kft.data.examples import Examples
from kft.data.streams import Stream
from kft.distribution import processes
from kft.errors import InputError
from kft.family.features import head_batches, head_rows
from kft.family.hooks import Family
from kft.printing import how_many
from kft.stages.stage import Stage
from kft.tasks import Task
from kft.tasks.linear.solve import MOST, Solved
from kft.training.solver import Solver


def check_solving(recipe: Family, train: Examples | Stream, stages: Sequence[Stage]) -> None:
    """Check, before any work, that a stage with `solve=True` is possible.

    Args:
        recipe: The recipe.
        train: The training data.
        stages: The stages of the fit.

    Raises:
        InputError: If it is not.
    """
    if not stages[0].solve:
        return
    way_out = "train the head, such as by kft.Stage(unfreeze=0, epochs=20, learning_rate=1e-3)."
    if isinstance(train, Stream):
        raise InputError(
            f"Stage 1 has `solve=True`, but {train.source} is a stream, which may never end: {way_out}"
        )
    if not recipe.head_is_linear:
        raise InputError(
            f"Stage 1 has `solve=True`, but the head of this {type(recipe).__name__} is not linear in "
            f"its features, as with hidden layers or a task of your own: {way_out}"
        )


def solver_of(recipe: Family, train: Examples, batch_size: int, balance: Any, seed: int) -> Solver:
    """Return the solver of a recipe's head.

    Args:
        recipe: The recipe, which has learned from the training data.
        train: The training data. Of more than 50,000 examples a random 50,000 are used.
        batch_size: Examples per step, where features have to be computed.
        balance: None, or a way to balance classes, which weights all classes equally.
        seed: Seed that selects the examples and the folds.
    """

    soft: dict[str, dict[str, Any]] = {}

    def solve(model: keras.Model, kept: Features | None) -> str:
        # Every process takes the solution of the first.
        found = processes.from_first(solved(kept) if processes.rank() == 0 else None)
        soft.update(found)
        for name, one in found.items():
            model.get_layer(name).set_weights([one["kernel"], one["bias"]])
        several = len(found) > 1
        strengths = ", ".join(
            f"{one['strength']:.1g}{f' ({name})' if several else ''}" for name, one in found.items()
        )
        used = how_many(min(len(train), MOST), "example")
        return f"Head solved on {used}, with the L2 penalty {strengths}"

    def soften(model: keras.Model) -> None:
        for name, one in soft.items():
            model.get_layer(name).set_weights([one["soft_kernel"], one["soft_bias"]])

    def solved(kept: Features | None) -> dict[str, dict[str, Any]]:
        if type(recipe.task).solver_rows is not Task.solver_rows:
            features, targets = _rows(recipe, train, batch_size, seed)
            found = recipe.task.solve(recipe.model, features, targets, seed=seed)
            return {name: _in_float32(one) for name, one in found.items()}
        rows = np.arange(len(train))
        if len(rows) > MOST:
            rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
        if kept is None:
            arrays = head_rows(recipe, train.take(rows), batch_size)
        else:
            arrays = keras.tree.flatten(kept.load(rows))
        weights = None if balance is None else class_weights(train)[rows]
        targets = keras.tree.map_structure(lambda one: one[rows], train.targets)
        features = keras.tree.pack_sequence_as(recipe.head_input, arrays)
        found = recipe.task.solve(recipe.model, features, targets, weights=weights, seed=seed)
        return {name: _in_float32(one) for name, one in found.items()}

    return Solver(tuple(keras.tree.flatten(recipe.head_input)), solve, soften)


def _rows(
    recipe: Family, train: Examples, batch_size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that a task makes of each batch; of more than 50,000 a random part of each batch."""
    examples = train
    if len(train) > MOST:
        examples = train.take(np.sort(np.random.default_rng(seed).permutation(len(train))[:MOST]))
    most = -(-MOST // -(-len(examples) // batch_size))  # per batch
    found = []
    for index, (given, y) in enumerate(head_batches(recipe, examples, batch_size)):
        features = keras.tree.pack_sequence_as(recipe.head_input, given)
        rows = recipe.task.solver_rows(features, y)
        assert rows is not None
        kept = np.random.default_rng([seed, index]).permutation(len(rows[0]))[:most]
        found.append([one[np.sort(kept)] for one in rows])
    features, targets = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return features, targets


def _in_float32(one: Solved) -> dict[str, Any]:
    """Convert a solution to values that can be sent to other processes."""
    arrays = {name: getattr(one, name) for name in ("kernel", "bias", "soft_kernel", "soft_bias")}
    return {
        "strength": one.strength,
        **{name: values.astype("float32") for name, values in arrays.items()},
    }
