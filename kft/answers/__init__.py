"""The answers of a server: operations for tasks, and a description of the outputs.

The process that checks an export reads the description without Keras, so nothing here imports it.
"""

from kft.answers.description import Answers, Ranking, Rules, Tensor
from kft.answers.ops import NumpyOps, Ops, TensorFlowOps

__all__ = ["Answers", "NumpyOps", "Ops", "Ranking", "Rules", "Tensor", "TensorFlowOps"]
