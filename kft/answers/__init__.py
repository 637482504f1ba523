"""The answers of a server: operations for tasks, and a description of the outputs.

The process that checks an export reads the description without Keras, so nothing here imports it.
"""

from kft.answers.description import Answers, Detections, Ranking, Rules, Tensor
from kft.answers.ops import NumpyOps, Ops, TensorFlowOps

__all__ = [
    "Answers",
    "Detections",
    "NumpyOps",
    "Ops",
    "Ranking",
    "Rules",
    "Tensor",
    "TensorFlowOps",
]
