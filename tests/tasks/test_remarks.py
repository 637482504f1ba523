"""A model that gives every input the same answer is remarked on wherever its evaluation is shown."""

import numpy as np
import pytest

from kft.report.quality import summary
from kft.report.source import Source
from kft.tasks import Classification, MultiLabel, Regression, Several, evaluate
from kft.tasks.evaluation import Evaluation

pytestmark = pytest.mark.once

RANDOM = np.random.default_rng(0)
CLASSES = ["a\x1b[1m", "<b>", "c"]
LABELS = np.repeat([0, 1, 2], 8)
ALWAYS = np.tile([0.2, 0.7, 0.1], (24, 1))
MARKS = np.eye(3, dtype=int)[LABELS]
NUMBERS = np.linspace(0, 50, 24)


def of(targets, outputs, task) -> Evaluation:
    return evaluate(np.asarray(targets), np.asarray(outputs), task=task, classes=CLASSES)


def page_of(found):
    source = Source(history={}, stages_table_html="", evaluation=found, examples=None, facts={})
    return str(summary(source).body)


def test_one_class_for_all_is_remarked_on_in_text_html_dict_and_on_the_page():
    found = of(LABELS, ALWAYS, Classification(3))
    (remark,) = found.remarks
    assert remark.startswith("All 24 examples are predicted as '<b>', but 3 classes occur: ")
    assert "kft find-lr" in remark
    assert "balance" not in remark
    assert "Warning: All 24 examples" in str(found)
    assert "All 24 examples are predicted as &#x27;&lt;b&gt;&#x27;" in found._repr_html_()
    assert found.to_dict()["remarks"] == [remark]
    page = page_of(found)
    assert '<p class="notice">All 24 examples are predicted as &#x27;&lt;b&gt;' in page
    found = of(LABELS, ALWAYS[:, [1, 0, 2]], Classification(3))
    assert "\x1b" not in str(found)


def test_balancing_is_advised_if_the_class_is_frequent():
    labels = np.where(LABELS == 2, 2, 1)
    assert "balance='weights'" in of(labels, ALWAYS, Classification(3)).remarks[0]


@pytest.mark.parametrize(
    ("targets", "outputs"),
    [
        (LABELS, np.roll(ALWAYS, 1, axis=0) + np.eye(24, 3)),
        (np.ones(24, int), ALWAYS),
        (LABELS[::4], ALWAYS[::4]),
    ],
    ids=["two classes predicted", "one class occurs", "few examples"],
)
def test_answers_that_may_be_right_are_not_remarked_on(targets, outputs):
    outputs = outputs / outputs.sum(axis=1, keepdims=True)
    found = of(targets, outputs, Classification(3))
    assert found.remarks == ()
    assert "Warning" not in str(found) + found._repr_html_()
    assert "notice" not in page_of(found)


@pytest.mark.parametrize(
    ("row", "answer"), [((0.2, 0.1, 0.3), "no label"), ((0.2, 0.9, 0.8), "the labels '<b>', 'c'")]
)
def test_the_same_labels_for_all_are_remarked_on(row, answer):
    (remark,) = of(MARKS, np.tile(row, (24, 1)), MultiLabel(3)).remarks
    assert f"All 24 examples are predicted to have {answer}: " in remark
    assert of(MARKS, MARKS.astype(float), MultiLabel(3)).remarks == ()
    assert of(np.tile(MARKS[:1], (24, 1)), np.tile(row, (24, 1)), MultiLabel(3)).remarks == ()


def test_nearly_the_same_number_for_all_is_remarked_on():
    noise = RANDOM.normal(0, 0.01, 24)
    (remark,) = of(NUMBERS, 25 + noise, Regression(1)).remarks
    assert "nearly equal" in remark
    assert of(NUMBERS, NUMBERS + 100 * noise, Regression(1)).remarks == ()
    assert of(np.full(24, 3.0), 25 + noise, Regression(1)).remarks == ()
    two = np.stack([NUMBERS, NUMBERS], axis=1)
    assert of(two, np.stack([NUMBERS, 25 + noise], axis=1), Regression(2)).remarks == ()


def test_the_task_of_several_is_named():
    task = Several({"kind": Classification(3), "age": Regression(1)})
    found = evaluate(
        {"kind": LABELS, "age": NUMBERS},
        {"kind": ALWAYS, "age": NUMBERS[:, None]},
        task=task,
        classes={"kind": CLASSES},
    )
    (remark,) = found.remarks
    assert remark.startswith("kind: All 24 examples are predicted as")
