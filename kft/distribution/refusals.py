"""Checks for what several processes on PyTorch cannot train, before it goes wrong."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kft.backends import backend
from kft.distribution import processes
from kft.distribution.launch import started
from kft.errors import InputError
from kft.model import graph

# These write files, which only the first process may do.
_WRITERS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.TensorBoard,
)
_MEANS = ("sum_over_batch_size", "mean")


def refuse_model(model: keras.Model) -> None:
    """Refuse a model whose training step cannot be shared by several processes.

    Raises:
        InputError: If it overrides a step, has a loss that is not a mean over examples, or compiles.
    """
    for name in ("train_step", "test_step"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            raise InputError(
                f"{type(model).__name__} overrides `{name}`, but several processes can share only "
                "that of Keras: move its work into the loss, or train on one process."
            )
    if model.jit_compile:
        raise InputError(
            "`jit_compile=True`: torch.compile cannot see what passes between processes; compile the "
            "model with jit_compile=False, or 'auto'."
        )
    for loss in keras.tree.flatten(model.loss):
        reduction = getattr(loss, "reduction", "mean")
        if reduction not in _MEANS:
            raise InputError(
                f"`reduction={reduction!r}` of {loss.name}: several processes need a loss that is a "
                "mean over the examples of a batch. Pass 'sum_over_batch_size' and a larger learning "
                "rate instead."
            )


def refuse_batch_norm(model: keras.Model, whether_it_trains: bool | None = None) -> None:
    """Refuse BatchNorm layers in training mode.

    Args:
        model: The model.
        whether_it_trains: True for layers that a later stage will train. Defaults to the layers' flags.

    Raises:
        InputError: If there is one; each process would see the statistics of only its part of a batch.
    """
    for layer in graph.batch_norms(model):
        if layer.trainable if whether_it_trains is None else whether_it_trains:
            raise InputError(
                f"{layer.name} is a BatchNormalization that trains: each process would normalise its "
                "part of a batch by that part alone, and Keras (3.15.1) cannot synchronize it on "
                "PyTorch. Keep it frozen (batch_norm='frozen'), use LayerNormalization or "
                "GroupNormalization, or train on JAX or TensorFlow."
            )


def refuse_search() -> None:
    """Refuse a search by several processes on PyTorch.

    Raises:
        InputError: If this process was started as one of several.
    """
    if backend().is_one_device_per_process and started() > 1:
        raise InputError(
            f"`tune` was called in {started()} processes, each of which would run the whole search: "
            "start it in one process, and fit with the best stages in several."
        )


def chosen_callbacks(
    callbacks: Sequence[keras.callbacks.Callback], model: keras.Model
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that this process should run.

    Args:
        callbacks: The callbacks of the fit.
        model: The model that is fitted.

    Raises:
        InputError: If one of them does not support several processes.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise InputError(
                "`BackupAndRestore` would restore each process by itself: pass "
                "kft.callbacks.RunCheckpoint, which restores all of them from one commit."
            )
        if getattr(callback, "batch_norm", None) == "train":
            refuse_batch_norm(model, whether_it_trains=True)
    if processes.rank() == 0:
        return list(callbacks)
    kept = [one for one in callbacks if not isinstance(one, _WRITERS)]
    for callback in kept:
        if getattr(callback, "verbose", 0):
            callback.verbose = 0
    return kept
