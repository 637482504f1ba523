"""The validation split by content, groups or time; seeded, and stratified where possible."""

from dataclasses import replace

import numpy as np

from kft.data.examples import Examples
from kft.data.split_apart import latest, whole_groups
from kft.errors import InputError

__all__ = ["NothingToSplitError", "indivisible_groups", "split", "strata_of"]

_NAMED = 5  # classes that a note names


class NothingToSplitError(InputError):
    """The error for data with too few distinct examples for a validation part."""


def split(examples: Examples, fraction: float = 0.2, seed: int = 0) -> tuple[Examples, Examples]:
    """Split examples into a training and a validation part.

    The split is stratified as the task decides: by class, by the rarest of several labels, or by the
    rank of numbers in ten bins. Examples with identical content (the same bytes, text or numbers) stay
    together even if their labels differ, as do those that the task groups. A class with a single
    example is in the training part only.

    If the examples have `groups`, these are not divided instead, and classes keep their shares as far
    as groups allow. If they have an `order`, the latest part becomes the validation part, whatever its
    classes.

    Args:
        examples: The examples to split.
        fraction: Share of the validation part, between 0 and 1.
        seed: The seed; the same one yields the same parts.

    Returns:
        `(train, validation)`, each in the order of `examples`.

    Raises:
        NothingToSplitError: No class has two distinct examples, one for each part.
        InputError: `fraction` is out of range, a class has only copies of examples of others, or groups
            or times do not allow the fraction.
    """
    if not 0 < fraction < 1:
        raise InputError(
            f"fraction={fraction!r}, but a validation split needs a number between 0 and 1, such "
            "as 0.2"
        )
    strata = strata_of(examples)
    if examples.order is not None:
        chosen = latest(examples, strata, fraction)
        examples = replace(
            examples, note=f"Validated on the latest {chosen.mean():.0%} of the examples."
        )
    elif examples.groups is not None:
        chosen = whole_groups(examples, strata, fraction, seed)
        examples = replace(examples, note=_groups_note(examples.groups, chosen))
    else:
        chosen, lone = _by_content(examples, strata, fraction, seed)
        if lone:
            examples = replace(examples, note=f"{examples.note} {_lone_note(lone)}".strip())
    return examples.take(np.flatnonzero(~chosen)), examples.take(np.flatnonzero(chosen))


def strata_of(examples: Examples) -> np.ndarray:
    """Return the stratum of each example, such as its class, int `[n]`; zeros if the task has none."""
    strata = examples.task.strata(examples.targets)
    return np.zeros(len(examples), dtype=np.int64) if strata is None else strata


def indivisible_groups(examples: Examples) -> np.ndarray:
    """Return the group of each example, `[n]`, which is not divided: the task's, or equal content."""
    groups = examples.task.groups(examples.inputs, examples.targets)
    return examples.digests if groups is None else groups


def _by_content(
    examples: Examples, strata: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Return the mask of validation examples, bool `[n]`, and the classes with too few of them."""
    _, first, group = np.unique(
        indivisible_groups(examples), return_index=True, return_inverse=True
    )
    sizes = np.bincount(group)
    # Groups in the order in which they first appear, so that the split does not depend on the hashes.
    groups_by_appearance = np.argsort(first, kind="stable")
    stratum_of_group = strata[first]
    rng = np.random.default_rng(seed)
    in_validation = np.zeros(len(sizes), dtype=bool)
    lone: list[str] = []
    for stratum in np.unique(strata):
        groups = groups_by_appearance[stratum_of_group[groups_by_appearance] == stratum]
        if len(groups) < 2:
            name = examples.task.stratum_name(stratum, examples.classes)
            if name is not None and not len(groups):
                raise InputError(
                    f"{name} of {examples.source} has only copies of examples of other classes: "
                    "correct the labels, add examples, or remove the class"
                )
            lone += [] if name is None else [name]  # rare strata without a name need no note
            continue
        wanted = max(1, round(fraction * sizes[groups].sum()))
        groups = rng.permutation(groups)
        # The fewest groups that reach the share, while one group always remains for training.
        taken = min(int(np.searchsorted(np.cumsum(sizes[groups]), wanted)) + 1, len(groups) - 1)
        in_validation[groups[:taken]] = True
    chosen = in_validation[group]
    if not chosen.any():
        raise NothingToSplitError(
            f"{examples.source}: {len(sizes)} distinct examples are too few for a validation "
            "split: add examples or pass validation_data"
        )
    return chosen, lone


def _lone_note(names: list[str]) -> str:
    listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    many = "1 class has" if len(names) == 1 else f"{len(names)} classes have"
    return f"{many} a single distinct example, which is trained on and not validated: {listed}."


def _groups_note(groups: np.ndarray, chosen: np.ndarray) -> str:
    validated, every = len(set(groups[chosen].tolist())), len(set(groups.tolist()))
    return f"Validated on {validated} of {every} groups, {chosen.mean():.0%} of the examples."
