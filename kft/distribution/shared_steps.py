"""Training and test steps in which each process computes its part of the batch."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from kft.data.batches import Batches, part_of
from kft.distribution import processes
from kft.distribution.gradients import SharedGradients


@contextlib.contextmanager
def shared_steps(model: keras.Model, place: Any) -> Iterator[None]:
    """Make the model's steps share each batch while the block runs.

    Args:
        model: A compiled model whose `fit` or `evaluate` is about to be called.
        place: The position of the fit, with `epoch` and `batch`.
    """
    train_step, test_step = model.train_step, model.test_step
    shared = SharedGradients()
    has_begun = False

    def begin() -> None:
        nonlocal has_begun
        if not has_begun:  # only now is everything built and restored
            has_begun = True
            broadcast_state(model)

    def train(data: Any) -> Any:
        begin()
        place.data = data
        part, share = own_part(data, place.train, place.batch)
        with (
            shared_metrics(model),
            own_random_numbers(model, place),
            shared_gradients(model, shared, share),
        ):
            if share:
                train_step(part)
            else:
                _step_without_examples(model)
        return model.get_metrics_result()

    def test(data: Any) -> Any:
        begin()
        part, share = own_part(data, place.test, place.test_batch)
        with shared_metrics(model):
            if share:
                test_step(part)
        return model.get_metrics_result()

    model.train_step, model.test_step = train, test
    try:
        yield
    finally:
        del model.train_step, model.test_step  # uncovers those of the class


def own_part(data: Any, batches: Batches | None, index: int) -> tuple[Any, int]:
    """Return this process' part of a batch, and its number of examples.

    Args:
        data: The data of the step.
        batches: Their source, if it gives each process its part; None if all get the whole batch.
        index: The index of the batch.
    """

    def cut(one: Any) -> Any:
        if one is None or (batches is not None and not batches.is_whole(index)):
            return one
        return part_of(one, processes.rank(), processes.count())

    part = keras.tree.map_structure(cut, data)
    return part, len(next(one for one in keras.tree.flatten(part) if one is not None))


def broadcast_state(model: keras.Model) -> None:
    """Set weights, optimizer state and seeds of all processes to those of the first."""
    variables = {id(one): one for one in model.variables}
    if model.optimizer is not None:
        variables.update((id(one), one) for one in model.optimizer.variables)
    processes.broadcast([one.value for one in variables.values()])


@contextlib.contextmanager
def shared_metrics(model: keras.Model) -> Iterator[None]:
    """Add what all processes have seen in the block to the metrics.

    Between steps, the metrics of every process contain the sums over all processes.
    """
    before = {id(one): ops.copy(one.value) for one in model.metrics_variables}
    for variable in model.metrics_variables:
        variable.assign(ops.zeros_like(variable.value))
    yield
    variables = model.metrics_variables
    added = processes.all_reduce([one.value for one in variables])
    for variable, one in zip(variables, added, strict=True):
        old = before.get(id(variable))
        variable.assign(one if old is None else old + one)


@contextlib.contextmanager
def shared_gradients(model: keras.Model, shared: SharedGradients, share: int) -> Iterator[None]:
    """Make the model's optimizer apply the gradients of the whole batch.

    This wraps the outermost `apply`, so loss scaling, clipping and accumulation see those gradients. The
    optimizer is looked up in each step, since stages replace it.
    """
    optimizer = model.optimizer
    apply: Callable[..., Any] = optimizer.apply

    def apply_shared(gradients: Any, trainable_variables: Any = None) -> Any:
        variables = (
            model.trainable_variables if trainable_variables is None else trainable_variables
        )
        return apply(shared(gradients, list(variables), share), trainable_variables)

    optimizer.apply = apply_shared
    try:
        yield
    finally:
        del optimizer.apply


def _step_without_examples(model: keras.Model) -> None:
    """Take the step of a process whose part of a small last batch is empty."""
    import torch

    variables = model.trainable_variables
    if variables:
        with torch.no_grad():
            model.optimizer.apply([None] * len(variables), variables)


@contextlib.contextmanager
def own_random_numbers(model: keras.Model, place: Any) -> Iterator[None]:
    """Draw different dropout in each process, reproducibly.

    The first process draws as it would alone. The others change, for the time of the step, the seeds
    and the generator that PyTorch's layers without a seed share.
    """
    import torch

    number = processes.rank()
    if number == 0:
        yield
        return
    seeds = _seeds(model)
    # Keras adds seed and counter, so a nearby seed would repeat another process' draws of earlier steps.
    far = zlib.crc32(str(number).encode()) & 0x3FFFFFFF
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        words = [number, place.epoch, place.batch, *(s.value.tolist() for s in seeds[:1])]
        torch.manual_seed(zlib.crc32(repr(words).encode()))
        for seed in seeds:
            seed.value[0] ^= far
        try:
            yield
        finally:
            for seed in seeds:
                seed.value[0] ^= far


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """Return the states of the model's seed generators: neither weights, metrics nor optimizer."""
    others = [*model.weights, *model.metrics_variables]
    if model.optimizer is not None:
        others += model.optimizer.variables
    known = {id(one) for one in others}
    return [one for one in model.variables if id(one) not in known]
