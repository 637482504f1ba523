"""The model's outputs for labelled data, batch by batch, and their evaluation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.plain_errors import plain_errors
from kft.data.streams import Stream
from kft.data.trees import concatenated, mapped
from kft.distribution import processes
from kft.family.fit_data import batches_of
from kft.family.hooks import Family
from kft.family.views import averaged
from kft.model.forward import Forward
from kft.report.progress import SHORT, Progress
from kft.tasks.predictions.covering import kept_distances

if TYPE_CHECKING:
    from kft.tasks import Evaluation


def answers(
    recipe: Family,
    data: Examples | Stream,
    batch_size: int,
    kept: tuple[keras.Model, Batches] | None = None,
    views: int = 1,
) -> Iterator[tuple[Any, Any, np.ndarray | None]]:
    """Yield each batch's targets, outputs and indices of its examples in the data, as arrays.

    Args:
        recipe: The recipe.
        data: The data.
        batch_size: Examples per step.
        kept: The trained part of the model, with the data as its inputs. Defaults to the whole model.
        views: The number of views of each input, for the whole model; see `kft.family.views.averaged`.
            Defaults to 1.
    """
    model, dataset = kept or (recipe.model, batches_of(recipe, data, batch_size))
    batches: Any = dataset
    if isinstance(dataset, keras.utils.PyDataset):
        batches = (dataset[index] for index in range(dataset.num_batches))
    order = dataset.order(dataset.epoch) if isinstance(dataset, Batches) else None
    places = dataset.examples.places if isinstance(dataset, Batches) else None
    forward = Forward(model) if views == 1 else averaged(recipe, views)
    done = 0
    closing: Any = contextlib.closing(dataset) if isinstance(dataset, Batches) else None
    with closing or contextlib.nullcontext(), plain_errors():
        for x, y, *_ in batches:
            # JAX and PyTorch take no TensorFlow tensors.
            x, y = keras.tree.map_structure(_as_array, (x, y))
            count = len(keras.tree.flatten(y)[0])
            rows = None if order is None else order[done : done + count]
            yield y, forward(x), rows if places is None else places[rows]
            done += count


def evaluate(
    recipe: Family,
    data: Examples | Stream,
    batch_size: int,
    kept: tuple[keras.Model, Batches] | None = None,
    verbose: int | str = "auto",
    views: int = 1,
) -> Evaluation:
    """Evaluate a recipe on labelled data, in one pass and in bounded memory.

    Args:
        recipe: The recipe.
        data: The data.
        batch_size: Examples per step.
        kept: As for `answers`.
        verbose: As for `kft.report.progress.Progress`.
        views: As for `answers`.
    """
    return _evaluated(recipe, data, answers(recipe, data, batch_size, kept, views), verbose)


def evaluate_held_out(
    recipe: Family,
    data: Examples | Stream,
    batch_size: int,
    kept: tuple[keras.Model, Batches] | None = None,
    seed: int = 0,
    verbose: int | str = "auto",
) -> Evaluation:
    """Evaluate a recipe on data that it was not trained on, and record the distances of its errors.

    Args:
        recipe: The recipe. Its `distances`, which `predict(coverage=...)` needs, are set.
        data: The data.
        batch_size: Examples per step.
        kept: As for `answers`.
        seed: Seed that selects the distances to keep, if there are many.
        verbose: As for `kft.report.progress.Progress`.
    """
    found: list[Any] = []

    def recorded() -> Iterator[tuple[Any, Any, np.ndarray | None]]:
        for targets, outputs, rows in answers(recipe, data, batch_size, kept):
            found.append(recipe.task.distances(outputs, targets))
            yield targets, outputs, rows

    evaluation = _evaluated(recipe, data, recorded(), verbose)
    recipe.distances = None
    if found[0] is not None:
        together = concatenated(found)
        recipe.distances = mapped(lambda one: kept_distances(one, seed), together)
    return evaluation


def _evaluated(
    recipe: Family,
    data: Examples | Stream,
    batches: Iterator[tuple[Any, Any, np.ndarray | None]],
    verbose: int | str,
) -> Evaluation:
    examples = data if isinstance(data, Examples) else None
    scorer = recipe.task.scorer_of(examples, recipe.classes)
    count = None if examples is None else recipe.row_count(examples)
    verbose = verbose if processes.rank() == 0 else 0
    with Progress("Evaluating", count, verbose=verbose, after=SHORT) as progress:
        for targets, outputs, rows in batches:
            scorer.update(targets, outputs, rows)
            progress.advance(len(keras.tree.flatten(targets)[0]))
        return scorer.result()


def _as_array(tensor):
    if keras.ops.is_tensor(tensor):
        return keras.ops.convert_to_numpy(tensor)
    return np.asarray(tensor)
