"""Why a recipe answers as it does: where it looks, which words count, what it has seen before."""

from kft.explain.grad_cam import grad_cam
from kft.explain.images import ImageExplanation
from kft.explain.integrated import integrated_gradients
from kft.explain.nearest import Neighbours, nearest
from kft.explain.randomised import Randomisation, randomise
from kft.explain.texts import TextExplanation

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
