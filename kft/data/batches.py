"""`Batches` of examples, in an order that is a pure function of (seed, epoch)."""

import copy
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import keras
import numpy as np

from kft.arguments import plain
from kft.backends import backend
from kft.data.balance import balanced_order, class_weights
from kft.data.examples import Examples
from kft.data.lazy_threads import LazyThreads
from kft.data.tf_batches import as_dataset, spec_of
from kft.data.trees import taken
from kft.errors import InputError

__all__ = ["Batches", "FollowEpochs"]

_AHEAD = 4  # batches that each worker prepares in advance


class Batches(keras.utils.PyDataset):
    """Batches of `Examples` for `fit`, `evaluate` and `predict`, reproducible for each (seed, epoch).

    Batches are prefetched in their own threads, because on JAX and PyTorch Keras' enqueuer
    (`workers > 1`) passes batches of one epoch to the next. Pass `shuffle=False` to `fit`: its
    default reshuffles the batches by Python's global random numbers.

    Args:
        examples: The examples.
        load: Converts the raw inputs of a batch to model inputs: an array or a dict of arrays.
        batch_size: Examples per batch; the last one may be smaller.
        seed: Seed of the order and the augmentation.
        shuffle: Whether to shuffle the examples anew for each epoch.
        balance: How to balance classes: `"weights"` adds sample weights, `"oversample"` repeats
            examples of rarer classes, `"undersample"` samples the more frequent ones anew in each
            epoch.
        augment: `(x, y, seed) -> (x, y)`, whose randomness comes only from `seed`, which is `(seed,
            epoch, index)`; `x` is the output of `load`, or its input if `augment.before_load`. Both
            are trees like those of the examples.
        soft_targets: Whether targets become rows that can be mixed, such as one-hot rows of classes.
        workers: Threads that prefetch batches; 0 prepares each batch on demand.
        inputs_of: Batches of the same examples with the inputs that `collate` takes, if these
            batches load features. Defaults to these batches.

    Raises:
        InputError: A number is out of range, or `balance` does not suit the task.

    Attributes:
        epoch: The epoch that `batches[index]` belongs to. `fit` advances it after a complete epoch;
            add the callback `FollowEpochs(batches)` if it must follow `initial_epoch`.

    Example:

    ```python
    batches = Batches(examples, load=tokenize, batch_size=32, shuffle=True)
    model.fit(batches, shuffle=False, callbacks=[FollowEpochs(batches)])
    ```
    """

    def __init__(
        self,
        examples: Examples,
        load: Callable[[Any], Any],
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        balance: str | None = None,
        augment: Callable[..., tuple[Any, Any]] | None = None,
        soft_targets: bool = False,
        workers: int = 1,
        inputs_of: "Batches | None" = None,
    ) -> None:
        super().__init__(workers=1)
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size!r}, but at least 1 is expected")
        if not len(examples):
            raise InputError(
                f"{examples.source} has no examples, but at least one is needed for a batch"
            )
        if seed < 0:
            raise InputError(f"seed={seed!r}, but 0 or more is expected")
        self.examples, self.load, self.batch_size = examples, load, plain(batch_size)
        self.seed, self.shuffle, self.balance = seed, shuffle, balance
        self.augment: Any = augment
        self.soft_targets, self.inputs_of = soft_targets, inputs_of
        self.epoch = 0
        self._weights = class_weights(examples) if balance == "weights" else None
        self._count = len(balanced_order(examples, balance, np.random.default_rng(0)))
        self._order: tuple[int, np.ndarray] | None = None
        self._threads = LazyThreads(workers, "kft-batches")
        self._ahead: dict[tuple[int, int], Future[Any]] = {}
        self._lock = threading.Lock()
        self._began = self._complete = False
        self._skipped = (-1, 0)
        self._merges_last = False
        self._stand_in: tuple[Any, ...] | None = None
        self._part: tuple[int, int] | None = None

    def __len__(self) -> int:
        if self._merges_last:
            return max(self._count // self.batch_size, 1)
        return -(-self._count // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Return the ordered indices of an epoch's examples: each exactly once, unless resampled."""
        known = self._order
        if known is not None and known[0] == epoch:
            return known[1]
        rng = np.random.default_rng([self.seed, epoch])
        order = balanced_order(self.examples, self.balance, rng)
        if self.shuffle:
            order = rng.permutation(order)
        self._order = (epoch, order)
        return order

    def skip(self, epoch: int, steps: int) -> None:
        """Skip the first batches of an epoch cheaply by returning the next one in their place.

        Args:
            epoch: The interrupted epoch, which resumes.
            steps: The number of batches to skip.
        """
        self._skipped, self._stand_in = (epoch, steps), None

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return batch `index` of the current epoch: `(x, y)`, or `(x, y, sample_weight)`."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        epoch = self.epoch
        self._complete |= self._began and index == len(self) - 1
        if epoch == self._skipped[0] and index < self._skipped[1]:
            if self._stand_in is None:
                self._stand_in = self._make(epoch, min(self._skipped[1], len(self) - 1))
            return self._stand_in
        if not self._threads.count:
            return self._make(epoch, index)
        with self._lock:
            wanted = self._submit(epoch, index)
            following = range(index + 1, min(index + 1 + _AHEAD * self._threads.count, len(self)))
            keep = {(epoch, index), *((epoch, later) for later in following)}
            for stale in self._ahead.keys() - keep:
                self._ahead.pop(stale).cancel()
            for later in following:
                self._submit(epoch, later)
        try:
            return wanted.result()
        finally:
            self._ahead.pop((epoch, index), None)
            if not following:
                self._threads.close()

    def close(self) -> None:
        """End the threads that prefetch batches; requesting another batch starts new ones.

        They end by themselves after the last batch of an epoch, so call this only if an epoch is
        abandoned.
        """
        with self._lock:
            for future in self._ahead.values():
                future.cancel()
            self._ahead.clear()
        self._threads.close()

    def part(self, place: int, count: int) -> "Batches":
        """Return the same batches, of which this process reads only its share of each batch.

        Args:
            place: The rank of this process, from 0.
            count: The number of processes.
        """
        other = copy.copy(self)
        other._part = (place, count)
        other._ahead, other._lock = {}, threading.Lock()
        return other

    def is_whole(self, index: int) -> bool:
        """Return whether batch `index` is not split, as with fewer examples than processes."""
        examples = min(self.batch_size, self._count - index * self.batch_size)
        return self._part is None or examples < self._part[1]

    @property
    def example_count(self) -> int:
        """The number of examples per epoch, after resampling."""
        return self._count

    def resized(self, batch_size: int, *, merge_last: bool = False) -> "Batches":
        """Return the same examples in batches of another size.

        Args:
            batch_size: Examples per batch.
            merge_last: Whether to merge a smaller last batch into the one before it.
        """
        other = copy.copy(self)
        other.batch_size, other._merges_last = batch_size, merge_last
        other._ahead, other._lock = {}, threading.Lock()
        return other

    def for_fit(self) -> Any:
        """Return the data to pass to `fit`: on TensorFlow a dataset, if targets vary in shape."""
        if not backend().needs_declared_shapes or not self.examples.task.collates:
            return self
        return as_dataset(self, keras.tree.map_structure(spec_of, self[0][0]))

    def on_epoch_begin(self) -> None:
        """Start an epoch; called by Keras."""
        self._began, self._complete = True, False

    def on_epoch_end(self) -> None:
        """Advance the epoch if it was complete: Keras also calls this as `fit` starts."""
        if self._complete:
            self.epoch += 1
        self._began = self._complete = False

    def _submit(self, epoch: int, index: int) -> "Future[Any]":
        future = self._ahead.get((epoch, index))
        if future is None:
            future = self._ahead[epoch, index] = self._threads.submit(self._make, epoch, index)
        return future

    def _make(self, epoch: int, index: int) -> tuple[Any, ...]:
        end = None if index == len(self) - 1 else (index + 1) * self.batch_size
        chosen = self.order(epoch)[index * self.batch_size : end]
        if self._part is not None and not self.is_whole(index):
            chosen = part_of(chosen, *self._part)
        task, classes = self.examples.task, self.examples.classes
        x, y = taken(self.examples.inputs, chosen), taken(self.examples.targets, chosen)
        weights = None if self._weights is None else self._weights[chosen]
        if self.soft_targets:
            y = task.soft(y, classes)
        moves = task.moves_with_images  # then targets must be arrays before images are augmented
        if moves:
            y = task.collate(y, None)
        seed = (self.seed, epoch, index)
        before_load = getattr(self.augment, "before_load", False)
        if self.augment is not None and before_load:
            x, y = self.augment(x, y, seed=seed)
        x = self.load_examples(x, chosen)
        if self.augment is not None and not before_load:
            x, y = self.augment(x, y, seed=seed)
        of, seen = self.inputs_of, x
        if of is not None and task.collates and task.reads_inputs:
            seen = of.load_examples(taken(of.examples.inputs, chosen), chosen)
        if not moves:
            y = task.collate(y, seen)
        return (x, y) if weights is None else (x, y, weights)

    def load_examples(self, inputs: Any, chosen: np.ndarray) -> Any:
        """Convert the raw inputs of a batch to model inputs.

        Args:
            inputs: The raw inputs, already augmented if that comes first.
            chosen: Their indices among the examples.
        """
        return self.load(inputs)


def part_of(rows: Any, place: int, count: int) -> Any:
    """Return one of `count` parts of a batch, whose sizes differ by at most one.

    Args:
        rows: A sequence of examples that can be sliced.
        place: The index of the part, from 0.
        count: The number of parts.
    """
    each, left = divmod(len(rows), count)
    first = place * each + min(place, left)
    return rows[first : first + each + (place < left)]


class FollowEpochs(keras.callbacks.Callback):
    """A callback that sets `batches.epoch` to the epoch of `fit`, which may start at `initial_epoch`.

    Args:
        batches: The `Batches` that `fit` trains on.

    Example:

    ```python
    model.fit(batches, initial_epoch=3, epochs=5, shuffle=False, callbacks=[FollowEpochs(batches)])
    ```
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the epoch before its first batch is made."""
        self.batches.epoch = epoch
