"""Splits that do not divide groups, and splits that validate on the latest examples."""

from __future__ import annotations

import numpy as np

from kft.data.examples import Examples
from kft.data.group_numbers import group_numbers
from kft.errors import InputError

__all__ = ["latest", "whole_groups"]

_STEPS, _MOST_TRIES = 20_000, 20  # limits of visited groups over all tries, and of tries


def whole_groups(examples: Examples, strata: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose groups whose examples make up about the given fraction of each stratum.

    Groups are visited in a random order, and each is chosen if it brings the shares of the strata closer
    to the fraction. No class is in the validation part only; if its groups allow it, it is in both.

    Args:
        examples: The examples, with `groups`.
        strata: The stratum of each, `[n]`.
        fraction: Share of the validation part.
        seed: The seed; the same one yields the same choice.

    Returns:
        Whether each example is in the validation part, bool `[n]`.

    Raises:
        InputError: Whole groups reach less than half or more than twice the fraction.
    """
    assert examples.groups is not None
    groups = examples.groups.tolist()
    group = group_numbers(groups)
    table = _Table(examples, group, strata, fraction)
    rng = np.random.default_rng(seed)
    # With few groups a single greedy pass may end badly; with many it does not.
    tries = [table.chosen(rng.permutation(group.max() + 1)) for _ in range(table.tries)]
    chosen = min(tries, key=lambda one: one[0])[1]
    largest = int(np.bincount(group).argmax())
    name = groups[int((group == largest).argmax())]
    _check_share(
        examples,
        chosen[group],
        fraction,
        f"its largest of {group.max() + 1} groups, {name!r:.60}, holds "
        f"{np.mean(group == largest):.0%} of the examples",
        "name a column with more groups",
    )
    return chosen[group]


class _Table:
    """A sparse table of the number of examples per group and stratum."""

    def __init__(
        self, examples: Examples, group: np.ndarray, strata: np.ndarray, fraction: float
    ) -> None:
        known, stratum, self.counts = np.unique(strata, return_inverse=True, return_counts=True)
        pairs, self.sizes = np.unique(group * len(known) + stratum, return_counts=True)
        self.owners, self.strata = np.divmod(pairs, len(known))
        self.starts = np.searchsorted(self.owners, np.arange(group.max() + 2))
        self.fraction = fraction
        names = [examples.task.stratum_name(int(one), examples.classes) for one in known]
        self.named = np.array([name is not None for name in names])
        self.tries = int(np.clip(_STEPS // (group.max() + 1), 1, _MOST_TRIES))

    def chosen(self, order: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the deviation of the strata from their shares, and whether each group is chosen."""
        chosen = np.zeros(len(order), dtype=bool)
        excess = -self.fraction * self.counts  # validation examples per stratum, above their share
        left = np.where(self.named, self.counts, np.inf)

        def rows(index: int) -> tuple[np.ndarray, np.ndarray]:
            part = slice(self.starts[index], self.starts[index + 1])
            return self.sizes[part], self.strata[part]

        def fits(index: int) -> bool:
            sizes, own = rows(index)
            return not chosen[index] and bool((sizes < left[own]).all())

        def harm(index: int) -> float:
            sizes, own = rows(index)
            return float((sizes * (2 * excess[own] + sizes) / self.counts[own]).sum())

        def take(index: int) -> None:
            sizes, own = rows(index)
            chosen[index] = True
            excess[own] += sizes
            left[own] -= sizes

        for index in order:
            if fits(index) and harm(index) < 0:
                take(index)
        for one in np.flatnonzero(self.named):  # classes that are in the training part only
            able = [index for index in self.owners[self.strata == one] if fits(index)]
            if left[one] == self.counts[one] and able:
                take(min(able, key=harm))
        return float((excess**2 / self.counts).sum()), chosen


def latest(examples: Examples, strata: np.ndarray, fraction: float) -> np.ndarray:
    """Choose the latest examples; those of the same time stay together.

    Args:
        examples: The examples, with `order`.
        strata: The stratum of each, `[n]`.
        fraction: Share of the validation part.

    Returns:
        Whether each example is in the validation part, bool `[n]`.

    Raises:
        InputError: Too many examples have the same time, or a class occurs only in the latest part.
    """
    assert examples.order is not None
    _, place, counts = np.unique(examples.order, return_inverse=True, return_counts=True)
    since = np.append(counts[::-1].cumsum()[::-1], 0)  # examples from each time on
    chosen = place >= np.abs(since - fraction * len(examples)).argmin()
    _check_share(
        examples,
        chosen,
        fraction,
        f"{counts.max() / len(examples):.0%} of its examples have the same time",
        "name a column with finer times",
    )
    for stratum in np.setdiff1d(strata[chosen], strata[~chosen]):
        name = examples.task.stratum_name(int(stratum), examples.classes)
        if name is not None:
            raise InputError(
                f"{name} of {examples.source} occurs only among the latest {chosen.mean():.0%} of the "
                "examples, so that nothing could learn it: validate on fewer, remove the class, or "
                "pass validation_data"
            )
    return chosen


def _check_share(
    examples: Examples, chosen: np.ndarray, fraction: float, why: str, way_out: str
) -> None:
    share = float(chosen.mean())
    if 0 < share < 1 and fraction / 2 <= share <= 2 * fraction:
        return
    instead = f"ask for {share:.2g}, " if 0 < share < 1 else ""
    raise InputError(
        f"{examples.source} cannot be split into {1 - fraction:.0%} and {fraction:.0%}: {why}; "
        f"{way_out}, {instead}or pass validation_data"
    )
