"""The data of a fit: reading, splitting off validation data, and batches."""

from __future__ import annotations

import numbers
from dataclasses import replace
from typing import Any

import numpy as np

from kft.arguments import is_number, shown
from kft.data.examples import Examples
from kft.data.split import NothingToSplitError, split
from kft.data.streams import Stream, check_not_empty, with_known_length
from kft.errors import InputError
from kft.family.hooks import Family

NOT_VALIDATED = (
    "Nothing is validated, since there is no example to spare (a class needs at least two): no stage ends early, "
    "and there are no figures."
)


def read_both(
    recipe: Family,
    train: Any,
    validation_data: Any,
    seed: int,
    on_bad: str,
    note: str = "",
    *,
    may_lack: bool = False,
) -> tuple[Examples | Stream, Examples | Stream | None]:
    """Read training and validation data, or split off the latter.

    Args:
        recipe: The recipe, which takes over the classes of the training data.
        train: The argument of `fit`.
        validation_data: The argument of `fit`: data, or the fraction of `train` to split off.
        seed: Seed of the split.
        on_bad: What to do with bad examples, `"error"` or `"skip"`.
        note: A remark on the data for the plan.
        may_lack: Whether to return None as validation data if nothing can be split off.

    Raises:
        InputError: If the data are wrong, or a stream would have to be split.
    """
    data = read_training(recipe, train, on_bad, note)
    if not is_fraction(validation_data):
        validation = recipe.read(validation_data, classes=recipe.classes, on_bad_example=on_bad)
        return data, validation
    if isinstance(data, Stream):
        raise InputError(f"a {data.source} cannot be split: pass validation_data.")
    try:
        return split(data, float(validation_data), seed)
    except NothingToSplitError:
        if not may_lack:
            raise
        return replace(data, note=f"{data.note} {NOT_VALIDATED}".strip()), None


def read_training(recipe: Family, train: Any, on_bad: str, note: str = "") -> Examples | Stream:
    """Read training data; the arguments are those of `read_both`."""
    data = recipe.read(train, classes=recipe.classes, on_bad_example=on_bad)
    recipe.name_classes(data.classes, data.source)
    if note and isinstance(data, Examples):
        data = replace(data, note=note)
    return data


def is_fraction(validation_data: Any) -> bool:
    """Return whether the argument `validation_data` is a fraction of the training data.

    Raises:
        InputError: If it is neither data nor a fraction between 0 and 1.
    """
    if is_number(validation_data) and 0 < validation_data < 1:
        return True
    if validation_data is None or isinstance(validation_data, numbers.Number | np.generic):
        raise InputError(
            f"`validation_data={shown(validation_data)}`: pass data, or a fraction of the training "
            "data between 0 and 1, such as 0.2."
        )
    return False


def batches_of(
    recipe: Family, data: Examples | Stream, batch_size: int, steps: int | None = None
) -> Any:
    """Return batches of data in their own order, for `fit` and `evaluate`.

    Args:
        recipe: The recipe, which converts raw inputs to the model's.
        data: The data, as `Recipe.read` returned them.
        batch_size: Examples per batch; a stream already has batches.
        steps: Batches per epoch of a stream that never ends.
    """
    if isinstance(data, Examples):
        return recipe.batches(data, batch_size=batch_size)
    if data.is_infinite and steps is None:
        raise InputError(
            f"the {data.source} never ends: pass recipe.read(data, steps_per_epoch=n) for training, or "
            "end it with take(n)."
        )
    check_not_empty(data)
    return recipe.from_stream(data.dataset)


def counted(stream: Stream) -> Stream:
    """Return a stream for training that knows how many batches an epoch has."""
    if stream.steps is not None or stream.batches is not None:
        return stream
    return replace(stream, dataset=with_known_length(stream.dataset))
