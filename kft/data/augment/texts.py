"""Augmentation of texts by KerasHub layers that depends only on (seed, epoch, batch)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.data.augment.inputs import only_input
from kft.errors import InputError


def _are_texts(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == object and isinstance(values[0], str)


class TextAugmentation:
    """An augmentation that deletes and swaps random words, by KerasHub's `RandomDeletion` and `RandomSwap`.

    It runs on the texts before they are tokenized. A text keeps at least one word.

    Args:
        deletion: Probability that a word is deleted.
        swap: Probability that a word is swapped with another.

    Raises:
        InputError: A probability is not between 0 and 1.

    Example:

    ```python
    augment = TextAugmentation(deletion=0.1)
    x, y = augment(np.array(["a good film"], object), y, seed=(0, 0, 0))
    ```
    """

    before_load = True
    soft_targets = False

    def __init__(self, deletion: float = 0.1, swap: float = 0.0) -> None:
        for name, rate in (("deletion", deletion), ("swap", swap)):
            if not 0 <= rate <= 1:
                raise InputError(f"{name}={rate!r}, but a probability from 0 to 1 is expected")
        from keras_hub import layers

        self.deletion, self.swap = deletion, swap
        self.layers: list[Any] = []
        if swap:
            self.layers.append(layers.RandomSwap(swap, seed=0, dtype="string"))
        if deletion:
            self.layers.append(layers.RandomDeletion(deletion, seed=0, dtype="string"))

    def describe(self) -> str:
        """Return everything besides the seed that affects the result."""
        return f"words: deletion {self.deletion}, swap {self.swap}"

    def __call__(self, x: Any, y: Any, seed: Sequence[int]) -> tuple[Any, Any]:
        """Augment a batch of texts.

        Args:
            x: Texts `[n]`, or a dict of inputs, of which one is texts.
            y: The targets, which are returned unchanged.
            seed: Integers that seed the augmentation.

        Returns:
            `(texts, y)`.

        Raises:
            InputError: A dict has no input of texts, or several.
        """
        if isinstance(x, dict):
            name = only_input(x, _are_texts, "texts")
            texts, y = self(x[name], y, seed)
            return {**x, name: texts}, y
        rng = np.random.default_rng(list(seed))
        texts = np.array(x, dtype=object)
        words = [str(text).split() for text in texts]
        rows = [index for index, some in enumerate(words) if len(some) > 1]
        some: Any = [words[index] for index in rows]
        for layer in self.layers:
            if some:
                some = layer(some, rng=rng)
        for index, kept in zip(rows, some, strict=True):
            texts[index] = " ".join(kept) if len(kept) else words[index][0]
        return texts, y
