"""Augment texts by KerasHub's layers, random only through (seed, epoch, batch)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.data.augment.inputs import only_input
from kft.errors import InputError


def _are_texts(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == object and isinstance(values[0], str)


class TextAugmentation:
    """Deletes and swaps words at random, by KerasHub's `RandomDeletion` and `RandomSwap`.

    It runs on the texts, before they are tokenized. A text never loses its last word.

    Args:
        deletion: Probability of each word to be deleted.
        swap: Probability of each word to change places with another.

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
        """Everything besides the seed that affects what it does."""
        return f"words: deletion {self.deletion}, swap {self.swap}"

    def __call__(self, x: Any, y: Any, seed: Sequence[int]) -> tuple[Any, Any]:
        """Augment texts `[n]`, or those of a dict of inputs, of which one is texts.

        Args:
            x: The texts.
            y: The targets, which stay as they are.
            seed: Numbers that decide everything.

        Returns:
            `(texts, y)`.

        Raises:
            InputError: None of a dict of inputs is texts, or several are.
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
