"""Operating points: the choice of the threshold, its figures, and groups of examples."""

import json
import math

import numpy as np
import pytest

from kft.errors import InputError
from kft.tasks.evaluation import evaluate
from kft.tasks.evaluation.intervals import score_interval

pytestmark = pytest.mark.once

# Of the class: 0.9, 0.6, 0.4, 0.2. Others: 0.8, 0.5, 0.3, 0.3, 0.1.
SCORES = np.array([0.9, 0.6, 0.4, 0.2, 0.8, 0.5, 0.3, 0.3, 0.1])
TARGETS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0])
SEX = ["f", "f", "m", "m", "f", "m", "m", "f", "m"]


@pytest.fixture
def lesions():
    scores = np.stack([1 - SCORES, SCORES], axis=1)
    return evaluate(TARGETS, scores, task="single_label", classes=["benign", "malignant"])


@pytest.mark.parametrize(
    ("aim", "threshold", "sensitivity", "specificity"),
    [
        ({"specificity": 0.8}, 0.6, 2 / 4, 4 / 5),  # four of five others score less than 0.6
        ({"specificity": 0.6}, 0.4, 3 / 4, 3 / 5),
        ({"specificity": 0.3}, 0.4, 3 / 4, 3 / 5),  # the two at 0.3 stay together
        ({"specificity": 1.0}, 0.9, 1 / 4, 1.0),
        ({"specificity": 0.0}, 0.1, 1.0, 0.0),
        ({"sensitivity": 0.75}, 0.4, 3 / 4, 3 / 5),
        ({"sensitivity": 0.7}, 0.4, 3 / 4, 3 / 5),
        ({"sensitivity": 1.0}, 0.2, 1.0, 1 / 5),
        ({"threshold": 0.5}, 0.5, 2 / 4, 3 / 5),
    ],
    ids=str,
)
def test_the_threshold_meets_its_aim_at_the_least_cost(
    lesions, aim, threshold, sensitivity, specificity
):
    found = lesions.operating_point("malignant", **aim)
    assert found.threshold == pytest.approx(threshold)
    assert found.sensitivity == pytest.approx(sensitivity)
    assert found.specificity == pytest.approx(specificity)


def test_precision_counts_what_is_called(lesions):
    assert lesions.operating_point("malignant", threshold=0.5).precision == 2 / 4
    never = lesions.operating_point("malignant", threshold=1.0)
    assert (never.sensitivity, never.specificity, never.precision) == (0, 1, None)


def test_a_specificity_that_no_score_reaches_calls_nothing():
    scores = np.array([[0.8, 0.2], [0.1, 0.9]])
    found = evaluate([1, 0], scores, task="single_label").operating_point("1", specificity=1.0)
    assert math.isinf(found.threshold)
    assert (found.sensitivity, found.specificity) == (0, 1)


def test_the_threshold_of_other_data_is_taken_even_if_it_calls_nothing(lesions):
    found = lesions.operating_point("malignant", threshold=float("inf"))
    assert (found.sensitivity, found.specificity, found.precision) == (0, 1, None)


def test_intervals_are_those_of_what_is_counted(lesions):
    found = lesions.operating_point("malignant", threshold=0.5)
    assert found.figures.figure("sensitivity").interval == score_interval(2 / 4, 4)
    assert found.figures.figure("specificity").interval == score_interval(3 / 5, 5)


def test_groups_share_the_threshold(lesions):
    found = lesions.operating_point("malignant", specificity=0.8, groups={"sex": SEX})
    women, men = found.groups["sex"]["f"], found.groups["sex"]["m"]
    assert women.threshold == men.threshold == found.threshold
    assert (women.sensitivity, women.specificity) == (1.0, 1 / 2)
    assert (men.sensitivity, men.specificity) == (0.0, 1.0)
    assert women.examples.tolist() == [0, 1, 4, 7]


def test_a_group_without_examples_of_the_class_has_no_sensitivity(lesions):
    site = ["back"] * 4 + ["hand"] * 5
    found = lesions.operating_point("malignant", threshold=0.5, groups={"site": site})
    assert found.groups["site"]["hand"].sensitivity is None
    assert found.groups["site"]["back"].specificity is None
    assert "n/a" in str(found)
    assert len(found.plot().axes) == 2


def test_it_shows_its_groups_and_is_plain_json(lesions):
    found = lesions.operating_point("malignant", threshold=0.5, groups={"sex": SEX})
    assert "By sex" in str(found)
    assert "By sex" in found._repr_html_()
    said = json.loads(json.dumps(found.to_dict()))
    assert said["groups"]["sex"]["m"]["sensitivity"] == 0.0
    labels = [label.get_text() for label in found.plot().axes[0].get_yticklabels()]
    assert labels == ["all 9", "f (4)", "m (5)"]


def test_several_labels_have_operating_points_too():
    truth, scores = np.stack([TARGETS, 1 - TARGETS], 1), np.stack([SCORES, 1 - SCORES], 1)
    found = evaluate(truth, scores, task="multi_label", classes=["red", "round"])
    assert found.operating_point("red", specificity=0.8).sensitivity == 2 / 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "mole", "threshold": 0.5}, "not a class: pass one of 'benign', 'malignant'"),
        ({}, "pass one of specificity, sensitivity, threshold: 0 were given"),
        ({"threshold": 0.5, "specificity": 0.9}, "2 were given"),
        ({"specificity": 90}, "`specificity=90`: pass a fraction from 0 to 1"),
        ({"threshold": 0.5, "groups": {"sex": ["f"]}}, "'sex' has 1 values for 9 examples"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused(lesions, arguments, said):
    with pytest.raises(InputError, match=said):
        lesions.operating_point(**{"name": "malignant", **arguments})


def test_a_threshold_needs_examples_to_be_chosen_on():
    only = evaluate([1, 1], np.array([[0.2, 0.8], [0.4, 0.6]]), task="single_label")
    with pytest.raises(InputError, match="no example outside the class"):
        only.operating_point("1", specificity=0.9)
    with pytest.raises(InputError, match="no example of the class"):
        only.operating_point("0", sensitivity=0.9)
