"""Callbacks for any `model.fit`, one per file."""

from kft.callbacks.learning_rate_warmup import LearningRateWarmup
from kft.callbacks.live_curves import LiveCurves
from kft.callbacks.mlflow_logger import MLflowLogger
from kft.callbacks.relative_early_stopping import RelativeEarlyStopping
from kft.callbacks.run_checkpoint import RunCheckpoint
from kft.callbacks.staged_unfreezing import StagedUnfreezing
from kft.callbacks.tensor_board_logger import TensorBoardLogger
from kft.callbacks.wandb_logger import WandbLogger

__all__ = [
    "LearningRateWarmup",
    "LiveCurves",
    "MLflowLogger",
    "RelativeEarlyStopping",
    "RunCheckpoint",
    "StagedUnfreezing",
    "TensorBoardLogger",
    "WandbLogger",
]
