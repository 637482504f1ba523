"""Every figure against a case computed by hand, including undefined figures."""

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console
from sklearn import metrics

from kft.errors import InputError
from kft.tasks.evaluation import Mistake, evaluate

pytestmark = pytest.mark.once

# Five examples, three classes. Answers: a, b, b, c, c; so right, wrong, right, wrong, right.
TARGETS = np.array([0, 0, 1, 1, 2])
SCORES = np.array(
    [[0.7, 0.2, 0.1], [0.4, 0.6, 0.0], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.2, 0.2, 0.6]]
)


@pytest.fixture
def animals():
    return evaluate(TARGETS, SCORES, task="single_label", classes=["ant", "bee", "cow"])


def test_accuracy_and_confusion_matrix_are_the_hand_computed_ones(animals):
    assert animals.accuracy == 3 / 5
    assert animals.confusion_matrix.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert animals.baseline_accuracy == 2 / 5


def test_figures_of_each_class_are_the_hand_computed_ones(animals):
    ant, bee, cow = animals.per_class
    assert (ant.precision, ant.recall, ant.support, ant.predicted) == (1, 1 / 2, 2, 1)
    assert (bee.precision, bee.recall, bee.support, bee.predicted) == (1 / 2, 1 / 2, 2, 2)
    assert (cow.precision, cow.recall, cow.support, cow.predicted) == (1 / 2, 1, 1, 2)
    assert [one.f1 for one in animals.per_class] == pytest.approx([2 / 3, 1 / 2, 2 / 3])
    # bee: its examples score 0.8 and 0.3, the others 0.2, 0.6, 0.2: 5 of the 6 pairs are in order.
    assert [one.roc_auc for one in animals.per_class] == pytest.approx([1, 5 / 6, 1])
    # bee: found at ranks 1 and 3, so precision 1/1 and 2/3 there.
    assert [one.average_precision for one in animals.per_class] == pytest.approx([1, 5 / 6, 1])


def test_averages_are_means_over_the_classes(animals):
    assert animals.precision == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert animals.recall == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert animals.f1 == pytest.approx((2 / 3 + 1 / 2 + 2 / 3) / 3)
    assert animals.roc_auc == pytest.approx((1 + 5 / 6 + 1) / 3)


def test_calibration_error_is_the_hand_computed_one(animals):
    # Confidences 0.7 right | 0.6 wrong, 0.6 right | 0.8 right | 0.4 wrong: gaps 0.3, 0.1, 0.2, 0.4.
    expected = (1 * 0.3 + 2 * 0.1 + 1 * 0.2 + 1 * 0.4) / 5
    assert animals.calibration_error == pytest.approx(expected)
    filled = [one for one in animals.reliability if one.count]
    assert [one.count for one in filled] == [1, 2, 1, 1]
    assert [one.accuracy for one in filled] == [0, 0.5, 1, 1]
    assert [one.confidence for one in filled] == pytest.approx([0.4, 0.6, 0.7, 0.8])
    assert len(animals.reliability) == 15


def test_calibration_bins_include_their_upper_edge_and_zero():
    # 1/15 lies on an edge: (0, 1/15] includes it, and also 0, as in Guo et al. 2017.
    from kft.tasks.evaluation.calibration import Reliability

    reliability = Reliability()
    reliability.add(np.array([0.0, 1 / 15, 0.07, 1.0]), np.array([True] * 4))
    assert [one.count for one in reliability.bins()] == [2, 1] + [0] * 12 + [1]


def test_a_perfectly_sure_and_right_model_has_no_calibration_error_and_one_always_wrong_has_one():
    assert evaluate([0, 1], np.eye(2), task="single_label").calibration_error == 0
    assert evaluate([1, 0], np.eye(2), task="single_label").calibration_error == 1


def test_accuracy_interval_is_wilsons():
    # 8 right of 10: the textbook interval is 0.490 to 0.943.
    scores = np.eye(2)[[0] * 8 + [1] * 2]
    low, high = evaluate([0] * 10, scores, task="single_label").accuracy_interval
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert evaluate([0], np.eye(2)[:1], task="single_label").accuracy_interval[1] <= 1


