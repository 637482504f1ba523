"""Balancing of classes by sample weights, oversampling or undersampling."""

import numpy as np

from kft.arguments import check_choice
from kft.data.examples import Examples
from kft.errors import InputError

__all__ = ["balanced_order", "check_balance", "class_weights"]

BALANCES = ("weights", "oversample", "undersample")


def check_balance(balance: object) -> None:
    """Check the way to balance classes.

    Raises:
        InputError: It is neither None nor `"weights"`, `"oversample"` or `"undersample"`.
    """
    check_choice("balance", balance, (None, *BALANCES))


def class_weights(examples: Examples) -> np.ndarray:
    """Return a weight for each example, with equal total weight per class and a mean of 1.

    Args:
        examples: Examples of a task that can be balanced, such as one with a single label.

    Returns:
        float32 `[n]`.

    Raises:
        InputError: The task of the examples cannot be balanced.
    """
    labels = _labels(examples, "weights")
    counts = np.bincount(labels)
    present = np.count_nonzero(counts)
    return (len(examples) / (present * counts[labels])).astype(np.float32)


def balanced_order(examples: Examples, balance: str | None, rng: np.random.Generator) -> np.ndarray:
    """Return the indices of one epoch.

    Args:
        examples: The examples.
        balance: None or `"weights"` (every example once), `"oversample"` (each class as often as the
            most frequent one, every example at least once) or `"undersample"` (each class as often as
            the rarest one).
        rng: Selects what is repeated or left out; the number of indices does not depend on it.

    Returns:
        int64 `[m]`.

    Raises:
        InputError: `balance` is unknown, or the task cannot be balanced.
    """
    everything = np.arange(len(examples), dtype=np.int64)
    if balance is None:
        return everything
    labels = _labels(examples, balance)
    if balance == "weights":
        return everything
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    sizes = [len(of_class) for of_class in members]
    if balance == "undersample":
        return np.concatenate([rng.permutation(of_class)[: min(sizes)] for of_class in members])
    drawn = []
    for of_class in members:
        rounds, rest = divmod(max(sizes), len(of_class))
        drawn += [np.tile(of_class, rounds), rng.permutation(of_class)[:rest]]
    return np.concatenate(drawn)


def _labels(examples: Examples, balance: str) -> np.ndarray:
    """Return the class number of each example."""
    check_balance(balance)
    labels = examples.task.balanced(examples.targets)
    if labels is None:
        raise InputError(
            f"balance={balance!r} needs a single label per example, but {examples.source} is "
            f"{examples.task.name.replace('_', '-')}: leave it out"
        )
    return labels
