"""Prediction for any number of inputs, batch by batch, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.arguments import is_number, shown
from kft.data.unlabelled import Raw, Unlabelled, chunks
from kft.errors import InputError
from kft.family.views import averaged, check_views
from kft.tasks import Predictions
from kft.tasks.predictions.covering import quantile

if TYPE_CHECKING:
    from kft.family.hooks import Family

__all__ = ["empty_predictions", "predict_stream", "predictions_of"]


def predictions_of(
    recipe: Family, names: Sequence[str], outputs: Any, coverage: float | None = None
) -> Predictions:
    """Return readable predictions from the outputs of a recipe's model.

    Args:
        recipe: A recipe.
        names: The name of each input.
        outputs: The model's outputs, after `task.reduced`.
        coverage: As for `Recipe.predict`.
    """
    if coverage is None:
        return recipe.task.predictions(names, outputs, recipe.output_names)
    reach = partial(quantile, coverage=coverage)
    return recipe.task.covering(names, outputs, recipe.classes, reach, recipe.distances)


def check_choices(recipe: Family, coverage: float | None, views: int) -> None:
    """Check the arguments of `Recipe.predict` of the same names.

    Raises:
        InputError: If one is wrong, or the recipe does not support it, or not both together.
    """
    check_views(recipe, views)
    if coverage is not None and views > 1:
        raise InputError(
            f"`coverage={shown(coverage)}` rests on errors of answers to a single view, but "
            f"`views={views}`: leave one of them out."
        )
    _check_coverage(recipe, coverage)


def _check_coverage(recipe: Family, coverage: float | None) -> None:
    if coverage is None:
        return
    if not is_number(coverage) or not 0 < coverage < 1:
        raise InputError(
            f"`coverage={shown(coverage)}`: pass a probability above 0 and below 1, such as 0.9."
        )
    if recipe.distances is None:
        raise InputError(
            f"`coverage={shown(coverage)}` needs the recipe's errors on validation data, which a fit "
            "records when it evaluates, for one class per example and for numbers: leave it out."
        )
    try:
        empty_predictions(recipe, coverage)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "the distances that were saved with the recipe are of another task: fit it again."
        ) from error


def concatenate_outputs(parts: Sequence[Any]) -> Any:
    """Concatenate the outputs of several batches."""
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def empty_predictions(recipe: Family, coverage: float | None = None) -> Predictions:
    """Return the predictions for no inputs, which have the same type as those for some."""
    outputs = keras.tree.map_structure(
        lambda output: np.zeros([0, *(size or 0 for size in output.shape[1:])], np.float32),
        recipe.model.output,
    )
    return predictions_of(recipe, (), recipe.task.reduced(outputs), coverage)


def predict_stream(
    recipe: Family,
    inputs: Unlabelled,
    *,
    batch_size: int = 32,
    skip: Callable[[Raw], None] | None = None,
    passed: Callable[[int], None] | None = None,
    coverage: float | None = None,
    views: int = 1,
) -> Iterator[Predictions]:
    """Yield predictions while inputs are read.

    Args:
        recipe: A trained recipe.
        inputs: The inputs.
        batch_size: Inputs per step.
        skip: Called with each input that cannot be used, with its reason. By default the first such
            input is an error.
        passed: Called after each batch with its number of inputs, including skipped ones.
        coverage: As for `Recipe.predict`.
        views: As for `Recipe.predict`.

    Yields:
        The predictions for each batch, in the order of the inputs.

    Raises:
        InputError: If an input cannot be used and `skip` is not given.
    """
    forward = averaged(recipe, views)
    for chunk in chunks(inputs, batch_size):
        names, pieces, loaded = _loaded(recipe, inputs, chunk, skip or _refuse)
        if names:
            outputs = _outputs(recipe, forward, loaded, batch_size)
            yield predictions_of(recipe, names, outputs, coverage).with_inputs(pieces)
        if passed is not None:
            passed(len(chunk))


def _loaded(
    recipe: Family, inputs: Unlabelled, chunk: Sequence[Raw], skip: Callable[[Raw], None]
) -> tuple[Sequence[str], Any, Any]:
    """Return the names of a chunk's usable inputs, their pieces, and these as the model takes them."""
    usable = []
    for raw in inputs.checked(chunk):
        if raw.reason:
            skip(raw)
        else:
            usable.append(raw)
    if not usable:
        return [], [], None
    try:
        return _pieces(recipe, usable)
    except InputError:
        broken = inputs.modality.broken([raw.value for raw in usable])
        if not broken:
            raise
    for index, reason in broken.items():
        skip(Raw(usable[index].name, usable[index].value, usable[index].place, reason))
    usable = [raw for index, raw in enumerate(usable) if index not in broken]
    return _pieces(recipe, usable) if usable else ([], [], None)


def _pieces(recipe: Family, usable: Sequence[Raw]) -> tuple[Sequence[str], Any, Any]:
    """Return the names of inputs or of their pieces, the pieces, and these as the model takes them."""
    pieces = recipe.in_pieces([raw.value for raw in usable])
    names = pieces if recipe.quotes_inputs else [raw.name for raw in usable]
    return names, pieces, recipe.load(pieces)


def _outputs(recipe: Family, forward: Callable[[Any], Any], loaded: Any, batch_size: int) -> Any:
    """Return the reduced outputs for all rows, computed in batches."""
    count = len(keras.tree.flatten(loaded)[0])
    parts = []
    for start in range(0, count, batch_size):
        rows = slice(start, start + batch_size)
        part = keras.tree.map_structure(lambda array: array[rows], loaded)  # noqa: B023
        parts.append(recipe.task.reduced(forward(part)))
    return concatenate_outputs(parts)


def _refuse(raw: Raw) -> None:
    raise InputError(
        f"{raw.place}: {raw.reason}. Correct or remove it, or pass "
        'on_bad_example="skip" to leave it out.'
    )
