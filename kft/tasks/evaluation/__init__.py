"""Evaluation of models on labelled examples: figures, tables and the worst mistakes.

A `Scorer` takes targets and outputs batch by batch, in bounded memory, and returns an
`Evaluation`, which prints, draws and describes itself.
"""

from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.calibration import ReliabilityBin
from kft.tasks.evaluation.class_metrics import ClassMetrics
from kft.tasks.evaluation.compute import evaluate
from kft.tasks.evaluation.content import (
    Chart,
    Grid,
    Mistake,
    Mistakes,
    Picture,
    Section,
    Table,
    Text,
)
from kft.tasks.evaluation.detection import BoxMetrics, DetectionEvaluation
from kft.tasks.evaluation.detection_scorer import DetectionScorer
from kft.tasks.evaluation.figures import Figure, Figures
from kft.tasks.evaluation.metrics import MetricsEvaluation, MetricsScorer
from kft.tasks.evaluation.multi_label import MultiLabelEvaluation, MultiLabelScorer
from kft.tasks.evaluation.next_token import NextTokenEvaluation
from kft.tasks.evaluation.next_token_scorer import NextTokenScorer
from kft.tasks.evaluation.operating_point import OperatingPoint
from kft.tasks.evaluation.regression import RegressionEvaluation, RegressionScorer
from kft.tasks.evaluation.scorer import Scorer
from kft.tasks.evaluation.segmentation import MaskMetrics, SegmentationEvaluation
from kft.tasks.evaluation.segmentation_scorer import SegmentationScorer
from kft.tasks.evaluation.several import SeveralEvaluation, SeveralScorer
from kft.tasks.evaluation.single_label import SingleLabelEvaluation, SingleLabelScorer
from kft.tasks.evaluation.spans import SpansEvaluation
from kft.tasks.evaluation.spans_scorer import SpansScorer
from kft.tasks.evaluation.tagging import EntityMetrics, TaggingEvaluation
from kft.tasks.evaluation.tagging_scorer import TaggingScorer

__all__ = [
    "BoxMetrics",
    "Chart",
    "ClassMetrics",
    "DetectionEvaluation",
    "DetectionScorer",
    "EntityMetrics",
    "Evaluation",
    "Figure",
    "Figures",
    "Grid",
    "MaskMetrics",
    "MetricsEvaluation",
    "MetricsScorer",
    "Mistake",
    "Mistakes",
    "MultiLabelEvaluation",
    "MultiLabelScorer",
    "NextTokenEvaluation",
    "NextTokenScorer",
    "OperatingPoint",
    "Picture",
    "RegressionEvaluation",
    "RegressionScorer",
    "ReliabilityBin",
    "Scorer",
    "Section",
    "SegmentationEvaluation",
    "SegmentationScorer",
    "SeveralEvaluation",
    "SeveralScorer",
    "SingleLabelEvaluation",
    "SingleLabelScorer",
    "SpansEvaluation",
    "SpansScorer",
    "Table",
    "TaggingEvaluation",
    "TaggingScorer",
    "Text",
    "evaluate",
]
