"""Average precision of boxes against the results of COCO's own code."""

import numpy as np
import pytest

from kft.answers.detected import suppressed
from kft.tasks.evaluation import average_precision as average_precision_module
from kft.tasks.evaluation.average_precision import AveragePrecision

pytestmark = pytest.mark.once

COCO = (0.1386554363, 0.3292489466, 0.0935722114)


def crowded(images=60, seed=0):
    """Yield answers and boxes for images of 100 x 100 pixels; a fifth of the boxes are crowds."""
    rng = np.random.default_rng(seed)
    for _ in range(images):
        count = rng.integers(0, 8)
        middles, halves = rng.uniform(10, 90, (count, 2)), rng.uniform(3, 15, (count, 2))
        kinds, crowds = rng.integers(0, 3, count), rng.random(count) < 0.2
        boxes = np.concatenate([middles - halves, middles + halves], 1)
        near, far = (boxes + rng.normal(0, spread, boxes.shape) for spread in (1.5, 4))
        wrong = rng.uniform(0, 50, (5, 4)) + np.array([0, 0, 50, 50])
        found = np.concatenate([near, far, wrong])
        low, high = np.minimum(found[:, :2], found[:, 2:]), np.maximum(found[:, :2], found[:, 2:])
        said = [kinds, np.where(rng.random(count) < 0.8, kinds, 0), rng.integers(0, 3, 5)]
        scores = rng.random(len(found)).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        answers = np.column_stack([low, high + 0.1, scores, np.concatenate(said)])[order]
        yield answers, np.column_stack([boxes, np.where(crowds, -2 - kinds, kinds)])


def average_precision(images, **settings):
    found = AveragePrecision(3, **settings)
    for answers, truths in images:
        found.add(answers, truths)
    return found.values()


def test_the_average_precision_is_that_of_coco():
    values = average_precision(crowded())
    # pycocotools 2.0.11 and faster-coco-eval 1.8.0 on these boxes: AP, AP50 and AP75.
    found = [values.mean(), values[:, 0].mean(), values[:, 5].mean()]
    np.testing.assert_allclose(found, COCO, atol=1e-8)


def test_intervals_are_those_of_images_that_are_drawn_again(monkeypatch):
    monkeypatch.setattr(average_precision_module, "DRAWS", 6)
    monkeypatch.setattr(average_precision_module, "_AT_ONCE", 1000)  # a few draws at a time
    images = list(crowded(20))
    found = AveragePrecision(4)  # the last class has no boxes
    for image in images:
        found.add(*image)
    weights = np.random.default_rng(0).poisson(1.0, (20, 6))
    drawn = [
        average_precision(
            one for one, count in zip(images, counts, strict=True) for _ in range(count)
        )
        for counts in weights.T
    ]
    intervals = found.intervals()
    for name, values in (
        ("mean_ap", [one.mean() for one in drawn]),
        ("ap50", [one[:, 0].mean() for one in drawn]),
        ("ap75", [one[:, 5].mean() for one in drawn]),
    ):
        np.testing.assert_allclose(intervals[name], np.percentile(values, (2.5, 97.5)), atol=1e-9)


def test_an_interval_contains_the_figure_and_narrows_with_the_images():
    widths = []
    for count in (30, 300):
        found = AveragePrecision(3)
        for image in crowded(count):
            found.add(*image)
        low, high = found.intervals()["mean_ap"]
        assert low < found.values().mean() < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    found = AveragePrecision(3, most_rows=200)
    for image in crowded():
        found.add(*image)
    assert found.intervals() == AveragePrecision(3).intervals() == {}


def test_rounding_scores_bounds_the_memory_and_hardly_changes_the_figure():
    exact, rounded = (average_precision(crowded(), most_rows=rows) for rows in (2**20, 200))
    np.testing.assert_allclose(rounded, exact, atol=2e-3)
    found = AveragePrecision(3, most_rows=200)
    answers, truths = next(crowded(1, seed=4))
    for _ in range(500):
        found.add(answers, truths)
    assert found._rows < 500


def test_a_class_without_boxes_has_no_average_precision_and_one_never_found_has_none_right():
    found = AveragePrecision(2)
    found.add(np.zeros((0, 6)), np.array([[0, 0, 1, 1, 0]]))
    values = found.values()
    assert np.isnan(values[1]).all()
    assert (values[0] == 0).all()


def test_suppression_is_that_of_tensorflow():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    middles, halves = rng.uniform(0, 1, (3, 200, 2)), rng.uniform(0.01, 0.2, (3, 200, 2))
    boxes = np.concatenate([middles - halves, middles + halves], -1).astype(np.float32)
    scores = (rng.uniform(0, 1, (3, 200, 4)) ** 2).astype(np.float32)
    for most in (5, 900):
        expected = tf.image.combined_non_max_suppression(
            boxes[:, :, None], scores, most, most, 0.5, 0.05, clip_boxes=True
        )
        for mine, theirs in zip(suppressed(boxes, scores, most, 0.5, 0.05), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
