"""What callbacks that log to somewhere else have in common: values, plan, optional packages."""

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
    """A module of a package that kft does not need otherwise.

    Args:
        name: The module.
        install: What `pip install` takes to bring it.

    Raises:
        InputError: If it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise  # it is there, and something that it needs is not
        raise InputError(f"`{name}` is not installed: pip install {install}") from error


class RunLogger(CheckedCalls, keras.callbacks.Callback):
    """A callback for which each fit is a run at a tracking service.

    Attributes:
        run_id: The service's id of the run; None before the first epoch.
    """

    run_id: str | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forgets the run of an earlier fit."""
        self.run_id = None

    def get_state(self) -> dict[str, Any]:
        """Which run it is."""
        return {"run_id": self.run_id}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on with that run."""
        self.run_id = state["run_id"]


def unfreezing_beside(callback: keras.callbacks.Callback) -> StagedUnfreezing | None:
    """The `StagedUnfreezing` of the fit that is calling `callback` now, if there is one."""
    fellows = other_callbacks(callback)
    return next((one for one in fellows if isinstance(one, StagedUnfreezing)), None)


def epoch_values(
    logs: Mapping[str, Any] | None, unfreezing: StagedUnfreezing | None
) -> dict[str, float]:
    """The numbers of an epoch: its logs, and with stages the rate of each group.

    Returns:
        Numbers by name; the groups' are `rates/NAME`, since a store that keeps a file a name has one
        of `learning_rate` already.
    """
    values = {name: float(value) for name, value in (logs or {}).items()}
    if unfreezing is not None:
        values |= {f"rates/{n}": rate for n, rate in unfreezing.group_rates.items()}
    return values


def plan_of(model: keras.Model, unfreezing: StagedUnfreezing | None) -> str:
    """The plan of a fit as a table; without stages what the model is."""
    if unfreezing is None:
        return f"{name_of(model)}: {model.count_params():,} parameters, no stages"
    from kft.stages.table import plan_table  # it knows recipes' plans, and is slow to import

    return str(plan_table(model, unfreezing.stages, unfreezing.batch_norm))
