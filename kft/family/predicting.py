"""Answer any number of inputs batch by batch, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.arguments import is_number, shown
from kft.data.unlabelled import Raw, Unlabelled, chunks
from kft.errors import InputError
from kft.model.forward import Forward
from kft.tasks import Predictions
from kft.tasks.predictions.covering import quantile

if TYPE_CHECKING:
    from kft.family.hooks import Family

__all__ = ["answered", "no_answers", "predict_stream"]


def answered(
    recipe: Family, names: Sequence[str], outputs: Any, coverage: float | None = None
) -> Predictions:
    """Return what a person reads of the outputs of a recipe's model.

    Args:
        recipe: A recipe.
        names: What to call each input.
        outputs: What `task.reduced` left of what its model puts out for them.
        coverage: As for `Recipe.predict`.
    """
    if coverage is None:
        return recipe.task.predictions(names, outputs, recipe.output_names)
    reach = partial(quantile, coverage=coverage)
    return recipe.task.covering(names, outputs, recipe.classes, reach, recipe.distances)


def check_coverage(recipe: Family, coverage: float | None) -> None:
    """Refuse a coverage that is none, or that the recipe knows nothing of.

    Raises:
        InputError: If it is no probability, or the recipe has no distances.
    """
    if coverage is None:
        return
    if not is_number(coverage) or not 0 < coverage < 1:
        raise InputError(
            f"`coverage={shown(coverage)}`: pass a probability above 0 and below 1, such as 0.9."
        )
    if recipe.distances is None:
        raise InputError(
            f"`coverage={shown(coverage)}` needs to know how far off the recipe was on validation data, "
            "which a fit notes as it evaluates its outcome, for one class an example and for numbers: "
            "leave it out."
        )
    try:
        no_answers(recipe, coverage)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "the distances that were saved with the recipe are of another task: fit it again."
        ) from error


def joined_outputs(parts: Sequence[Any]) -> Any:
    """Return the outputs of several batches as those of one."""
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def no_answers(recipe: Family, coverage: float | None = None) -> Predictions:
    """Return the answers for no inputs, which say what those for some will be like."""
    outputs = keras.tree.map_structure(
        lambda output: np.zeros([0, *(size or 0 for size in output.shape[1:])], np.float32),
        recipe.model.output,
    )
    return answered(recipe, (), recipe.task.reduced(outputs), coverage)


def predict_stream(
    recipe: Family,
    inputs: Unlabelled,
    *,
    batch_size: int = 32,
    skip: Callable[[Raw], None] | None = None,
    passed: Callable[[int], None] | None = None,
    coverage: float | None = None,
) -> Iterator[Predictions]:
    """Answer inputs while they are read.

    Args:
        recipe: A trained recipe.
        inputs: The inputs.
        batch_size: Inputs per step.
        skip: Called with each input that cannot be used, with its reason. By default the first of
            them is an error.
        coverage: As for `Recipe.predict`.
        passed: Called with how many inputs a batch was made of, those that were skipped included.

    Yields:
        The answers for each batch, in the order of the inputs.

    Raises:
        InputError: If an input cannot be used and nobody skips it.
    """
    forward = Forward(recipe.model)
    for chunk in chunks(inputs, batch_size):
        names, loaded = _loaded(recipe, inputs, chunk, skip or _refuse)
        if names:
            yield answered(recipe, names, _outputs(recipe, forward, loaded, batch_size), coverage)
        if passed is not None:
            passed(len(chunk))


def _loaded(
    recipe: Family, inputs: Unlabelled, chunk: Sequence[Raw], skip: Callable[[Raw], None]
) -> tuple[Sequence[str], Any]:
    """What to call the inputs of a chunk that can be used, and what the model takes in their place."""
    usable = []
    for raw in inputs.checked(chunk):
        if raw.reason:
            skip(raw)
        else:
            usable.append(raw)
    if not usable:
        return [], None
    try:
        return _pieces(recipe, usable)
    except InputError:
        broken = inputs.modality.broken([raw.value for raw in usable])
        if not broken:
            raise
    for index, reason in broken.items():
        skip(Raw(usable[index].name, usable[index].value, usable[index].place, reason))
    usable = [raw for index, raw in enumerate(usable) if index not in broken]
    return _pieces(recipe, usable) if usable else ([], None)


def _pieces(recipe: Family, usable: Sequence[Raw]) -> tuple[Sequence[str], Any]:
    """The names of inputs, or pieces of them, and what the model takes in their place."""
    pieces = recipe.in_pieces([raw.value for raw in usable])
    names = pieces if recipe.quotes_inputs else [raw.name for raw in usable]
    return names, recipe.load(pieces)


def _outputs(recipe: Family, forward: Forward, loaded: Any, batch_size: int) -> Any:
    """What the task keeps of the outputs for as many rows as there are, so many at a time."""
    count = len(keras.tree.flatten(loaded)[0])
    parts = []
    for start in range(0, count, batch_size):
        rows = slice(start, start + batch_size)
        part = keras.tree.map_structure(lambda array: array[rows], loaded)  # noqa: B023
        parts.append(recipe.task.reduced(forward(part)))
    return joined_outputs(parts)


def _refuse(raw: Raw) -> None:
    raise InputError(
        f"{raw.place}: {raw.reason}. Correct or remove it, or pass "
        'on_bad_example="skip" to leave it out.'
    )
