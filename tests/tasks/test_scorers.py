"""Scorers: the same figures as from whole arrays, for any order of batches, in bounded memory."""

import gc
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn import metrics

from kft.errors import InputError
from kft.tasks import Classification, MultiLabel, Regression, Several, evaluate
from kft.tasks.evaluation import Scorer, rows
from kft.tasks.evaluation.rows import Rows

pytestmark = pytest.mark.once


def single_label(random, n, k):
    return random.integers(0, k, n), random.dirichlet(np.ones(k), n).astype("float32")


def multi_label(random, n, k):
    return random.integers(0, 2, (n, k)), random.uniform(size=(n, k)).astype("float32")


def regression(random, n, k):
    targets = random.normal(size=(n, k)).astype("float32")
    return targets, targets + random.normal(size=(n, k)).astype("float32")


TASKS = {
    "single_label": (Classification(5), single_label),
    "multi_label": (MultiLabel(5), multi_label),
    "regression": (Regression(5), regression),
}


def in_batches(scorer, targets, outputs, size=7):
    """Return the evaluation of batches in another order than the data, as for texts."""
    order = np.random.default_rng(1).permutation(len(targets))
    for start in range(0, len(targets), size):
        places = order[start : start + size]
        scorer.update(targets[places], outputs[places], places)
    return scorer.result()


def whole_of(evaluation):
    """Return all results of an evaluation."""
    arrays = (evaluation.scores.tolist(), evaluation.targets.tolist())
    return evaluation.to_dict(), evaluation.mistakes(20), str(evaluation), arrays


@pytest.mark.parametrize("task", TASKS)
def test_batches_in_any_order_give_the_figures_of_the_whole_to_the_last_digit(task):
    kind, made = TASKS[task]
    targets, outputs = made(np.random.default_rng(0), 100, 5)
    scorer = kind.scorer(None)
    assert isinstance(scorer, Scorer)
    found = in_batches(scorer, targets, outputs)
    assert whole_of(found) == whole_of(evaluate(targets, outputs, task=task))
    assert found.examples == range(100)


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_figures_of_classes_are_those_of_scikit_learn_to_the_last_digit(task):
    targets, outputs = TASKS[task][1](np.random.default_rng(0), 300, 5)
    found = in_batches(TASKS[task][0].scorer(None), targets, outputs)
    exact = outputs.astype("float64")
    truth = targets[:, None] == np.arange(5) if task == "single_label" else targets
    said = exact.argmax(axis=1)[:, None] == np.arange(5) if task == "single_label" else exact > 0.5
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, said)
    assert [one.precision for one in found.per_class] == precision.tolist()
    assert [one.recall for one in found.per_class] == recall.tolist()
    assert [one.f1 for one in found.per_class] == f1.tolist()
    areas = metrics.roc_auc_score(truth, exact, average=None)
    assert [one.roc_auc for one in found.per_class] == areas.tolist()
    averages = metrics.average_precision_score(truth, exact, average=None)
    assert [one.average_precision for one in found.per_class] == averages.tolist()


def test_figures_of_numbers_are_those_of_scikit_learn_to_the_last_digit():
    targets, outputs = regression(np.random.default_rng(0), 300, 1)
    found = in_batches(Regression(1).scorer(None), targets, outputs)
    exact = targets.astype("float64"), outputs.astype("float64")
    assert found.rmse == metrics.root_mean_squared_error(*exact)
    assert found.mae == metrics.mean_absolute_error(*exact)
    assert found.r2 == metrics.r2_score(*exact)


@pytest.mark.parametrize("task", TASKS)
def test_rows_in_a_file_give_the_figures_of_rows_in_memory(task, monkeypatch):
    kind, made = TASKS[task]
    targets, outputs = made(np.random.default_rng(0), 1000, 5)
    expected = in_batches(kind.scorer(None), targets, outputs)
    monkeypatch.setattr(Rows.__init__, "__defaults__", (2000,))
    monkeypatch.setattr(rows, "BLOCK", 1500)
    before = open_files()
    found = in_batches(kind.scorer(None), targets, outputs)
    assert open_files() == before + 1
    assert found.to_dict() == approximately(expected.to_dict())
    assert found.mistakes(20) == expected.mistakes(20)
    assert found.scores.tolist() == expected.scores.tolist()
    assert found.targets.tolist() == expected.targets.tolist()
    assert len(found.sections()) == len(expected.sections())
    assert whole_of(pickle.loads(pickle.dumps(found))) == whole_of(found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del found
        gc.collect()
    assert open_files() == before


def approximately(value):
    """Allow for the rounding of sums over blocks, which no printed figure shows."""
    if isinstance(value, dict):
        return {key: approximately(one) for key, one in value.items()}
    if isinstance(value, list):
        return [approximately(one) for one in value]
    return pytest.approx(value, rel=1e-12) if isinstance(value, float) else value


def open_files():
    return len(os.listdir("/proc/self/fd"))


MEASURE = """
import resource, sys
import numpy as np
from kft.tasks import Classification

def evaluated(count, classes=50):
    random, scorer = np.random.default_rng(0), Classification(classes).scorer(None)
    for start in range(0, count, 500):
        scores = random.random((500, classes), dtype="float32")
        scores /= scores.sum(axis=1, keepdims=True)
        scorer.update(random.integers(0, classes, 500), scores, np.arange(start, start + 500))
    return scorer.result()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

evaluated(1000).mistakes()
before = peak()
found = evaluated(200_000)
found.mistakes()
print(len(found), peak() - before)
"""


def test_evaluating_a_million_numbers_does_not_hold_them_in_memory():
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        text=True,
        capture_output=True,
        check=True,
        env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"},
    )
    count, grown = map(int, done.stdout.split())
    outputs = 200_000 * 50 * 4
    assert count == 200_000
    assert grown < outputs * 0.8, f"{grown / 1e6:.0f} MB for outputs of {outputs / 1e6:.0f} MB"


