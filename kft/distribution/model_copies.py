"""A copy of a single-device model for a fit on several devices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from kft.distribution.devices import device_count, entered
from kft.distribution.on_tensorflow import refuse_optimizer, synchronise_norms
from kft.distribution.strategies import Strategy
from kft.errors import InputError, KftError
from kft.model.adapters import give_adapters
from kft.model.graph import settle, sublayers
from kft.model.heads import mark_copied_head
from kft.model.precision import using
from kft.stages.fresh_optimizer import fresh_copy
from kft.stages.optimizer import unscaled


@contextlib.contextmanager
def spread(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, strategy: Strategy | None
) -> Iterator[tuple[keras.Model, keras.optimizers.Optimizer]]:
    """Yield a copy of a model on all devices, and copy its weights back after training.

    Variables belong to the devices that are in scope when they are created, and Keras hardly reports
    it if they are not. A copy created in the scope is correct wherever the model was built, and
    everything after the fit uses the model on its one device.

    Args:
        model: A built, uncompiled model; it does not change until the end.
        optimizer: An optimizer that has not been built.
        strategy: The result of `kft.distribution.resolve`; with None nothing is copied.

    Yields:
        The model and the optimizer to train with.

    Raises:
        InputError: If a scope has been entered already, or the model cannot be copied.
    """
    if device_count() > 1:
        raise InputError(
            f"`fit` was called in a scope of {device_count()} devices: leave the scope, and pass "
            "distribution='data_parallel' to fit instead."
        )
    if strategy is None:
        yield model, optimizer
        return
    with entered(strategy, model):
        refuse_optimizer(unscaled(optimizer))
        copy = copied(model)
        synchronise_norms(copy)
        # The optimizer's counters must be on the devices too.
        remade = fresh_copy(optimizer, zip(model.variables, copy.variables, strict=True))
        own = copy.variables  # before those of the metrics and the optimizer are added
        yield copy, remade
        for target, source in zip(model.variables, own, strict=True):
            target.assign(keras.ops.convert_to_numpy(source))
    _take_over_flags(model, copy)


def copied(model: keras.Model) -> keras.Model:
    """Return a copy of the model with its own variables, on the devices in scope.

    Raises:
        InputError: If the model cannot be rebuilt from its configuration.
        KftError: If the rebuilt model has other weights.
    """
    try:
        with using(model.dtype_policy):  # by which `compile` decides whether to scale the loss
            copy = keras.models.clone_model(model)
            give_adapters(model, copy)
    except Exception as error:
        raise InputError(
            f"{model.name} cannot be copied to several devices: {error}. A layer of your own needs a "
            "get_config() that gives all arguments of its constructor; or pass distribution='none'."
        ) from error
    ours, theirs = model.variables, copy.variables
    shapes = [[tuple(one.shape) for one in each] for each in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise KftError(
            f"{model.name} has other weights when it is built again from its configuration: look at "
            "the get_config() of its layers, or pass distribution='none'."
        )
    for target, source in zip(theirs, ours, strict=True):
        target.assign(keras.ops.convert_to_numpy(source))
    settle(copy)
    mark_copied_head(model, copy)
    return copy


def _take_over_flags(model: keras.Model, copy: keras.Model) -> None:
    layers = zip((model, *sublayers(model)), (copy, *sublayers(copy)), strict=True)
    for layer, trained in layers:  # parents come first: setting theirs sets their children's
        layer.trainable = trained.trainable
