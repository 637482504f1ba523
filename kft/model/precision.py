"""The precision of a model, by Keras' dtype policies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from kft.backends import backend
from kft.errors import InputError

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "auto")


def policy_of(precision: str | None) -> str | None:
    """Return the name of the dtype policy for a `precision` argument on this machine.

    Args:
        precision: one of `PRECISIONS`; None keeps the policy of `keras.config.set_dtype_policy`. `"auto"`
            is `mixed_bfloat16` on TPUs and on GPUs that support it (NVIDIA's from Ampere on),
            `mixed_float16`, with Keras' loss scaling, on NVIDIA's Volta and Turing, else `float32`.

    Raises:
        InputError: `precision` is unknown.
    """
    if precision is not None and precision not in PRECISIONS:
        known = ", ".join(map(repr, PRECISIONS))
        raise InputError(f"`precision={precision!r}` is unknown: pass {known}.")
    return _best() if precision == "auto" else precision


@contextlib.contextmanager
def built_with(precision: str | None) -> Iterator[None]:
    """Use the policy of `precision` for layers that are built inside the context."""
    policy = policy_of(precision)
    with contextlib.nullcontext() if policy is None else using(policy):
        yield


@contextlib.contextmanager
def using(policy: Any) -> Iterator[None]:
    """Use a dtype policy, or the policy of that name, for layers that are built inside the context."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _best() -> str:
    kind, generation = backend().accelerator()
    if kind == "tpu" or (kind == "gpu" and generation >= 8):
        return "mixed_bfloat16"
    return "mixed_float16" if kind == "gpu" and generation == 7 else "float32"
