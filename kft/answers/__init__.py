"""What a server answers: the operations that tasks answer with, and a description of the answers.

The process that checks an export reads the description without Keras, so nothing here imports it.
"""

from kft.answers.description import Answers, Ranking, Rules, Tensor
from kft.answers.ops import NumpyOps, Ops, TensorFlowOps

__all__ = ["Answers", "NumpyOps", "Ops", "Ranking", "Rules", "Tensor", "TensorFlowOps"]