def test_mistakes_are_the_surest_wrong_answers_first(animals):
    assert animals.mistakes() == (Mistake(1, "ant", "bee", 0.6), Mistake(3, "bee", "cow", 0.4))
    assert animals.mistakes(limit=1) == animals.mistakes()[:1]


def test_ties_go_to_the_first_class_and_count_half_in_the_auc():
    tied = evaluate([0, 1, 1, 0], np.full((4, 2), 0.5), task="single_label")
    assert tied.predicted.tolist() == [0, 0, 0, 0]
    assert tied.accuracy == 0.5
    assert tied.roc_auc == 0.5
    assert [one.index for one in tied.mistakes()] == [1, 2]


def test_a_class_absent_from_the_data_is_left_out_of_the_averages_and_still_counts_as_wrong():
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
    found = evaluate([0, 1, 1], scores, task="single_label")
    absent = found.per_class[2]
    assert (absent.recall, absent.roc_auc, absent.average_precision) == (None, None, None)
    assert (absent.precision, absent.f1, absent.support, absent.predicted) == (0, 0, 0, 1)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.recall == pytest.approx((1 + 1 / 2) / 2)
    assert found.precision == pytest.approx(1)
    assert found.f1 == pytest.approx((1 + 2 / 3) / 2)


def test_a_class_neither_there_nor_predicted_has_no_figures():
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]])
    never = evaluate([0, 1], scores, task="single_label").per_class[2]
    assert (never.precision, never.recall, never.f1) == (None, None, None)


def test_a_class_that_is_never_predicted_counts_with_precision_zero():
    scores = np.array([[0.9, 0.1], [0.8, 0.2]])
    found = evaluate([0, 1], scores, task="single_label")
    assert found.per_class[1].precision is None
    assert found.per_class[1].f1 == 0
    assert found.precision == pytest.approx((1 / 2 + 0) / 2)


def test_with_one_class_in_the_data_the_auc_is_not_defined():
    found = evaluate([1, 1], [[0.3, 0.7], [0.6, 0.4]], task="single_label")
    assert found.roc_auc is None
    assert found.recall == 0.5
    assert "n/a" in str(found)


def test_figures_agree_with_scikit_learn_on_random_data():
    random = np.random.default_rng(0)
    scores = random.dirichlet(np.ones(6), size=300)
    targets = random.integers(0, 5, size=300)  # class 5 never occurs
    found = evaluate(targets, scores, task="single_label")
    answers = scores.argmax(axis=1)
    options = {"labels": range(5), "average": "macro", "zero_division": 0}
    assert found.accuracy == metrics.accuracy_score(targets, answers)
    assert found.precision == pytest.approx(metrics.precision_score(targets, answers, **options))
    assert found.recall == pytest.approx(metrics.recall_score(targets, answers, **options))
    assert found.f1 == pytest.approx(metrics.f1_score(targets, answers, **options))


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_one_column_is_the_probability_of_the_second_of_two_classes(shape):
    found = evaluate([0, 1, 1], np.array([0.2, 0.9, 0.4]).reshape(shape), task="single_label")
    assert found.scores.tolist() == [[0.8, 0.2], [1 - 0.9, 0.9], [0.6, 0.4]]
    assert found.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "targets", [np.eye(3)[TARGETS], TARGETS[:, None], TARGETS.astype("float32")]
)
def test_targets_may_be_one_hot_or_columns_or_whole_floats(targets, animals):
    same = evaluate(targets, SCORES.astype("float32"), task="single_label")
    assert same.confusion_matrix.tolist() == animals.confusion_matrix.tolist()


def test_half_precision_probabilities_are_close_enough():
    scores = np.random.default_rng(0).dirichlet(np.ones(200), size=50).astype("float16")
    assert evaluate(np.arange(50), scores, task="single_label").accuracy <= 1


# Two labels: x is right on both examples, y is missed on the first and wrongly predicted on the second.
MULTI_TARGETS = np.array([[1, 1], [0, 0], [1, 0]])
MULTI_SCORES = np.array([[0.9, 0.2], [0.1, 0.7], [0.6, 0.4]])


