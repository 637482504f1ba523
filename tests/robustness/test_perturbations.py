"""Corruptions and distortions get worse with severity, and hang on the seed alone."""

import numpy as np
import pytest

from kft.insight.robustness.images import CORRUPTIONS, corrupt
from kft.insight.robustness.texts import DISTORTIONS, distort

pytestmark = pytest.mark.once

TEXT = "the quick brown fox jumps over the lazy dog while nobody else looks at anything " * 4


def picture():
    """Stripes and a slope: there is something to blur, to dim and to compress."""
    image = np.zeros((32, 32, 3), "float32")
    image[:, ::4] = (200, 90, 60)
    image[..., 1] += np.linspace(20, 120, 32)[:, None]
    return image[None]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_gets_worse_and_stays_an_image(name):
    clean = picture()
    distances = []
    for severity in range(1, 6):
        worse = corrupt(clean, name, severity, [0, 0])
        assert worse.shape == clean.shape
        assert worse.dtype == np.float32
        assert worse.min() >= 0
        assert worse.max() <= 255
        distances.append(np.abs(worse - clean).mean())
    assert distances[0] > 0
    assert distances[4] > 1.15 * distances[0]
    assert np.all(np.diff(distances) > -0.15 * distances[0])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_hangs_on_the_seed_and_the_place_alone(name):
    images = np.repeat(picture(), 3, axis=0)
    whole = corrupt(images, name, 3, [7, 0])
    parts = np.concatenate(
        [corrupt(images[:1], name, 3, [7, 0]), corrupt(images[1:], name, 3, [7, 1])]
    )
    np.testing.assert_array_equal(whole, parts)
    if "noise" in name:
        assert not np.array_equal(whole[0], whole[1])
        assert not np.array_equal(whole, corrupt(images, name, 3, [8, 0]))


def test_the_strength_of_a_corruption_is_that_of_its_source():
    gray = np.full((1, 64, 64, 3), 127.5, "float32")
    noise = corrupt(gray, "gaussian_noise", 2, [0, 0]) - gray
    assert noise.std() == pytest.approx(0.12 * 255, rel=0.05)
    assert corrupt(gray, "brightness", 3, [0, 0]).mean() == pytest.approx(
        (0.5 + 0.3) * 255, rel=0.01
    )
    image = picture()
    spread = corrupt(image, "contrast", 1, [0, 0]).std(axis=(1, 2)) / image.std(axis=(1, 2))
    np.testing.assert_allclose(spread, 0.4, rtol=0.01)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distortion_hits_more_words_with_severity_and_hangs_on_the_seed(name):
    words = TEXT.split(" ")
    hits = []
    for severity in range(1, 6):
        worse = distort(TEXT, name, severity, [0, 0])
        assert worse == distort(TEXT, name, severity, [0, 0])
        kept = worse.split(" ")
        same = sum(one == other for one, other in zip(words, kept, strict=False))
        hits.append(len(words) - (len(kept) if name == "missing_words" else same))
    assert 0 < hits[0] < hits[2] < hits[4]
    assert distort(TEXT, name, 3, [0, 0]) != distort(TEXT, name, 3, [0, 1])


def test_nothing_is_left_empty():
    for severity in range(1, 6):
        for place in range(20):
            assert distort("a", "missing_words", severity, [0, place]) == "a"
            assert distort("", "typos", severity, [0, place]) == ""
    assert distort("Some Words", "casing", 5, [0, 0]) == "SOME WORDS"
