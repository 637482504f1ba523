"""Accepted differences of answers: rounding, and labels that depend on rounding."""

import numpy as np
import pytest

from kft.answers import Answers, Ranking, Rules, Tensor
from kft.export.comparison import compare

pytestmark = pytest.mark.once

TOLERANCE = {"value": 1e-5, "scores": 1e-5}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({"value": [1.0]}, {"value": [1.0 + 5e-6]}, None),
        ({"value": [1.0]}, {"value": [1.0 + 5e-5]}, "differs"),
        ({"value": [1.0]}, {"value": [np.nan]}, "differs from the prediction by inf"),
        ({"value": [np.nan]}, {"value": [1.0]}, "differs from the prediction by inf"),
        ({"value": [np.nan, 1.0]}, {"value": [np.nan, 1.0]}, None),
        ({"value": [np.nan, 1.0]}, {"value": [np.nan, 1.1]}, "differs from the prediction by 0.1"),
        ({"value": [np.inf]}, {"value": [np.inf]}, "differs"),
        ({"value": [1.0]}, {"value": [1.0, 1.0]}, "shape"),
        ({"value": [1.0]}, {"scores": [1.0]}, "it answers"),
        ({"unnamed": [1.0]}, {"unnamed": [1.0]}, None),
        ({"unnamed": [1.0]}, {"unnamed": [np.nextafter(1.0, 2)]}, "(0 is allowed)"),
    ],
)
def test_numbers_may_differ_by_the_tolerance_alone(before, after, reason):
    before, after = ({k: np.array(v) for k, v in answer.items()} for answer in (before, after))
    answers = Answers({name: Tensor("float32", 1) for name in before})
    difference = compare(before, after, answers, TOLERANCE)
    assert difference is None if reason is None else reason in difference


def ranked(threshold: float | None = None) -> Answers:
    outputs = {
        "classes": Tensor("string", 2),
        "scores": Tensor("float32", 2),
        "label": Tensor("string", 1),
    }
    return Answers(outputs, Rules((Ranking("classes", "scores", "label", threshold),)))


def answer(classes: list[bytes], scores: list[float], label: bytes) -> dict[str, np.ndarray]:
    return {
        "classes": np.array([classes], object),
        "scores": np.array([scores], np.float32),
        "label": np.array([label], object),
    }


NEAR, FAR = [0.5, 0.499998], [0.6, 0.4]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (answer([b"a", b"b"], NEAR, b"a"), answer([b"b", b"a"], NEAR, b"b"), None),
        (answer([b"a", b"b"], NEAR, b"a"), answer([b"a", b"b"], NEAR, b"b"), "label is b'b'"),
        (answer([b"a", b"b"], FAR, b"a"), answer([b"b", b"a"], FAR, b"b"), "score differs"),
        (answer([b"a", b"b"], FAR, b"a"), answer([b"a", b"c"], FAR, b"a"), "is b'c'"),
        (answer([b"a", b"b"], FAR, b"a"), answer([b"a", b"b"], FAR, b"b"), "label is b'b'"),
        (answer([b"a", b"b"], FAR, b"c"), answer([b"a", b"b"], FAR, b"a"), "label is b'a'"),
    ],
)
def test_a_label_may_change_only_between_classes_of_equal_scores(before, after, reason):
    difference = compare(before, after, ranked(), TOLERANCE)
    assert difference is None if reason is None else reason in difference


@pytest.mark.parametrize(
    ("score", "label", "reason"),
    [(0.500001, b"a", None), (0.500001, b"", "label is"), (0.51, b"a", "differs")],
)
def test_several_labels_may_change_only_at_the_threshold(score, label, reason):
    below = answer([b"a", b"b"], [0.499999, 0.1], b"")
    difference = compare(below, answer([b"a", b"b"], [score, 0.1], label), ranked(0.5), TOLERANCE)
    assert difference is None if reason is None else reason in difference
