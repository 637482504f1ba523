"""Adam's step on PyTorch's CPU in one pass over the weights, with PyTorch's own fused kernel.

Keras (3.15.1) needs about ten passes for such a step, several of which fill a new tensor as large as
the weights. For 22 million weights this takes as long as the backward pass of a short batch.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import Any

import keras

from kft.backends import backend

Setting = tuple[float, float, float, float, float, int]


def is_fusable(optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]) -> bool:
    """Return whether `FusedAdam` can take the optimizer's steps for these variables.

    It can for Keras' own Adam and AdamW without further processing of the gradients, and for float32
    weights in the CPU's memory. In all other cases Keras takes the steps.
    """
    return (
        backend().has_fused_adam
        and isinstance(optimizer, keras.optimizers.Adam)
        and type(optimizer).__module__.startswith("keras.")  # not a user's subclass
        and not any(
            (
                optimizer.amsgrad,
                optimizer.use_ema,
                optimizer.gradient_accumulation_steps,
                optimizer.clipnorm,
                optimizer.clipvalue,
                optimizer.global_clipnorm,
            )
        )
        and all(_is_plain(variable) for variable in variables)
    )


def _is_plain(variable: keras.Variable) -> bool:
    value: Any = variable.value
    return (
        variable.constraint is None
        and not variable.overwrite_with_gradient
        and variable.dtype == "float32"
        and value.device.type == "cpu"
        and value.is_contiguous()  # the kernel does not support strides
    )


class FusedAdam:
    """One step of any number of optimizers; those with equal settings share one call."""

    def __init__(self) -> None:
        self._parts: dict[Setting, list[tuple[Any, Any, Any, Any]]] = {}

    def add(
        self,
        optimizer: keras.optimizers.Adam,
        taken: int,
        rate: float,
        gradients: Sequence[Any],
        variables: Sequence[keras.Variable],
        decayed: Container[int],
    ) -> None:
        """Add an optimizer's part of the step, and count it in `optimizer.iterations`.

        Args:
            optimizer: One that `is_fusable`, built for the variables.
            taken: The steps that it has taken so far.
            rate: Its rate in this step.
            gradients: Float32 tensors.
            variables: The variables of the gradients.
            decayed: The `id` of each variable that weight decay applies to.
        """
        step = taken + 1
        optimizer.iterations.value.add_(1)
        # Keras adds epsilon to the square root before the bias correction, PyTorch after it.
        epsilon = optimizer.epsilon / math.sqrt(1.0 - optimizer.beta_2**step)
        for gradient, variable in zip(gradients, variables, strict=True):
            decay = (optimizer.weight_decay or 0.0) if id(variable) in decayed else 0.0
            setting = (optimizer.beta_1, optimizer.beta_2, epsilon, decay, rate, step)
            momentum, velocity = _slots(optimizer, variable)
            part = (variable.value, gradient.contiguous(), momentum.value, velocity.value)
            self._parts.setdefault(setting, []).append(part)

    def step(self) -> None:
        """Update all added variables."""
        if not self._parts:
            return  # on other backends PyTorch may be missing
        import torch
        from torch.optim.adam import adam

        for (beta_1, beta_2, epsilon, decay, rate, step), parts in self._parts.items():
            weights, gradients, momenta, velocities = (
                list(each) for each in zip(*parts, strict=True)
            )
            adam(
                weights,
                gradients,
                momenta,
                velocities,
                [],
                list(torch.full((len(parts),), step - 1.0).unbind()),  # which the call raises by 1
                fused=True,
                decoupled_weight_decay=True,
                amsgrad=False,
                beta1=beta_1,
                beta2=beta_2,
                lr=rate,
                weight_decay=decay,
                eps=epsilon,
                maximize=False,
            )


def _slots(
    optimizer: keras.optimizers.Adam, variable: keras.Variable
) -> tuple[keras.Variable, keras.Variable]:
    """Return a variable's first and second moment; Keras (3.15.1) has no public access to them."""
    index = optimizer._get_variable_index(variable)
    return optimizer._momentums[index], optimizer._velocities[index]
