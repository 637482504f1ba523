"""Batches of texts that are padded to one of a few lengths (buckets)."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kft.backends import backend
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.tf_batches import as_dataset
from kft.data.trees import taken
from kft.errors import InputError

__all__ = ["BucketedBatches", "choose_buckets"]

_WINDOW = 50  # batches within which texts are sorted by length


def choose_buckets(lengths: np.ndarray, longest: int, most: int = 4) -> tuple[int, ...]:
    """Choose the lengths to pad to: few, because a step may be compiled for each.

    Args:
        lengths: Tokens of each text.
        longest: The length that texts are truncated to, which becomes the last bucket.
        most: The maximum number of buckets.

    Returns:
        Ascending lengths, multiples of 8 except for the last.
    """
    quantiles = np.quantile(np.minimum(lengths, longest), np.arange(1, most) / most)
    rounded = {int(-(-quantile // 8) * 8) for quantile in quantiles}
    return (*sorted(length for length in rounded if length < longest), longest)


class BucketedBatches(Batches):
    """Batches that group texts of similar length, padded to one of a few lengths.

    Each epoch's random order is divided into windows of 50 batches; texts are sorted by length within
    a window, and the batches are shuffled again. Like the order of `Batches` it is a pure function of
    (seed, epoch). Without `shuffle` the longest texts come first, so that no batch is longer than the
    first one.

    Args:
        examples: The texts.
        load: `load(texts, length)` returns model inputs of that length.
        lengths: Tokens of each text.
        buckets: Ascending lengths to pad to; longer texts are truncated to the last.

    The other arguments are those of `Batches`.
    """

    def __init__(
        self,
        examples: Examples,
        load: Callable[..., Any],
        *,
        lengths: np.ndarray,
        buckets: Sequence[int],
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        balance: str | None = None,
        soft_targets: bool = False,
        inputs_of: Batches | None = None,
    ) -> None:
        super().__init__(
            examples,
            load,
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            balance=balance,
            soft_targets=soft_targets,
            inputs_of=inputs_of,
        )
        if len(lengths) != len(examples):
            raise InputError(
                f"{len(lengths)} lengths for {len(examples)} examples, but one for each is expected"
            )
        self.lengths = np.asarray(lengths)
        self.buckets = tuple(buckets)

    def pad_to_longest(self) -> None:
        """Pad each batch to its longest text, for steps that are not compiled for each length."""
        self.buckets = tuple(
            range(min(int(self.lengths.min()), self.buckets[-1]), self.buckets[-1] + 1)
        )

    def order(self, epoch: int) -> np.ndarray:
        """Return the ordered indices of an epoch's examples."""
        order = super().order(epoch)
        if not self.shuffle:
            return order[np.argsort(-self.lengths[order], kind="stable")]
        size = self.batch_size
        batches = []
        for start in range(0, len(order), _WINDOW * size):
            window = order[start : start + _WINDOW * size]
            window = window[np.argsort(self.lengths[window], kind="stable")]
            batches += [window[at : at + size] for at in range(0, len(window), size)]
        # The last batch may be smaller, so it stays last.
        shuffled = np.random.default_rng([self.seed, epoch, 1]).permutation(len(batches) - 1)
        return np.concatenate([*(batches[index] for index in shuffled), batches[-1]])

    def load_examples(self, inputs: Any, chosen: np.ndarray) -> Any:
        """Load texts, padded to the smallest bucket that holds the longest of them."""
        need = int(self.lengths[chosen].max())
        length = next((bucket for bucket in self.buckets if bucket >= need), self.buckets[-1])
        load: Any = self.load
        return load(inputs, length)

    def for_fit(self) -> Any:
        """Return the batches, on TensorFlow as a `tf.data.Dataset` that declares varying lengths."""
        if not backend().needs_declared_shapes or len(self.buckets) == 1:
            return super().for_fit()
        import tensorflow as tf

        load: Any = self.load
        first = taken(self.examples.inputs, np.array([self.lengths.argmin()]))
        short, long = (load(first, length) for length in (self.buckets[0], self.buckets[-1]))

        def spec(array: np.ndarray, other: np.ndarray) -> Any:
            same = array.shape[1:] == other.shape[1:]
            shape = array.shape[1:] if same else (None, *array.shape[2:])
            return tf.TensorSpec((None, *shape), array.dtype)

        return as_dataset(self, keras.tree.map_structure(spec, short, long))
