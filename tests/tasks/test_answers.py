"""Answers of tasks: equal in NumPy and TensorFlow, and described correctly."""

import numpy as np
import pytest

from kft.answers import Answers, NumpyOps, Ranking, Rules, Tensor, TensorFlowOps
from kft.errors import InputError
from kft.tasks import Classification, MultiLabel, Regression, Several
from kft.tasks.saved import described, restored
from tests.map_task import MapTask, PlainMap
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
SCORES = np.array([[0.2, 0.5, 0.5], [0.9, 0.0, 0.1], [0.1, 0.2, 0.3]], "float32")
MAP = RNG.normal(size=(3, 4, 5, 3)).astype("float32")

CASES = {
    "one label": (Classification(3), SCORES, ("a", "é", "猫")),
    "no names": (Classification(3), SCORES, None),
    "labels": (MultiLabel(3), SCORES, ("a", "b", "c")),
    "a value": (Regression(), SCORES[:, :1], None),
    "values": (Regression(3), SCORES, None),
    "map": (MapTask(), MAP, None),
    "plain": (PlainMap(), MAP, None),
    "several": (
        Several({"kind": MultiLabel(3), "where": MapTask()}),
        {"kind": SCORES, "where": MAP},
        {"kind": ("a", "b", "c")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_task_answers_the_same_in_both_libraries(case):
    import tensorflow as tf

    task, outputs, classes = CASES[case]
    one = task.answer(outputs, classes, NumpyOps())
    other = task.answer(tf.nest.map_structure(tf.constant, outputs), classes, TensorFlowOps())
    assert list(one) == list(other)
    for name, value in one.items():
        found = other[name].numpy()
        assert value.dtype == found.dtype, name
        np.testing.assert_array_equal(value, found)


def test_equal_scores_keep_their_order_and_labels_join_from_the_threshold():
    answer = Classification(3).answer(SCORES, ("a", "b", "c"), NumpyOps())
    assert answer["classes"][0].tolist() == [b"b", b"c", b"a"]
    assert answer["label"].tolist() == [b"b", b"a", b"c"]
    answer = MultiLabel(3, threshold=0.2).answer(SCORES, ("a", "b", "c"), NumpyOps())
    assert answer["label"].tolist() == [b"b|c|a", b"a", b"c|b"]
    answer = MultiLabel(3).answer(SCORES, ("a", "b", "c"), NumpyOps())
    assert answer["label"].tolist() == [b"b|c", b"a", b""]


@pytest.mark.parametrize("kind", [NumpyOps, TensorFlowOps])
def test_the_operations_are_what_they_say(kind):
    ops = kind()
    values = np.array([[3, 1, 3], [0, 2, 1]], "int64")
    assert ops.rank(values) == 2
    assert list(np.asarray(ops.shape(values))) == [2, 3]
    assert np.asarray(ops.descending(values)).tolist() == [[0, 2, 1], [1, 2, 0]]
    assert np.asarray(ops.largest(values)).tolist() == [0, 1]
    assert np.asarray(ops.cast(values, "float32")).dtype == np.float32
    names = ops.labels(["x", "é"], np.array([1, 0]))
    chosen = np.asarray(ops.where(np.array([True, False]), names, ""))
    assert chosen.tolist() == ["é".encode(), b""]
    for given, served in (("float16", "float32"), ("bool", "int32"), ("uint8", "int32")):
        assert np.asarray(ops.served(np.zeros(2, given))).dtype == np.dtype(served)
    assert np.asarray(ops.served(values)).dtype == np.int64
    with pytest.raises(TypeError, match="cannot return a tensor of the type complex64"):
        ops.served(np.zeros(2, "complex64"))


def test_two_tasks_with_one_name_are_refused():
    class Other(PlainMap):
        def answer(self, outputs, classes, ops):
            return {"b_outputs": outputs}

    task = Several({"a": Other(), "a_b": PlainMap()})
    with pytest.raises(InputError, match="two tasks answer with `a_b_outputs`"):
        task.answer({"a": MAP, "a_b": MAP}, None, NumpyOps())


def test_classes_are_as_many_as_scores():
    with pytest.raises(InputError, match="2 classes, but the model gives 3 scores"):
        Classification(3).answer(SCORES, ("a", "b"), NumpyOps())


@pytest.mark.parametrize("threshold", [0, 1, -0.1, float("nan"), "0.5", True])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(InputError, match="`threshold="):
        MultiLabel(2, threshold=threshold)


FLOAT, NAMES = Tensor("float32", 2), Tensor("string", 2)


@pytest.mark.parametrize(
    ("outputs", "rules", "said"),
    [
        ({"a b": FLOAT}, Rules(), "cannot be the name of an output"),
        ({"a": FLOAT}, Rules((Ranking("a", "a"),)), "its rule needs string"),
        (
            {"a": NAMES, "b": FLOAT, "c": FLOAT},
            Rules((Ranking("a", "b"), Ranking("a", "c"))),
            "two rules for one",
        ),
        (
            {"a": NAMES, "b": FLOAT},
            Rules((Ranking("a", "b", threshold=float("inf")),)),
            "threshold",
        ),
        ({"a": NAMES, "b": FLOAT}, Rules((Ranking("a", "b"),), classify=True), "without a ranking"),
    ],
)
def test_rules_that_do_not_fit_their_outputs_are_refused(outputs, rules, said):
    with pytest.raises(InputError, match=said):
        Answers(outputs, rules)


def test_a_description_survives_json():
    import json

    outputs = {"classes": NAMES, "scores": FLOAT, "label": Tensor("string", 1)}
    rules = Rules((Ranking("classes", "scores", "label", 0.5),), classify=True)
    answers = Answers(outputs, rules)
    assert Answers.from_json(json.loads(json.dumps(answers.to_json()))) == answers
    assert answers.shown == ("label",)


@pytest.mark.parametrize(
    "task",
    [
        MultiLabel(3, threshold=0.3),
        Several({"kind": Classification(3), "tags": MultiLabel(2, threshold=0.7)}),
        Several({"where": MapTask(classes=2), "age": Regression(hidden=(4,))}),
    ],
)
def test_a_saved_task_is_built_again_with_all_its_arguments(task):
    assert restored(described(task), [MapTask]) == task


def test_a_short_name_stays_short():
    assert described(MultiLabel(3)) == "multi_label"
    assert described(Classification(3, hidden=(8,))) == "single_label"


def test_a_recipe_keeps_what_its_head_was_put_on():
    pooled = TinyRecipe(num_classes=2, image_size=(16, 16)).head_input
    assert pooled.shape == (None, 8)
    both = TinyRecipe(task=Several({"a": Regression(), "b": MapTask()}), image_size=(16, 16))
    assert {name: len(one.shape) for name, one in both.head_input.items()} == {
        "vector": 2,
        "map": 4,
    }
    assert type(both.pretrained().task) is Several