def test_multi_label_figures_are_the_hand_computed_ones():
    found = evaluate(MULTI_TARGETS, MULTI_SCORES, task="multi_label", classes=["x", "y"])
    assert found.predicted.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert found.subset_accuracy == pytest.approx(1 / 3)
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)
    assert found.f1_micro == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert found.mean_average_precision == pytest.approx((1 + 1 / 3) / 2)
    assert found.roc_auc == pytest.approx((1 + 0) / 2)
    # Confidences .9 right, .8 wrong, .9 right, .7 wrong, .6 right, .6 right.
    expected = (2 * 0.1 + 0.8 + 0.7 + 2 * 0.4) / 6
    assert found.calibration_error == pytest.approx(expected)
    assert found.mistakes() == (Mistake(0, "y", "not y", 0.8), Mistake(1, "not y", "y", 0.7))


def test_multi_label_without_any_label_has_no_averages():
    found = evaluate(np.zeros((2, 2)), np.full((2, 2), 0.1), task="multi_label")
    assert found.subset_accuracy == 1
    assert (found.f1, found.f1_micro, found.mean_average_precision, found.roc_auc) == (None,) * 4
    assert found.mistakes() == ()


def test_multi_label_works_with_a_single_label():
    found = evaluate([[1], [0]], [[0.7], [0.6]], task="multi_label", classes=["spam"])
    assert (found.per_class[0].precision, found.per_class[0].recall) == (0.5, 1)


def test_regression_figures_are_the_hand_computed_ones():
    found = evaluate([1.0, 2.0, 3.0], [1.0, 2.0, 5.0], task="regression")
    assert found.rmse == pytest.approx(math.sqrt(4 / 3))
    assert found.mae == pytest.approx(2 / 3)
    assert found.r2 == pytest.approx(1 - 4 / 2)
    assert found.mistakes() == (Mistake(2, "3", "5", 2.0),)


def test_regression_averages_its_outputs_and_leaves_a_constant_one_out_of_r2():
    targets = [[0.0, 7.0], [2.0, 7.0]]
    found = evaluate(targets, [[0.0, 7.0], [1.0, 10.0]], task="regression")
    assert found.rmse == pytest.approx((math.sqrt(1 / 2) + math.sqrt(9 / 2)) / 2)
    assert found.mae == pytest.approx((1 / 2 + 3 / 2) / 2)
    assert found.r2 == pytest.approx(1 - 1 / 2)
    assert [one.size for one in found.mistakes()] == [3.0]


@pytest.mark.parametrize("targets", [[4.0, 4.0], [4.0]])
def test_r2_of_constant_targets_is_not_defined(targets):
    assert evaluate(targets, [5.0] * len(targets), task="regression").r2 is None


NAN_SCORES = np.where(np.arange(15).reshape(5, 3) == 4, np.nan, SCORES)


