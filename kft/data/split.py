"""A validation split: by content, by groups or by time; stratified where it can be, and seeded."""

from dataclasses import replace

import numpy as np

from kft.data.examples import Examples
from kft.data.split_apart import latest, whole_groups
from kft.errors import InputError

__all__ = ["NothingToSplitError", "split", "strata_of", "together_of"]

_NAMED = 5  # classes that a note names


class NothingToSplitError(InputError):
    """There are too few different examples for a validation part."""


def split(examples: Examples, fraction: float = 0.2, seed: int = 0) -> tuple[Examples, Examples]:
    """Split into a training and a validation part.

    The task says what keeps its share: classes, of several labels the rarest one, of numbers the
    tenths by their ranks. Examples with identical content (the same bytes, text or numbers) stay
    together, also where their labels differ, and so do those that the task groups. A class of which
    there is one is in the training part alone.

    If the examples have `groups`, these stay whole instead, and classes keep their share as well as
    groups allow. If they have an `order`, the latest part becomes the validation part, whatever its
    classes.

    Args:
        examples: What to split.
        fraction: Share of the validation part, between 0 and 1.
        seed: The same seed gives the same parts.

    Returns:
        `(train, validation)`, each in the order of `examples`.

    Raises:
        NothingToSplitError: No class has two distinct examples, one for each part.
        InputError: `fraction` is out of range, a class has only copies of examples of others, or groups
            or times are too large for the fraction.
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
    """Return what keeps its share in each part, such as classes: a number for each example, `[n]`."""
    strata = examples.task.strata(examples.targets)
    return np.zeros(len(examples), dtype=np.int64) if strata is None else strata


def together_of(examples: Examples) -> np.ndarray:
    """Return what examples that must not be parted have alike, `[n]`: what the task groups, or their content."""
    groups = examples.task.groups(examples.inputs, examples.targets)
    return examples.digests if groups is None else groups


def _by_content(
    examples: Examples, strata: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Which examples are for validation, bool `[n]`, and the classes that have too few for it."""
    _, first, group = np.unique(together_of(examples), return_index=True, return_inverse=True)
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
            lone += [] if name is None else [name]  # a rare label of many may well be there alone
            continue
        wanted = max(1, round(fraction * sizes[groups].sum()))
        groups = rng.permutation(groups)
        # The shortest run of groups that reaches the share, but one group always stays for
        # training.
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
