"""Augmentation of images, clips and texts that depends only on (seed, epoch, batch)."""

from kft.data.augment.images import ImageAugmentation
from kft.data.augment.presets import image_augmentation, text_augmentation
from kft.data.augment.texts import TextAugmentation
from kft.data.augment.views import NextView

__all__ = [
    "ImageAugmentation",
    "NextView",
    "TextAugmentation",
    "image_augmentation",
    "text_augmentation",
]
