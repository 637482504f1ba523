"""Predictions for raw inputs: as values, a table, a data frame or a file."""

from kft.tasks.predictions.answers import Answer, AnswerPredictions
from kft.tasks.predictions.arrays import ArrayPredictions
from kft.tasks.predictions.base import Predictions
from kft.tasks.predictions.boxes import Box, BoxPredictions
from kft.tasks.predictions.classes import ClassPredictions, LabelPredictions, Prediction
from kft.tasks.predictions.continuations import Continuations
from kft.tasks.predictions.covering import ClassSets, NumberRanges
from kft.tasks.predictions.entities import Entity, EntityPredictions
from kft.tasks.predictions.files import PredictionFile
from kft.tasks.predictions.masks import MaskPredictions
from kft.tasks.predictions.next_tokens import NextTokenPredictions, NextTokens
from kft.tasks.predictions.numbers import NumberPredictions
from kft.tasks.predictions.several import SeveralPredictions

__all__ = [
    "Answer",
    "AnswerPredictions",
    "ArrayPredictions",
    "Box",
    "BoxPredictions",
    "ClassPredictions",
    "ClassSets",
    "Continuations",
    "Entity",
    "EntityPredictions",
    "LabelPredictions",
    "MaskPredictions",
    "NextTokenPredictions",
    "NextTokens",
    "NumberPredictions",
    "NumberRanges",
    "Prediction",
    "PredictionFile",
    "Predictions",
    "SeveralPredictions",
]
