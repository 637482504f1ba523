"""The common part of callbacks that log to a service: values, plan, optional packages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import keras

from kft.arguments.calls import CheckedCalls
from kft.callbacks.others import other_callbacks
from kft.callbacks.staged_unfreezing import StagedUnfreezing
from kft.errors import InputError
from kft.printing import name_of


def optional_module(name: str, install: str) -> Any:
    """Import a module of an optional package.

    Args:
        name: The module.
        install: The name of the package for `pip install`.

    Raises:
        InputError: If it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise  # the module exists, but one of its dependencies does not
        raise InputError(f"`{name}` is not installed: pip install {install}") from error


class RunLogger(CheckedCalls, keras.callbacks.Callback):
    """A callback that records each fit as a run of a tracking service.

    Attributes:
        run_id: The service's id of the run; None before the first epoch.
    """

    run_id: str | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget the run of an earlier fit."""
        self.run_id = None

    def get_state(self) -> dict[str, Any]:
        """Return the id of the run."""
        return {"run_id": self.run_id}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the id of the run, so that it continues."""
        self.run_id = state["run_id"]


def find_unfreezing(callback: keras.callbacks.Callback) -> StagedUnfreezing | None:
    """Return the `StagedUnfreezing` of the fit that is calling `callback` now, None if it has none."""
    callbacks = other_callbacks(callback)
    return next((one for one in callbacks if isinstance(one, StagedUnfreezing)), None)


def epoch_values(
    logs: Mapping[str, Any] | None, unfreezing: StagedUnfreezing | None
) -> dict[str, float]:
    """Return the values of an epoch: its logs, and with stages the rate of each group.

    Returns:
        Numbers by name; those of groups are `rates/NAME`, since a store with a file per name already
        has `learning_rate`.
    """
    values = {name: float(value) for name, value in (logs or {}).items()}
    if unfreezing is not None:
        values |= {f"rates/{n}": rate for n, rate in unfreezing.group_rates.items()}
    return values


def plan_of(model: keras.Model, unfreezing: StagedUnfreezing | None) -> str:
    """Return the plan of a fit as a table, or a line about the model if there are no stages."""
    if unfreezing is None:
        return f"{name_of(model)}: {model.count_params():,} parameters, no stages"
    from kft.stages.table import plan_table  # here, since it is slow to import

    return str(plan_table(model, unfreezing.stages, unfreezing.batch_norm))
