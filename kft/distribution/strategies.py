"""The strategies for several devices, and what the words for them mean on a backend."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import keras

from kft.arguments.calls import CheckedCalls
from kft.backends import backend
from kft.distribution import hosts
from kft.distribution.layouts import Layout, layout_for
from kft.errors import InputError

WORDS = ("auto", "none", "data_parallel")


@dataclasses.dataclass(frozen=True)
class DataParallel(CheckedCalls):
    """A copy of the model on each device; each takes an equal part of each batch.

    The gradients are summed before the step, so the same batch gives the same training on any number
    of devices. On JAX it is `keras.distribution.DataParallel`, on TensorFlow
    `tf.distribute.MirroredStrategy` or `TPUStrategy`, on PyTorch `torch.distributed` with one process
    per device.

    Args:
        devices: How many devices of the process to use. Defaults to all accelerators, or without any,
            all virtual devices of the CPU.
        tpu: On TensorFlow the TPU to use, as for `tf.distribute.cluster_resolver.TPUClusterResolver`:
            `"local"` on a TPU VM. Defaults to none.
        verify_every: Steps after which several processes compare their weights. By default only at
            the beginning of each stage.

    Raises:
        InputError: If a number is below 1.
    """

    devices: int | None = None
    tpu: str | None = None
    verify_every: int | None = None

    def __post_init__(self) -> None:
        _check_counts(self, "devices", "verify_every")

    def notes(self, model: keras.Model) -> list[str]:
        """Return lines to show below a model's plan: none, since all devices are equal."""
        return []


@dataclasses.dataclass(frozen=True)
class ModelParallel(CheckedCalls):
    """Large weights sharded over devices, for models that do not fit on one device.

    Only JAX supports it, as `keras.distribution.ModelParallel`.

    Args:
        devices: How many devices hold the shards of one copy. By default all devices of all
            processes; with fewer, the rest hold further copies, each with its part of the batch.
        layout: Regular expressions of variable paths, each with a name for every axis: `"model"`
            for an axis that is sharded, None for others. By default a BERT's attention, feed-forward
            and token embeddings are sharded, and of other models kernels of at least 65,536 weights,
            along their outputs; `kft.plan_table(model, stages, distribution=...)` shows them.

    Raises:
        InputError: If a number is below 1, or an axis has an unknown name.
    """

    devices: int | None = None
    layout: Mapping[str, tuple[str | None, ...]] | None = None

    def __post_init__(self) -> None:
        _check_counts(self, "devices")
        for pattern, axes in (self.layout or {}).items():
            if not isinstance(axes, (tuple, list)) or set(axes) - {None, "model"}:
                raise InputError(
                    f"`layout[{pattern!r}]={axes!r}`: pass a tuple of 'model' and None, one for each "
                    "axis of the weight, such as (None, 'model')."
                )

    def layout_of(self, model: keras.Model) -> Layout:
        """Return how a model is sharded, over `devices` or else all devices."""
        parts = self.devices or len(keras.distribution.list_devices())
        return layout_for(model, parts, self.layout)

    def notes(self, model: keras.Model) -> list[str]:
        """Return lines to show below a model's plan: which of its weights are sharded."""
        return self.layout_of(model).lines()


Strategy = DataParallel | ModelParallel


def resolve(distribution: Any) -> Strategy | None:
    """Return the strategy that a `distribution` argument means on this backend and machine.

    Args:
        distribution: `"auto"`, `"none"`, `"data_parallel"`, a `DataParallel` or a `ModelParallel`.

    Returns:
        The strategy, None for a single device. `"auto"` is data parallel if this process sees several
        accelerators or is one of a group, but never on the CPU's virtual devices.

    Raises:
        InputError: If it is none of these, or not possible here; the message says why and what is.
    """
    here = backend()
    if isinstance(distribution, str) and distribution in WORDS:
        chosen: Strategy | None = DataParallel()
        if distribution == "none" or (distribution == "auto" and not here.sees_several_devices()):
            chosen = None
    elif isinstance(distribution, (DataParallel, ModelParallel)):
        chosen = distribution
    elif type(distribution).__module__.startswith("tensorflow."):
        _refuse_tensorflow_strategy(type(distribution).__name__)
    else:
        raise InputError(
            f"`distribution={distribution!r}`: pass {', '.join(map(repr, WORDS))}, or a "
            "kft.distribution.DataParallel(...) or ModelParallel(...)."
        )
    if chosen is None:
        return None
    if isinstance(chosen, ModelParallel) and not here.has_model_parallel:
        raise InputError(
            f"`distribution={chosen}`: Keras has model parallel training on JAX alone, and the "
            f"backend is {here.name}. Use KERAS_BACKEND=jax, or 'data_parallel'."
        )
    if isinstance(chosen, ModelParallel) and hosts.count() > 1:
        raise InputError(
            "`ModelParallel` over several processes is not supported, since no single process "
            "could commit the state: use one process with several devices, or 'data_parallel'."
        )
    if isinstance(chosen, DataParallel) and chosen.tpu is not None and not here.takes_tpu_address:
        raise InputError(
            f"`tpu={chosen.tpu!r}` is for TensorFlow, and the backend is {here.name}: leave it out."
        )
    if not here.trains_on_several_hosts:
        _refuse_several_hosts()
    return chosen


def _refuse_several_hosts() -> None:
    """Refuse a `TF_CONFIG` that makes this process one of several."""
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
    except (ValueError, AttributeError):
        return
    if sum(len(tasks) for tasks in cluster.values()) > 1:
        _refuse_tensorflow_strategy("TF_CONFIG")


def _refuse_tensorflow_strategy(name: str) -> None:
    if "MultiWorker" in name or "ParameterServer" in name or name == "TF_CONFIG":
        raise InputError(
            f"{name}: Keras 3's fit does not work with TensorFlow's strategies for several hosts, "
            "MultiWorkerMirroredStrategy and parameter servers "
            "(https://github.com/keras-team/keras/issues/20585). Use KERAS_BACKEND=jax with "
            "kft.distribution.initialize, or KERAS_BACKEND=torch under torchrun."
        )
    raise InputError(
        f"`distribution` is a {name}: pass 'data_parallel', which makes a MirroredStrategy, or "
        "kft.distribution.DataParallel(tpu='local') for a TPUStrategy."
    )


def _check_counts(one: Any, *names: str) -> None:
    for name in names:
        value = getattr(one, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (whole and value >= 1):
            raise InputError(f"`{name}={value!r}`: pass a whole number of 1 or more, or None.")
