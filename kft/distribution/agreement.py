"""The check that the copies of a model still agree, bit by bit."""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np

from kft.backends import backend
from kft.distribution import processes
from kft.errors import InputError, KftError


class Agreement(keras.callbacks.Callback):
    """End a fit whose copies of the model have drifted apart, naming the first weight that differs.

    Hashes of all trainable weights are compared when a stage begins, when the run ends, and every
    `every` steps. Copies that get the same gradients are equal to the last bit on all backends, so any
    difference is an error: a gradient that was not reduced with the others', another order of the
    examples, a broken machine.

    Args:
        every: Steps between two comparisons. Defaults to None: only at stages and at the end.

    Raises:
        InputError: If `every` is below 1.
        KftError: If the copies differ.

    Example:

    ```python
    with kft.distribution.scope("data_parallel"):
        model = build()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, callbacks=[unfreezing, Agreement(every=100)])
    ```
    """

    def __init__(self, every: int | None = None) -> None:
        super().__init__()
        if every is not None and (isinstance(every, bool) or every < 1):
            raise InputError(f"`every={every!r}`: pass a number of steps from 1, or None.")
        self.every = every
        self._steps = self._epoch = 0
        self._begins = False
        self._trained: tuple[int, ...] = ()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Reset the step count."""
        self._steps, self._trained = 0, ()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare, if it is time or this was the first step of a stage."""
        self._steps += 1
        if self._begins or (self.every is not None and self._steps % self.every == 0):
            self._begins = False
            check_agreement(self.model, f"after step {batch + 1} of epoch {self._epoch + 1}")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record whether a stage begins."""
        trained = tuple(map(id, self.model.trainable_variables))
        self._epoch, self._begins = epoch, trained != self._trained
        self._trained = trained

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Compare for the last time."""
        check_agreement(self.model, "at the end")


def agreements(strategy: Any) -> list[Agreement]:
    """Return the callback for a fit with a strategy, in a list that is empty without copies.

    Args:
        strategy: The result of `kft.distribution.resolve`.
    """
    return [] if strategy is None else [Agreement(getattr(strategy, "verify_every", None))]


def check_agreement(model: keras.Model, when: str) -> None:
    """Compare the copies of a model's trainable weights on all devices and in all processes.

    Args:
        model: The model.
        when: When this is, for the message, such as `"after step 7"`.

    Raises:
        KftError: If they differ; it names the first variable that does.
    """
    variables = model.trainable_variables
    here = [[_digest(copy) for copy in backend().copies(variable, model)] for variable in variables]
    for variable, digests in zip(variables, here, strict=True):
        for index, digest in enumerate(digests):
            if digest != digests[0]:
                _raise_mismatch(variable.path, when, "device 0", f"device {index}")
    names = [variable.path for variable in variables]
    own = [digests[0] for digests in here]
    briefly = processes.gather(
        hashlib.blake2b(repr((names, own)).encode(), digest_size=8).hexdigest()
    )
    if len(set(briefly)) == 1:
        return
    everywhere = processes.gather(list(zip(names, own, strict=True)))
    for place, theirs in enumerate(everywhere):
        if theirs == everywhere[0]:
            continue
        for (name, digest), (other, other_digest) in zip(everywhere[0], theirs, strict=False):
            if name != other:
                _raise_mismatch(f"{name} and {other}", when, "process 0", f"process {place}")
            if digest != other_digest:
                _raise_mismatch(name, when, "process 0", f"process {place}")
        raise KftError(
            f"The copies of the model have drifted apart {when}: process 0 trains "
            f"{len(everywhere[0])} variables, process {place} {len(theirs)}."
        )


def _digest(value: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=8).hexdigest()


def _raise_mismatch(what: str, when: str, one: str, other: str) -> None:
    raise KftError(
        f"The copies of the model have drifted apart {when}: {what} is the first weight that differs "
        f"between {one} and {other}. Nothing after the newest commit should be kept. Look for steps "
        "that bypass `optimizer.apply`, data whose order is not the same in all processes, and "
        "layers with their own random generator."
    )
