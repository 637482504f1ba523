"""The test whether an explanation depends on the model at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.arguments import check_seed, shown
from kft.arguments.calls import checked_call
from kft.errors import InputError
from kft.insight.given import check_recipe
from kft.model.blocks import find_anatomy
from kft.model.values import put_back, values_of

if TYPE_CHECKING:
    from kft.family.hooks import Family


@dataclass(frozen=True)
class Randomisation:
    """How an explanation changes while weights are shuffled from the head downwards.

    Attributes:
        blocks: The block shuffled last; all above it are shuffled too.
        correlations: Spearman's rank correlation with the explanation of the original model, averaged
            over the inputs: near 1 where shuffling hardly changed the explanation.
    """

    blocks: tuple[str, ...]
    correlations: tuple[float, ...]

    @property
    def last(self) -> float:
        """The correlation after all blocks are shuffled."""
        return self.correlations[-1]

    def __str__(self) -> str:
        lines = [
            f"  {correlation:+.2f}  {block}"
            for block, correlation in zip(self.blocks, self.correlations, strict=True)
        ]
        return "\n".join(["rank correlation after shuffling down to", *lines])


@checked_call
def randomise(recipe: Family, explain: Callable[[], Any], *, seed: int = 0) -> Randomisation:
    """Shuffle the weights block by block, and measure whether an explanation changes.

    This is the cascading randomisation of Adebayo 2018 (https://arxiv.org/abs/1810.03292): a method
    whose maps do not change when the model has lost everything shows edges of the input, not what the
    model uses. The weights are restored afterwards.

    Args:
        recipe: The recipe.
        explain: Returns an explanation by the recipe; called once before and once for each block.
        seed: Seed of the shuffling.

    Returns:
        The correlations, from the head downwards.

    Raises:
        InputError: If `explain` is no function that returns an explanation, or `seed` is no seed.

    Example:

    ```python
    print(kft.explain.randomise(recipe, lambda: kft.explain.grad_cam(recipe, paths, target="cat")))
    ```
    """
    check_recipe(recipe)
    check_seed(seed)
    if not callable(explain):
        raise InputError(
            f"`explain={shown(explain)}`: pass a function that returns an explanation, such as "
            "lambda: kft.explain.grad_cam(recipe, paths)."
        )
    anatomy = find_anatomy(recipe.model)
    random = np.random.default_rng(seed)
    saved = values_of(recipe.model.weights)
    before = _maps(explain())
    names, correlations = [], []
    try:
        for block in (anatomy.head, *anatomy.blocks):
            for layer in block.layers:
                for weight in layer.weights:
                    values = keras.ops.convert_to_numpy(weight)
                    weight.assign(random.permutation(values.reshape(-1)).reshape(values.shape))
            after = _maps(explain())
            names.append(block.name)
            pairs = zip(before, after, strict=True)
            correlations.append(float(np.mean([_rank_correlation(*pair) for pair in pairs])))
    finally:
        put_back(saved)
    return Randomisation(tuple(names), tuple(correlations))


def _maps(explanation: Any) -> list[np.ndarray]:
    found = getattr(explanation, "maps", getattr(explanation, "attributions", None))
    if found is None:
        raise InputError(
            f"`explain` returned {shown(explanation)}: return what grad_cam or integrated_gradients does."
        )
    return list(found)


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's correlation, or 0 if one input is constant."""
    first, second = (_ranks(np.ravel(values)) for values in (one, other))
    if not first.std() or not second.std():
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 0; equal values share their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[places]