@pytest.mark.parametrize(
    ("targets", "scores", "arguments", "message"),
    [
        (TARGETS, NAN_SCORES, {}, "scores of 1 of 5 examples are NaN .*first: example 1.*diverged"),
        (TARGETS, SCORES * 5, {}, "scores go from 0 to 4.*look like logits"),
        (TARGETS, SCORES * 0.5, {}, "of 5 of 5 examples do not sum to 1 .row 0: 0.5.*multi_label"),
        (TARGETS, SCORES[:4], {}, "5 targets for 4 rows of scores"),
        ([], np.empty((0, 3)), {}, "scores are empty"),
        ([0, 1, 2, 3, 0], SCORES, {}, "target 3 of example 3 is not a class index.*0 to 2"),
        ([0, -1, 2, 1, 0], SCORES, {}, "target -1 of example 1"),
        ([0, 0.5, 2, 1, 0], SCORES, {}, "target 0.5 of example 1"),
        (np.full((5, 3), 1 / 3), SCORES, {}, "not one-hot.*soft targets"),
        (np.zeros((5, 2)), SCORES, {}, r"targets have shape \(5, 2\)"),
        (TARGETS, SCORES, {"classes": ["a", "b"]}, "2 classes for scores with 3 columns"),
        (["a", "b", "c", "a", "b"], SCORES, {}, "targets are not numbers"),
        (TARGETS, SCORES, {"task": "single"}, "task='single': expected 'single_label'"),
        (MULTI_TARGETS, MULTI_SCORES * 3, {"task": "multi_label"}, "logits: apply a sigmoid"),
        (
            MULTI_TARGETS * 2,
            MULTI_SCORES,
            {"task": "multi_label"},
            "target 2 of example 0, label 0",
        ),
        (MULTI_TARGETS[:, :1], MULTI_SCORES, {"task": "multi_label"}, "one 0 or 1 for each score"),
        ([1.0, np.inf], [1.0, 2.0], {"task": "regression"}, "targets of 1 of 2 examples are NaN"),
        ([1.0, 2.0], np.ones((2, 3)), {"task": "regression"}, "as many predictions as targets"),
        ([1.0], [1.0], {"task": "regression", "classes": ["a"]}, "numbers have no classes"),
    ],
)
def test_wrong_input_is_an_error_that_says_what_to_do(targets, scores, arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate(targets, scores, **{"task": "single_label"} | arguments)


def test_a_figure_of_another_task_is_an_attribute_error_that_names_the_task(animals):
    with pytest.raises(AttributeError, match="a single_label evaluation has no 'rmse': it has acc"):
        animals.rmse  # noqa: B018
    with pytest.raises(AttributeError, match="a regression evaluation has no 'accuracy'"):
        evaluate([1.0], [1.0], task="regression").accuracy  # noqa: B018


def all_tasks():
    return [
        evaluate(TARGETS, SCORES, task="single_label"),
        evaluate(MULTI_TARGETS, MULTI_SCORES, task="multi_label"),
        evaluate([1.0, 2.0], [1.0, 3.0], task="regression"),
    ]


@pytest.mark.parametrize("found", all_tasks(), ids=lambda found: found.task)
def test_to_dict_is_json_and_holds_every_figure(found):
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["task"] == found.task
    assert read["examples"] == len(found)
    assert {name: read[name] for name in found.figures} == found.figures
    assert all(getattr(found, name) == value for name, value in found.figures.items())


@pytest.mark.parametrize("found", all_tasks(), ids=lambda found: found.task)
def test_every_figure_is_printed_in_the_terminal_and_in_the_notebook(found):
    terminal = Console(file=io.StringIO(), width=100)
    terminal.print(found)
    for shown in (str(found), found._repr_html_(), terminal.file.getvalue()):
        for value in found.figures.values():
            assert (f"{value:.4g}" if found.task == "regression" else f"{value:.4f}") in shown
    assert f"examples={len(found)}" in repr(found)


def test_the_caption_of_a_narrow_table_stays_on_one_line():
    found = evaluate(TARGETS, SCORES, task="single_label")
    terminal = Console(file=io.StringIO(), width=100)
    terminal.print(found)
    for shown in (str(found), terminal.file.getvalue()):
        assert "Confusion matrix: rows are true, columns predicted" in shown.splitlines()


def test_arrays_of_an_evaluation_are_its_own_and_read_only():
    scores = SCORES.copy()
    found = evaluate(TARGETS, scores, task="single_label")
    scores[:] = 0
    assert found.scores.tolist() == SCORES.tolist()
    with pytest.raises(ValueError, match="read-only"):
        found.scores[0, 0] = 1


def test_hostile_class_names_reach_neither_the_terminal_nor_the_page():
    names = ["<script>alert(1)</script>", "[red]markup[/red]", "\x1b[31mescape"]
    found = evaluate(TARGETS, SCORES, task="single_label", classes=names)
    assert "\x1b" not in str(found)
    assert "[red]markup[/red]" in str(found)
    assert "<script>" not in found._repr_html_()


def test_with_many_classes_the_weakest_are_shown():
    scores = np.eye(40)
    targets = np.arange(40)
    targets[7] = 8
    found = evaluate(targets, scores, task="single_label", classes=[f"class{i}" for i in range(40)])
    shown = str(found)
    assert "30 classes of 40 with the lowest F1" in shown
    assert "class7 " in shown
    assert "class39 " not in shown
