"""`kft.data` handles tasks as objects: only the kinds name tasks."""

import ast
from pathlib import Path

import numpy as np
import pytest

from kft import InputError
from kft.data.kinds import SingleLabels, kind_named
from kft.data.read import read
from kft.tasks import Classification, MultiLabel, Regression, Several, Task

pytestmark = pytest.mark.once

DATA = Path(__file__).parents[2] / "kft" / "data"
NAMES = ("single_label", "multi_label", "regression")


def test_no_module_outside_of_the_kinds_names_a_task():
    modules = [path for path in DATA.rglob("*.py") if path.parent.name != "kinds"]
    assert len(modules) > 40
    named = [path.name for path in modules if any(name in path.read_text() for name in NAMES)]
    assert named == []


def test_data_import_no_tasks():
    for path in DATA.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                modules = [one.name for one in node.names]
            assert not any(module.startswith("kft.tasks") for module in modules), path


def test_a_name_or_a_task_is_a_kind():
    assert kind_named("single_label") == SingleLabels()
    assert kind_named("single_label") is kind_named("single_label")
    task = Classification(3)
    assert kind_named(task) is task
    for wrong in ("ranking", None, 3, Classification):
        with pytest.raises(InputError, match=r"but one of 'single_label', 'multi_label', 'regr"):
            kind_named(wrong)


@pytest.mark.parametrize(
    ("task", "classes", "agreed"),
    [
        (Classification(2), None, ("0", "1")),
        (MultiLabel(2), ["a", "b"], ("a", "b")),
        (Regression(), None, None),
        (
            Several({"kind": Classification(2), "age": Regression()}),
            {"kind": ["a", "b"]},
            {"kind": ("a", "b"), "age": None},
        ),
        (Several({"kind": Classification(2)}), None, {"kind": ("0", "1")}),
        (Task(), ["a"], ("a",)),
    ],
)
def test_a_task_agrees_with_classes(task, classes, agreed):
    assert task.agreed_classes(classes, "t.csv") == agreed


@pytest.mark.parametrize(
    ("task", "classes", "message"),
    [
        (
            Classification(2),
            ("a", "b", "c"),
            r"t.csv has 3 classes \(a, b, c\), but `num_classes=2`",
        ),
        (Regression(), ("a", "b"), r"t.csv: `task='regression'` has no classes; leave them out"),
        (
            Several({"kind": Classification(2)}),
            {"kind": ("a", "b", "c")},
            r"kind of t.csv has 3 classes",
        ),
    ],
)
def test_a_task_refuses_other_classes(task, classes, message):
    with pytest.raises(InputError, match=message):
        task.agreed_classes(classes, "t.csv")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([1e300] * 4 + [0.0] * 4, None),
        ([-1e300] * 4 + [0.0] * 4, None),
        ([10**300] * 4 + [0] * 4, ["a", "b"]),
        (["z" * 400] * 8, None),
        (["z" * 400, "a"] * 4, ["a", "b"]),
        (["z", "a"] * 4, ["y" * 400, "x" * 400]),
    ],
)
def test_a_message_shortens_a_label_however_long_it_is(labels, classes):
    images = np.zeros((8, 8, 8, 3), "uint8")
    with pytest.raises(InputError) as caught:
        read((images, labels), task="single_label", modality="image", classes=classes)
    assert len(str(caught.value)) < 400


def test_a_number_of_thousands_of_digits_is_no_traceback():
    table = {"text": ["a", "b"] * 4, "label": [10**5000, 1] * 4}
    with pytest.raises(InputError, match="very many digits"):
        read(table, task="single_label", modality="text")
