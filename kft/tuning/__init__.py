"""Hyperparameter search with KerasTuner, and a ranking of backbones before any training."""

from kft.tuning.hypermodel import StagedHyperModel
from kft.tuning.logme import logme
from kft.tuning.result import Search
from kft.tuning.selection import Ranking, rank
from kft.tuning.space import default_space
from kft.tuning.trials import Trial

__all__ = ["Ranking", "Search", "StagedHyperModel", "Trial", "default_space", "logme", "rank"]
