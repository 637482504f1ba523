"""Callbacks for any `model.fit`, each in a file of its own."""

from kft.callbacks.learning_rate_warmup import LearningRateWarmup
from kft.callbacks.run_checkpoint import RunCheckpoint
from kft.callbacks.staged_unfreezing import StagedUnfreezing

__all__ = ["LearningRateWarmup", "RunCheckpoint", "StagedUnfreezing"]
