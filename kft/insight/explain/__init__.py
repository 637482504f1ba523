"""Explanations of predictions: image regions, words, and similar training examples."""

from kft.insight.explain.grad_cam import grad_cam
from kft.insight.explain.images import ImageExplanation
from kft.insight.explain.integrated import integrated_gradients
from kft.insight.explain.nearest import Neighbours, nearest
from kft.insight.explain.randomised import Randomisation, randomise
from kft.insight.explain.texts import TextExplanation

__all__ = [
    "ImageExplanation",
    "Neighbours",
    "Randomisation",
    "TextExplanation",
    "grad_cam",
    "integrated_gradients",
    "nearest",
    "randomise",
]
