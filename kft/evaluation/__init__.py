"""How good a model is on labelled examples: figures, tables, and which examples it got wrong.

NumPy arrays in, plain numbers out; scikit-learn computes, and no Keras is needed.
"""

from kft.evaluation.calibration import ReliabilityBin
from kft.evaluation.classification import ClassMetrics, MultiLabelEvaluation, SingleLabelEvaluation
from kft.evaluation.compute import evaluate
from kft.evaluation.regression import RegressionEvaluation
from kft.evaluation.result import Evaluation, Mistake

__all__ = [
    "ClassMetrics",
    "Evaluation",
    "Mistake",
    "MultiLabelEvaluation",
    "RegressionEvaluation",
    "ReliabilityBin",
    "SingleLabelEvaluation",
    "evaluate",
]
