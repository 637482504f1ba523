"""A model that was built on one device, for the time of a fit on several."""

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
    """Gives a copy of a model on all devices, and takes its weights back when it has been trained.

    Variables belong to the devices that were in scope when they were made, and Keras says little when
    they were not. A copy that is made in the scope is right whenever and wherever the model was built,
    and afterwards everything else goes on with the model on its one device.

    Args:
        model: a built model, which has not been compiled; it is left as it is until the end.
        optimizer: an optimizer that has not been built.
        strategy: what `kft.distribution.resolve` returned; None changes nothing.

    Yields:
        The model and the optimizer to train with.

    Raises:
        InputError: a scope has been entered already, or the model cannot be copied.
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
        # The optimizer's counters belong to the devices too.
        remade = fresh_copy(optimizer, zip(model.variables, copy.variables, strict=True))
        own = copy.variables  # without those of the metrics and of the optimizer, which come later
        yield copy, remade
        for target, source in zip(model.variables, own, strict=True):
            target.assign(keras.ops.convert_to_numpy(source))
    _take_over_flags(model, copy)


def copied(model: keras.Model) -> keras.Model:
    """The same model with variables of its own, on the devices that are in scope.

    Raises:
        InputError: the model cannot be made again from its configuration.
        KftError: what is made has other weights.
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
