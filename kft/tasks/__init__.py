"""Tasks that models are fine-tuned for: targets, heads, losses, metrics, evaluation and predictions."""

from kft.tasks.classification import Classification, MultiLabel
from kft.tasks.detection import Detection
from kft.tasks.evaluation import Evaluation, Figure, Figures, Scorer, evaluate
from kft.tasks.next_token import NextToken
from kft.tasks.predictions import Predictions
from kft.tasks.regression import Regression
from kft.tasks.segmentation import Segmentation
from kft.tasks.several import Several
from kft.tasks.spans import Spans
from kft.tasks.tagging import Tagging
from kft.tasks.task import Task

__all__ = [
    "Classification",
    "Detection",
    "Evaluation",
    "Figure",
    "Figures",
    "MultiLabel",
    "NextToken",
    "Predictions",
    "Regression",
    "Scorer",
    "Segmentation",
    "Several",
    "Spans",
    "Tagging",
    "Task",
    "evaluate",
]
