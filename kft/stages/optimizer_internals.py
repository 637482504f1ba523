"""Private parts of a Keras optimizer: its schedule, steps, averages and weight decay.

They are read here from Keras 3.15.1; `tests/model/test_graph.py` checks that they exist.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from kft.stages.schedules import WarmupSchedule


def schedule_of(optimizer: keras.optimizers.Optimizer) -> WarmupSchedule | None:
    """Return the optimizer's schedule, if it is kft's. Keras (3.15.1) shows only the schedule's value."""
    schedule = optimizer._learning_rate
    return schedule if isinstance(schedule, WarmupSchedule) else None


def last_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """Return the optimizer's rate in the last step."""
    return rate_at(optimizer, max(steps_taken(optimizer) - 1, 0))


def steps_taken(optimizer: keras.optimizers.Optimizer) -> int:
    """Return the number of steps; `iterations` counts updates, fewer if gradients accumulate."""
    return int(ops.convert_to_numpy(step_counter(optimizer)))


def step_counter(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """Return the variable that counts steps; `iterations` counts updates, which may be fewer."""
    return optimizer.variables[0]


def averages_of(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable | None]:
    """Return the averages of a built optimizer with `use_ema`; Keras (3.15.1) has them only privately."""
    return optimizer._model_variables_moving_average


def begin_averages(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> None:
    """Start moving averages at the weights instead of zero.

    Until its first step, or without a gradient, a weight's average would otherwise be zero, and
    swapping or finalizing would erase the weight.
    """
    if optimizer.use_ema:
        for variable, average in zip(variables, averages_of(optimizer), strict=True):
            if average is not None:
                # A copy: on JAX both would share a buffer, and a step cannot donate it twice.
                average.assign(np.array(ops.convert_to_numpy(variable)))


def rate_at(optimizer: keras.optimizers.Optimizer, step: int) -> float:
    """Return the optimizer's rate in the step with index `step`."""
    schedule = schedule_of(optimizer)
    if schedule is None:
        return float(ops.convert_to_numpy(optimizer.learning_rate))
    return schedule.at(step)


def decays(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> bool:
    """Return whether weight decay applies to a variable; Keras (3.15.1) has no public method for it."""
    return optimizer._use_weight_decay(variable)
