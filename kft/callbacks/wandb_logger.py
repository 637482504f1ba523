"""Logging to Weights & Biases: metrics by epoch, the stages as configuration, the plan as text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kft.arguments import dict_of
from kft.callbacks.run_logger import (
    RunLogger,
    epoch_values,
    find_unfreezing,
    optional_module,
    plan_of,
)


class WandbLogger(RunLogger):
    """Log a fit in stages to Weights & Biases: metrics, stage and rates by epoch, plan, stages.

    Needs `pip install wandb`. A fit that `RunCheckpoint` resumes continues under the same id. Put it
    after `StagedUnfreezing`.

    Args:
        project: Name of the project. Defaults to `"kft"`.
        name: Name of the run. Defaults to one that Weights & Biases generates.
        mode: `"online"`, `"offline"` (for `wandb sync` later) or `"disabled"`. Defaults to the
            service's settings.
        directory: Where its files are written. Defaults to the service's settings.
        config: Further configuration to store with the run.

    Attributes:
        run_id: The id of the run; None before the first epoch.

    Raises:
        InputError: If Weights & Biases is not installed.

    Example:

    ```python
    logger = kft.callbacks.WandbLogger("flowers", mode="offline")
    model.fit(x, y, epochs=8, callbacks=[kft.callbacks.StagedUnfreezing(stages), logger])
    ```
    """

    def __init__(
        self,
        project: str = "kft",
        name: str | None = None,
        mode: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        optional_module("wandb", "wandb")
        self.project, self.name, self.mode = project, name, mode
        self.directory, self.config = directory, dict_of("config", config)
        self._run: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget the run of an earlier fit."""
        super().on_train_begin(logs)
        self._run = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the values of the epoch; the first epoch creates the run."""
        unfreezing = find_unfreezing(self)
        if self._run is None:
            self._run = self._open(unfreezing)
            self.run_id = self._run.id
        self._run.log(epoch_values(logs, unfreezing), step=epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """End the run."""
        if self._run is not None:
            self._run.finish()
            self._run = None

    def _open(self, unfreezing: Any) -> Any:
        stages = [] if unfreezing is None else unfreezing.describe()["stages"]
        wandb = optional_module("wandb", "wandb")
        run = wandb.init(
            project=self.project,
            name=self.name,
            mode=self.mode,
            dir=None if self.directory is None else str(self.directory),
            id=self.run_id,
            resume=None if self.run_id is None else "allow",
            reinit="create_new",
            config={"model": self.model.name, "stages": stages, **self.config},
        )
        run.summary["plan"] = plan_of(self.model, unfreezing)
        return run
