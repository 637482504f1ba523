"""The other callbacks of a fit: how to find them, and the state of Keras' own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras

from kft.errors import InputError, KftError

# The attributes that these callbacks of Keras (3.15.1) change; they have no public way to save them.
_STATES: dict[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter", "best"),
    keras.callbacks.ModelCheckpoint: (
        "best",
        "_current_epoch",
        "_batches_seen_since_last_saving",
        "_last_batch_seen",
    ),
    keras.callbacks.History: ("epoch", "history"),
}


def other_callbacks(callback: keras.callbacks.Callback) -> list[keras.callbacks.Callback]:
    """Return all callbacks, itself included, of the fit that is calling `callback` now."""
    found = _list_of(callback)
    return [callback] if found is None else list(found.callbacks)


def _list_of(callback: keras.callbacks.Callback) -> keras.callbacks.CallbackList | None:
    """Return the list that is calling `callback` now.

    Keras (3.15.1) gives a callback no access to its list, so the list is looked up among the
    callers.
    """
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.callbacks.CallbackList) and callback in owner.callbacks:
            return owner
        frame = frame.f_back
    return None


# Keras calls these while it iterates over the data, where StopIteration would end them.
_BATCH_HOOKS = (
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


def report_stop_iteration(callback: keras.callbacks.Callback) -> None:
    """Convert `StopIteration` in any callback of the fit that is calling `callback` to an error.

    On TensorFlow and JAX, Keras (3.15.1) would silently end the epoch or the validation instead. The
    hooks are wrapped on the list, which Keras creates for each fit.

    Args:
        callback: A callback whose `on_train_begin` calls this function.
    """
    found = _list_of(callback)
    if found is None:
        return
    for name in _BATCH_HOOKS:
        if name not in vars(found):
            setattr(found, name, _reporting(getattr(found, name), found))


def _reporting(
    hook: Callable[..., None], owner: keras.callbacks.CallbackList
) -> Callable[..., None]:
    @functools.wraps(hook)
    def call(batch: int, logs: Any = None) -> None:
        try:
            hook(batch, logs)
        except (StopIteration, StopAsyncIteration, GeneratorExit) as error:
            raiser = _raiser(error, owner.callbacks)
            name = "A callback" if raiser is None else type(raiser).__name__
            raise KftError(
                f"{name}.{hook.__name__} raised {type(error).__name__}, which Keras takes for the end "
                "of the data. To end the training, set `self.model.stop_training = True`; otherwise "
                "catch the exception in the callback, for example with next(iterator, None)."
            ) from error

    return call


def _raiser(
    error: BaseException, callbacks: Sequence[keras.callbacks.Callback]
) -> keras.callbacks.Callback | None:
    """Return the callback that raised an error: the first one in its traceback."""
    trace = error.__traceback__
    while trace is not None:
        for value in trace.tb_frame.f_locals.values():
            if any(value is callback for callback in callbacks):
                return value
        trace = trace.tb_next
    return None


def refuse_swaps_at_epochs(callback: keras.callbacks.Callback) -> None:
    """Refuse `SwapEMAWeights(swap_on_epoch=True)` in the same fit as `callback`.

    Between two epochs the model's weights would be the averages, and a stage that begins or ends
    there would continue to train from them.

    Raises:
        InputError: If there is one.
    """
    for one in other_callbacks(callback):
        if isinstance(one, keras.callbacks.SwapEMAWeights) and one.swap_on_epoch:
            raise InputError(
                f"SwapEMAWeights(swap_on_epoch=True) does not go together with "
                f"{type(callback).__name__}, which changes the weights and the optimizer between two "
                "epochs: pass swap_on_epoch=False, which validates the averaged weights too."
            )


def state_of(callback: keras.callbacks.Callback) -> dict[str, Any] | None:
    """Return a callback's state as plain values and arrays; None if it has none to save."""
    if hasattr(callback, "get_state"):
        return callback.get_state()
    for kind, names in _STATES.items():
        if isinstance(callback, kind):
            return {name: getattr(callback, name, None) for name in names}
    return None


def restore_state(callback: keras.callbacks.Callback, state: dict[str, Any]) -> None:
    """Restore what `state_of` returned, and no other attribute, since a file may contain more."""
    if hasattr(callback, "set_state"):
        callback.set_state(state)
        return
    for kind, names in _STATES.items():
        if isinstance(callback, kind):
            for name in names:
                setattr(callback, name, state[name])
            return


def names_of(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Return a name for each callback: its class, numbered from its second instance on."""
    counts: dict[str, int] = {}
    names = []
    for callback in callbacks:
        kind = type(callback).__name__
        counts[kind] = counts.get(kind, 0) + 1
        names.append(kind if counts[kind] == 1 else f"{kind}_{counts[kind]}")
    return names
