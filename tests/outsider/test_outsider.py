"""Tasks written from the documentation alone keep the contract of kft's own."""

import numpy as np
import pytest

from kft.testing import check_task
from kft.testing.families import tiny_images, tiny_texts
from tests.outsider.tasks import TWO_HEADS, Boxes, Mask, NextToken, Tags

EXAMPLES = 24
ELSEWHERE = {"export", "tune"}
HERE = {"plan", "cache", "resume", "outcome"}

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


# A map and tokens on each backend; the others differ from them in nothing that a backend does.
EVERYWHERE = ("mask", "tags")
ONCE = [pytest.param(name, marks=pytest.mark.once) for name in CASES if name not in EVERYWHERE]


@pytest.mark.parametrize("name", [*EVERYWHERE, *ONCE])
def test_it_trains_resumes_and_answers(name):
    task, data = CASES[name]
    check_task(task, data, leave_out=ELSEWHERE)


@pytest.mark.once
@pytest.mark.parametrize("name", CASES)
def test_it_is_exported_and_searched(name):
    task, data = CASES[name]
    check_task(task, data, leave_out=HERE)