def test_mistakes_name_the_place_in_the_data_and_not_in_the_batch():
    scorer = Classification(2).scorer(["no", "yes"])
    scorer.update([0, 1], [[0.9, 0.1], [0.8, 0.2]], np.array([7, 3]))
    found = scorer.result()
    assert [one.index for one in found.mistakes()] == [3]
    assert found.examples.tolist() == [3, 7]
    with pytest.raises(InputError, match=r"scores of 1 of 1 examples are NaN .*first: example 9"):
        Classification(2).scorer(None).update([0], [[np.nan, 1]], np.array([9]))
    with pytest.raises(InputError, match="target 5 of example 9"):
        Classification(2).scorer(None).update([5], [[0.5, 0.5]], np.array([9]))
    with pytest.raises(InputError, match="`rows` has 2 places for a batch of 1"):
        Classification(2).scorer(None).update([0], [[0.5, 0.5]], np.array([1, 2]))


@pytest.mark.parametrize(
    "task", [*(kind for kind, _ in TASKS.values()), Several({"a": Regression()})]
)
def test_nothing_cannot_be_evaluated(task):
    with pytest.raises(InputError, match="nothing to evaluate: pass at least one example"):
        task.scorer(None).result()


# Several tasks on one backbone.


def several(n=40):
    random = np.random.default_rng(0)
    kinds, scores = single_label(random, n, 3)
    ages, guesses = regression(random, n, 1)
    task = Several({"kind": Classification(3), "age": Regression()})
    return task, {"kind": kinds, "age": ages}, {"kind": scores, "age": guesses}


def test_several_tasks_have_the_figures_of_each_by_its_name():
    task, targets, outputs = several()
    classes = {"kind": ("ant", "bee", "cow")}
    found = evaluate(targets, outputs, task=task, classes=classes)
    kind = evaluate(targets["kind"], outputs["kind"], task="single_label", classes=classes["kind"])
    age = evaluate(targets["age"], outputs["age"], task="regression")
    assert found.kind_accuracy == kind.accuracy
    assert found.age_rmse == found.figures["age_rmse"] == age.rmse
    assert len(found.figures) == len(kind.figures) + len(age.figures)
    assert found.figures.figure("kind_accuracy").interval == kind.accuracy_interval
    assert [table.caption for table in found.tables()] == [
        f"kind: {kind.title}", "kind: By class",
        "kind: Confusion matrix: rows are true, columns predicted", f"age: {age.title}",
    ]  # fmt: skip
    assert found.tasks["age"].mistakes(1)[0].index == found.mistakes(2)[1].index
    assert found.mistakes(1)[0].predicted.startswith("kind: ")
    assert found.to_dict()["tasks"]["kind"] == kind.to_dict()
    assert len(found.plot().axes[0].patches) == len(found.figures)


def test_several_tasks_need_a_target_and_an_output_of_each():
    task, targets, outputs = several()
    with pytest.raises(InputError, match=r"outputs are \['age'\], but a dict with kind, age"):
        evaluate(targets, {"age": outputs["age"]}, task=task)
    with pytest.raises(InputError, match="targets are ndarray, but a dict"):
        evaluate(targets["age"], outputs, task=task)
    with pytest.raises(InputError, match=r"task 'kind': .*look like logits"):
        evaluate(targets, {**outputs, "kind": outputs["kind"] * 9}, task=task)


def test_labels_count_from_the_tasks_own_threshold():
    """An evaluation counts the same labels that `predict` and a server return."""
    scores = np.array([[0.3, 0.1], [0.2, 0.6], [0.05, 0.7]], "float32")
    targets = np.array([[1, 0], [0, 1], [0, 1]], "float32")
    task = MultiLabel(2, threshold=0.25)
    scorer = task.scorer(["a", "b"])
    scorer.update(targets, scores)
    found = scorer.result()
    said = [set(labels) for labels in task.predictions(["1", "2", "3"], scores, ["a", "b"]).labels]
    counted = [{found.classes[i] for i in np.flatnonzero(row)} for row in found.predicted]
    assert counted == said == [{"a"}, {"b"}, {"b"}]
    assert found.subset_accuracy == 1.0
    assert not found.mistakes()
    (metric,) = task.metrics()
    metric.update_state(targets, scores)
    assert float(metric.result()) == 1.0
