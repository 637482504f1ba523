"""Logging to MLflow: metrics by epoch, the stages as parameters, the plan as an artifact."""

from __future__ import annotations

import json
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


class MLflowLogger(RunLogger):
    """Log a fit in stages to MLflow: metrics, stage and rates by epoch, the plan, the stages.

    Needs `pip install mlflow-skinny`, or `mlflow`. A fit that `RunCheckpoint` resumes continues the
    same MLflow run. Put it after `StagedUnfreezing`.

    Args:
        experiment: Name of the experiment, created if it does not exist. Defaults to `"kft"`.
        run_name: Name of the run. Defaults to one that MLflow generates.
        tracking_uri: Where to log. Defaults to MLflow's settings.
        params: Further parameters to log.

    Attributes:
        run_id: MLflow's id of the run; None before the first epoch.

    Raises:
        InputError: If MLflow is not installed.

    Example:

    ```python
    logger = kft.callbacks.MLflowLogger("flowers", params={"backbone": "ResNet50"})
    model.fit(x, y, epochs=8, callbacks=[kft.callbacks.StagedUnfreezing(stages), logger])
    ```
    """

    def __init__(
        self,
        experiment: str = "kft",
        run_name: str | None = None,
        tracking_uri: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        optional_module("mlflow", "mlflow-skinny")
        self.experiment, self.run_name, self.tracking_uri = experiment, run_name, tracking_uri
        self.extra_params = dict_of("params", params)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the values of the epoch; the first epoch creates the run."""
        unfreezing = find_unfreezing(self)
        client = self._client()
        if self.run_id is None:
            self.run_id = self._open(client, unfreezing)
        for name, value in epoch_values(logs, unfreezing).items():
            client.log_metric(self.run_id, name, value, step=epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """End the run."""
        if self.run_id is not None:
            self._client().set_terminated(self.run_id)

    def _open(self, client: Any, unfreezing: Any) -> str:
        known = client.get_experiment_by_name(self.experiment)
        number = client.create_experiment(self.experiment) if known is None else known.experiment_id
        run = client.create_run(number, run_name=self.run_name)
        stages = [] if unfreezing is None else unfreezing.describe()["stages"]
        given = {
            "model": self.model.name,
            "epochs": self.params.get("epochs"),
            **{f"stage {i}": json.dumps(stage) for i, stage in enumerate(stages, start=1)},
            **self.extra_params,
        }
        for name, value in given.items():
            client.log_param(run.info.run_id, name, value)
        client.log_text(run.info.run_id, plan_of(self.model, unfreezing), "plan.txt")
        return str(run.info.run_id)

    def _client(self) -> Any:
        tracking = optional_module("mlflow.tracking", "mlflow-skinny")
        return tracking.MlflowClient(tracking_uri=self.tracking_uri)
