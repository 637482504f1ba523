"""Searches over stages and rates, on KerasTuner."""

from kft.tuning.hypermodel import StagedHyperModel
from kft.tuning.result import Search
from kft.tuning.space import default_space
from kft.tuning.trials import Trial

__all__ = ["Search", "StagedHyperModel", "Trial", "default_space"]
