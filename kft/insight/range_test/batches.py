"""Endless batches of training data."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.data.dataset_parts import sources
from kft.data.examples import Examples
from kft.data.split import NothingToSplitError, split
from kft.data.streams import Stream, is_stream
from kft.errors import InputError
from kft.family.fit_data import is_fraction

if TYPE_CHECKING:
    from kft.family.hooks import Family


def recipe_data(recipe: Family, data: Any, validation_data: Any, seed: int) -> Examples | Stream:
    """Read data of any kind that `fit` accepts, and return the part that it would train on.

    Args:
        recipe: The recipe.
        data: The argument `train` of `fit`.
        validation_data: The argument `validation_data` of `fit`; data themselves are not read.
        seed: Seed of the split.
    """
    splits = is_fraction(validation_data)
    data, validation_data, _ = sources(data, validation_data, recipe.modality, split=splits)
    read = recipe.read(data, classes=recipe.classes)
    recipe.name_classes(read.classes, read.source)
    if isinstance(read, Examples) and is_fraction(validation_data):
        with contextlib.suppress(NothingToSplitError):  # `fit` then trains on all of them, too
            read, _ = split(read, float(validation_data), seed)
    return read


def recipe_batches(
    recipe: Family,
    read: Examples | Stream,
    batch_size: int,
    balance: str | None,
    augmentation: Any,
    seed: int,
) -> Any:
    """Return batches of the data from `recipe_data`, as `fit` makes them."""
    if not isinstance(read, Examples):
        return recipe.from_stream(read.dataset)
    return recipe.batches(
        read, batch_size=batch_size, seed=seed, shuffle=True, balance=balance, augment=augmentation
    )


def model_batches(data: Any, batch_size: int, seed: int) -> Any:
    """Return batches of data for a plain model; arrays are shuffled, batched data are unchanged.

    Raises:
        InputError: If the data are something else.
    """
    if is_stream(data):
        return data
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise InputError(
            f"`data` is {type(data).__name__}: pass (x, y) or (x, y, sample_weight) arrays, a "
            "batched tf.data.Dataset or a keras.utils.PyDataset."
        )
    arrays = keras.tree.map_structure(np.asarray, tuple(data), none_is_leaf=False)
    counts = {len(array) for array in keras.tree.flatten(arrays)}
    if len(counts) > 1 or not min(counts):
        raise InputError(
            f"`data` has parts of {sorted(counts)} examples: make them equally long, and not empty."
        )
    return _Arrays(arrays, min(counts), batch_size, seed)


class _Arrays:
    """Batches of arrays, whose order is a pure function of (seed, epoch)."""

    def __init__(self, arrays: Any, count: int, batch_size: int, seed: int) -> None:
        self._arrays, self._count, self._size = arrays, count, batch_size
        self._seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[Any]:
        order = np.random.default_rng([self._seed, self.epoch]).permutation(self._count)
        for start in range(0, self._count, self._size):
            rows = order[start : start + self._size]
            yield keras.tree.map_structure(lambda array, rows=rows: array[rows], self._arrays)


def endless(batches: Any) -> Iterator[tuple[Any, ...]]:
    """Yield batches in endless epochs, as NumPy arrays, without those smaller than the first.

    A smaller batch has a noisier loss, and would be compiled separately. Data with epochs start at
    the first.

    Raises:
        InputError: If there is no batch at all.
    """
    size = 0
    for epoch in itertools.count():
        if hasattr(batches, "epoch"):
            batches.epoch = epoch
        for batch in _once(batches):
            arrays = keras.tree.map_structure(_as_array, tuple(batch))
            rows = len(keras.tree.flatten(arrays[1])[0])
            size = size or rows
            if rows >= size:
                yield arrays
        if not size:
            raise InputError("`data` yields no batch: pass at least one.")


def _once(batches: Any) -> Iterator[Any]:
    if not isinstance(batches, keras.utils.PyDataset):
        yield from batches
        return
    index = 0
    while batches.num_batches is None or index < batches.num_batches:
        yield batches[index]
        index += 1
    if not hasattr(batches, "epoch"):
        batches.on_epoch_end()


def _as_array(tensor: Any) -> np.ndarray:
    if keras.ops.is_tensor(tensor):
        return keras.ops.convert_to_numpy(tensor)
    return np.asarray(tensor)
