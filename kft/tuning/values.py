"""The values of a trial, as they are displayed."""

from __future__ import annotations

from typing import Any

from kft.tuning.trials import Trial


def shown(value: Any) -> str:
    """Return a hyperparameter's value as text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def searched(trial: Trial) -> dict[str, Any]:
    """Return a trial's values without KerasTuner's bookkeeping."""
    return {name: v for name, v in trial.values.items() if not name.startswith("tuner/")}
