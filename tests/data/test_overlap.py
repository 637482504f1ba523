"""Duplicates and near-duplicates of images and texts are found without comparing all pairs."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kft.data.examples import Examples
from kft.data.kinds import MultiLabels, Numbers, SingleLabels
from kft.data.likeness import alike_pairs, fingerprints
from kft.data.overlap import overlap

pytestmark = pytest.mark.once


def pictures(count, seed=0):
    """Return smooth pictures as different as photographs, uint8 `[n, 64, 64, 3]`."""
    coarse = np.random.default_rng(seed).integers(0, 255, (count, 6, 6, 3), dtype="uint8")
    return np.stack(
        [np.asarray(Image.fromarray(one).resize((64, 64), Image.BICUBIC)) for one in coarse]
    )


def objects(values):
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def labelled(kind, inputs, targets=None):
    targets = np.zeros(len(inputs), int) if targets is None else np.asarray(targets)
    return Examples(kind, inputs, targets, ("a", "b"), "arrays", task=SingleLabels())


def as_jpeg(image, quality=50):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


CHANGES = {
    "jpeg": lambda image: image,
    "smaller": lambda image: image.resize((40, 40)),
    "brighter": lambda image: image.point(lambda value: min(255, value + 6)),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(0.7)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_picture_is_found_and_no_other(change):
    originals = [Image.fromarray(one) for one in pictures(60)]
    changed = [as_jpeg(change(one)) for one in originals[:20]]
    first = labelled("image_bytes", objects([as_jpeg(one, 95) for one in originals]))
    second = labelled("image_bytes", objects(changed))
    found = alike_pairs([fingerprints(first), fingerprints(second)])
    assert found == [(index, 60 + index) for index in range(20)]


def test_arrays_of_any_range_are_pictures_and_other_arrays_are_not():
    bytes_, fractions = pictures(4), pictures(4).astype("float32") / 255
    both = [fingerprints(labelled("arrays", one)) for one in (bytes_, fractions)]
    assert alike_pairs(both) == [(index, 4 + index) for index in range(4)]
    assert fingerprints(labelled("arrays", np.zeros((3, 12)))) is None
    assert overlap({"training": labelled("arrays", np.zeros((3, 12)))})["alike"] is None


def test_a_broken_picture_looks_like_nothing():
    broken = labelled("image_bytes", objects([b"no image", b"none either"]))
    assert alike_pairs([fingerprints(broken)]) == []


TEXTS = {
    "Which organization is the Security Council a part of?": True,
    "which  Organization is the security council a part of": True,
    "Which organisation is the Security Council a part of ?": True,
    "Which café is the oldest in all of Paris, and why?": True,
    "Which cafe is the oldest in all of Paris and why": True,
    "How old is the oldest café of Paris?": False,
    "Which organ is the heaviest one?": False,
    "?!": False,
    "": False,
}


def test_texts_that_differ_in_case_accents_or_a_letter_look_alike():
    texts = list(TEXTS)
    found = alike_pairs([fingerprints(labelled("texts", objects(texts)))])
    assert found == [(0, 1), (0, 2), (1, 2), (3, 4), (7, 8)]  # the last two have no letters


def test_the_work_does_not_grow_with_the_pairs():
    """Texts that all share a band are only compared with their neighbours."""
    texts = [f"the very same beginning of a rather long sentence, number {i}" for i in range(1000)]
    found = alike_pairs([fingerprints(labelled("texts", objects(texts)))])
    assert 1000 < len(found) < 1000 * 32 * 8 < 1000 * 999 / 2


def test_parts_are_compared_by_content_and_by_looks():
    train = ["a good film, all in all", "a bad film, all in all", "a good film, all in all", "dull"]
    test = ["A GOOD film, all in all!", "dull", "something else entirely", "a bad film, all in all"]
    found = overlap(
        {
            "training": labelled("texts", objects(train), [0, 1, 0, 1]),
            "validation": labelled("texts", objects(test), [0, 0, 1, 1]),
        }
    )
    assert found["parts"] == {
        "training": {"examples": 4, "counts": {"a": 2, "b": 2}, "values": None, "copies": 1},
        "validation": {"examples": 4, "counts": {"a": 2, "b": 2}, "values": None, "copies": 0},
    }
    assert found["across"] == 2
    assert found["conflicts"] == 1  # "dull"
    alike = found["alike"]
    assert alike["looked_at"] == {"training": 3, "validation": 4}
    assert alike["within"] == {"training": 0, "validation": 0}
    assert alike["across"] == 1
    assert alike["pairs"] == [
        [
            {"part": "training", "name": "example 0", "label": "a"},
            {"part": "validation", "name": "example 0", "label": "a"},
        ]
    ]


def test_targets_of_a_regression_and_several_labels_are_described():
    numbers = Examples(
        "arrays", np.zeros((3, 5)), np.array([1.0, 2.0, 6.0]), None, "arrays", task=Numbers()
    )
    part = overlap({"training": numbers})["parts"]["training"]
    assert part["values"] == {"least": 1.0, "mean": 3.0, "most": 6.0}
    assert part["counts"] is None
    several = Examples(
        "texts",
        objects(["x", "x"]),
        np.array([[1.0, 1], [0, 1]]),
        ("a", "b"),
        "t",
        task=MultiLabels(),
    )
    found = overlap({"training": several})
    assert found["parts"]["training"]["counts"] == {"a": 1, "b": 2}
    assert found["conflicts"] == 1
