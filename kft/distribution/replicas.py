"""Data parallel training on PyTorch: several processes, each with a part of every batch.

Keras (3.15.1) has no strategy for PyTorch. Its training step passes the optimizer exactly the
gradients of the weights that train at that moment, so they are reduced there; no wrapper around the
model can become outdated between stages. The processes also share the sums inside the metrics after
each step, and all decisions between steps.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import keras

from kft.backends import backend
from kft.data.batches import Batches
from kft.distribution import processes
from kft.distribution.agreement import Agreement
from kft.distribution.launch import launched, no_processes
from kft.distribution.lockstep import Place, SharedDecisions, SharedLogs
from kft.distribution.refusals import chosen_callbacks, refuse_model
from kft.distribution.shared_steps import shared_steps
from kft.distribution.strategies import DataParallel, resolve

_P = ParamSpec("_P")
_R = TypeVar("_R")
_place: Place | None = None


@contextlib.contextmanager
def entered(strategy: DataParallel, model: keras.Model | None = None) -> Iterator[int]:
    """Make every `fit` and `evaluate` inside share its batches with the other processes.

    Args:
        strategy: The result of `resolve`.
        model: Ignored, since every process has the whole model.

    Yields:
        The number of processes.

    Raises:
        InputError: When a fit begins that cannot be shared.
        KftError: If a process has ended, or the processes' weights differ.
    """
    global _place
    with processes.joined() as count:
        if count == 1:
            _warn_of_idle_gpus()
        if count == 1 or _place is not None:
            yield count
            return
        _place = Place(strategy.verify_every)
        keras.Model.fit = _sharing(keras.Model.fit)
        keras.Model.evaluate = _sharing(keras.Model.evaluate)
        try:
            yield count
        finally:
            _place = None
            del keras.Model.fit, keras.Model.evaluate  # uncovers those of Keras' trainer


def shared_data(train: Any, validation: Any) -> tuple[Any, Any]:
    """Return the data for a fit: of `Batches`, each process reads only its part.

    Augmentation depends on positions in the whole batch, so every process makes augmented batches
    whole, and also data that are not kft's.

    Args:
        train: The training data.
        validation: The validation data.
    """
    if _place is None:
        return train, validation

    def part(data: Any) -> Batches | None:
        if not isinstance(data, Batches) or data.augment is not None:
            return None
        return data.part(processes.rank(), processes.count())

    _place.train, _place.test = part(train), part(validation)
    return _place.train or train, _place.test or validation


def _warn_of_idle_gpus() -> None:
    import torch

    if torch.cuda.device_count() > 1:
        warnings.warn(
            f"1 of {torch.cuda.device_count()} GPUs is used: PyTorch needs a process for each. Start "
            f"them with `kft fit --processes {torch.cuda.device_count()}`, or with torchrun.",
            stacklevel=3,
        )


def synchronized_callbacks(
    callbacks: Sequence[keras.callbacks.Callback], model: keras.Model
) -> list[keras.callbacks.Callback]:
    """Return the callbacks of a fit, with those that keep several processes in step around them.

    Args:
        callbacks: The user's callbacks; those that write files run only in the first process.
        model: The model that is fitted.

    Raises:
        InputError: If the callbacks or the model cannot be shared.
    """
    if _place is None:
        return list(callbacks)
    kept = chosen_callbacks(callbacks, model)
    return [SharedLogs(), *kept, Agreement(_place.verify_every), SharedDecisions(_place)]


def in_all_processes(fit: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a recipe's `fit` run in all processes that were started together.

    Args:
        fit: The method, with keyword arguments `distribution` and `verbose`.
    """

    @functools.wraps(fit)
    def fit_together(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not backend().is_one_device_per_process:
            if launched():
                raise no_processes(backend().name)
            if processes.rank() > 0:
                kwargs["verbose"] = 0
            return fit(*args, **kwargs)
        strategy = resolve(kwargs.get("distribution", "auto"))
        if not isinstance(strategy, DataParallel):
            return fit(*args, **kwargs)
        with entered(strategy):
            kwargs["distribution"] = "none"  # each process has one device
            if processes.rank() > 0:
                kwargs["verbose"] = 0
            return fit(*args, **kwargs)

    return fit_together


def _sharing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return `fit` or `evaluate` with shared batches."""
    signature = inspect.signature(original)

    @functools.wraps(original)
    def shared(model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        assert _place is not None
        if "train_step" in vars(model):  # `evaluate` within `fit`
            return original(model, *args, **kwargs)
        bound = signature.bind(model, *args, **kwargs)
        callbacks = bound.arguments.get("callbacks")
        refuse_model(model)
        if "epochs" in signature.parameters and not isinstance(
            callbacks, keras.callbacks.CallbackList
        ):
            bound.arguments["callbacks"] = synchronized_callbacks(
                keras.tree.flatten(callbacks or []), model
            )
        if processes.rank() > 0:
            bound.arguments["verbose"] = 0
        try:
            with shared_steps(model, _place):
                return original(*bound.args, **bound.kwargs)
        finally:
            _place.train = _place.test = None

    return shared
