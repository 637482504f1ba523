"""`Batches`: examples to batches, in an order that is a pure function of (seed, epoch)."""

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

_AHEAD = 4  # batches prepared before they are asked for, for each worker


class Batches(keras.utils.PyDataset):
    """Batches of `Examples` for `fit`, `evaluate` and `predict`, the same for each (seed, epoch).

    Batches are prepared ahead in threads of its own: Keras' enqueuer (`workers > 1`) hands batches
    of the previous epoch to the next one on JAX and PyTorch. Pass `shuffle=False` to `fit`: its
    default draws the order of the batches anew from Python's global random numbers.

    Args:
        examples: The examples.
        load: Raw inputs (those of a batch of `examples.inputs`) to model inputs: an array or a dict
            of arrays.
        batch_size: Examples a batch; the last one may be smaller.
        seed: For the order and the augmentation.
        shuffle: Whether each epoch has an order of its own.
        balance: Against imbalanced classes: `"weights"` adds sample weights, `"oversample"` repeats
            examples of rarer classes, `"undersample"` takes a part of the more frequent ones,
            another one each epoch.
        augment: `(x, y, seed) -> (x, y)`, random only through `seed`, which is `(seed, epoch,
            index)`; `x` is what `load` gives, or what it gets if `augment.before_load`. Both are
            trees, as those of the examples.
        soft_targets: Whether targets become rows that can be mixed, of classes one-hot rows.
        workers: Threads that prepare batches ahead; 0 prepares each one when it is asked for.
        inputs_of: The batches of the same examples whose features these load: `collate` is given
            their inputs, unless the task reads none. By default it is given what `load` gives.

    Raises:
        InputError: A number is out of range, or `balance` does not fit the task.

    Attributes:
        epoch: The epoch that `batches[index]` belongs to. `fit` moves it on after a complete epoch;
            add the callback `FollowEpochs(batches)` where it must follow `initial_epoch`.

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
        """The indices of the examples of `epoch`, in order: each exactly once, unless resampled."""
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
        """Has the first batches of an epoch cost nothing: the first one after them stands in.

        Args:
            epoch: The epoch, which goes on where it was interrupted.
            steps: How many batches nobody will look at.
        """
        self._skipped, self._stand_in = (epoch, steps), None

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Batch `index` of the present epoch: `(x, y)`, with weights `(x, y, sample_weight)`."""
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
        """End the threads that prepare batches; another batch that is asked for starts new ones.

        They end by themselves after the last batch of an epoch. Close batches that are given up
        before that.
        """
        with self._lock:
            for future in self._ahead.values():
                future.cancel()
            self._ahead.clear()
        self._threads.close()

    def part(self, place: int, count: int) -> "Batches":
        """The same batches, of each of which one of several processes reads its part alone.

        Args:
            place: Which of the processes this is, from 0.
            count: How many there are.
        """
        other = copy.copy(self)
        other._part = (place, count)
        other._ahead, other._lock = {}, threading.Lock()
        return other

    def is_whole(self, index: int) -> bool:
        """Whether batch `index` is not cut, because there are more processes than examples in it."""
        examples = min(self.batch_size, self._count - index * self.batch_size)
        return self._part is None or examples < self._part[1]

    @property
    def example_count(self) -> int:
        """Examples of an epoch, after resampling."""
        return self._count

    def resized(self, batch_size: int, *, merge_last: bool = False) -> "Batches":
        """The same examples in batches of another size.

        Args:
            batch_size: Examples a batch.
            merge_last: Whether the examples of a smaller last batch go to the one before it.
        """
        other = copy.copy(self)
        other.batch_size, other._merges_last = batch_size, merge_last
        other._ahead, other._lock = {}, threading.Lock()
        return other

    def for_fit(self) -> Any:
        """Return what `fit` should be given: on TensorFlow a dataset, if targets vary in shape."""
        if not backend().needs_declared_shapes or not self.examples.task.collates:
            return self
        return as_dataset(self, keras.tree.map_structure(spec_of, self[0][0]))

    def on_epoch_begin(self) -> None:
        """Called by Keras as an epoch begins."""
        self._began, self._complete = True, False

    def on_epoch_end(self) -> None:
        """Called by Keras as an epoch ends, and as `fit` starts, which does not count."""
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
        moves = task.moves_with_images  # with the images of an augmentation
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
        """Turns the raw inputs of a batch into the model's.

        Args:
            inputs: The raw inputs, augmented if that comes first.
            chosen: Their indices among the examples.
        """
        return self.load(inputs)


def part_of(rows: Any, place: int, count: int) -> Any:
    """One of `count` parts of a batch, of as equal sizes as it goes; all together are the batch.

    Args:
        rows: What can be sliced by examples.
        place: Which part, from 0.
        count: How many parts.
    """
    each, left = divmod(len(rows), count)
    first = place * each + min(place, left)
    return rows[first : first + each + (place < left)]


class FollowEpochs(keras.callbacks.Callback):
    """Keeps `batches.epoch` at the epoch that `fit` is in, also after `initial_epoch`.

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
