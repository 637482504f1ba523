"""The outsider's tasks with data for each, and the recipe that has one of them."""

import numpy as np

from kft.testing.families import TinyImages, TinyTexts, tiny_images, tiny_texts
from tests.outsider.tasks import TWO_HEADS, Boxes, Mask, NextToken, Tags

EXAMPLES = 24
random = np.random.default_rng(0)
IMAGES = tiny_images(EXAMPLES)
TEXTS = [text for words in (3, 5, 8) for text in tiny_texts(EXAMPLES // 3, words, seed=words)]
BOXES = [random.uniform(0, 1, (n % 4, 4)).tolist() for n in range(EXAMPLES)]
MASKS = [image.mean(axis=-1) > 128 for image in IMAGES]
TAGS = [random.choice(["noun", "verb", "other"], len(text.split())).tolist() for text in TEXTS]

CASES = {
    "boxes": (Boxes(), (IMAGES, BOXES)),
    "mask": (Mask(), (IMAGES, [mask.astype("int64") for mask in MASKS])),
    "tags": (Tags(), (TEXTS, TAGS)),
    "next": (NextToken(), (TEXTS, [0] * EXAMPLES)),
    "two_heads": (TWO_HEADS, (IMAGES, {"kind": ["a", "b"] * 12, "boxes": BOXES})),
}


def recipe_of(name, preset):
    """The recipe that a case trains; texts need a preset, the path of a tiny BERT."""
    task, (inputs, _) = CASES[name]
    if inputs is IMAGES:
        return TinyImages(task=task)
    return TinyTexts(preset, task=task, backbone_dropout=0.0)
