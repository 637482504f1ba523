"""Functions that look into a recipe refuse what they cannot use, before any work."""

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.insight.forgetting import forgetting
from kft.tasks import Classification, Detection, MultiLabel, Regression, Segmentation, Several
from kft.testing.families import TinyImages, tiny_images

pytestmark = pytest.mark.once

X, Y = tiny_images(6), ["a", "b"] * 3
NUMBERS = [None, True, -1, 0, 0.5, float("nan"), "3", np.array([1, 2]), 10**400]
RECIPE = {
    "grad_cam": lambda recipe: kft.explain.grad_cam(recipe, X),
    "integrated_gradients": lambda recipe: kft.explain.integrated_gradients(recipe, X),
    "nearest": lambda recipe: kft.explain.nearest(recipe, X, (X, Y)),
    "randomise": lambda recipe: kft.explain.randomise(recipe, lambda: None),
    "forgetting": lambda recipe: forgetting(recipe, (X, Y)),
    "cross_validate": lambda recipe: kft.cross_validate(recipe, (X, Y)),
    "plan_fit": lambda recipe: kft.plan_fit(recipe, (X, Y)),
    "find_learning_rate": lambda recipe: kft.find_learning_rate(recipe, (X, Y)),
    "plan_table": lambda recipe: kft.plan_table(recipe, [kft.Stage(0, 1, 1e-3)]),
}


@pytest.fixture(scope="module")
def recipe():
    return TinyImages(num_classes=2, classes=["a", "b"])


@pytest.mark.parametrize("value", [None, 5, "runs/photos", TinyImages, object()], ids=repr)
@pytest.mark.parametrize("call", RECIPE)
def test_what_is_no_recipe_is_named(call, value):
    with pytest.raises(InputError, match=r"pass a recipe|pass a Keras model"):
        RECIPE[call](value)


@pytest.mark.parametrize("call", sorted(RECIPE.keys() - {"find_learning_rate", "plan_table"}))
def test_a_model_is_no_recipe(call):
    with pytest.raises(InputError, match=r"`recipe=<Functional name=.*: pass a recipe"):
        RECIPE[call](keras.Model(*[keras.Input((2,))] * 2))


@pytest.mark.parametrize(
    "task",
    [
        Detection(("a", "b"), channels=8),
        Segmentation(("a", "b")),
        Several({"kind": Classification(2), "age": Regression()}),
    ],
    ids=lambda task: task.name,
)
@pytest.mark.parametrize("explain", ["grad_cam", "integrated_gradients"])
def test_a_task_with_many_answers_has_no_score_to_explain(task, explain):
    with pytest.raises(InputError, match=f"the task '{task.name}' has more than one answer"):
        RECIPE[explain](TinyImages(task=task))


@pytest.mark.parametrize("task", [MultiLabel(2), Regression(2)], ids=["labels", "numbers"])
def test_a_task_with_one_score_per_output_is_explained(task):
    assert len(RECIPE["grad_cam"](TinyImages(task=task)).maps) == len(X)


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: repr(value)[:9])
def test_numbers_are_checked(recipe, value):
    calls = {
        "steps": lambda: kft.explain.integrated_gradients(recipe, X, steps=value),
        "count": lambda: kft.explain.nearest(recipe, X, (X, Y), count=value),
        "batch_size": lambda: kft.explain.nearest(recipe, X, (X, Y), batch_size=value),
        "seed": lambda: kft.explain.randomise(recipe, lambda: None, seed=value),
        "target": lambda: kft.explain.grad_cam(recipe, X, target=value),
        "layer": lambda: kft.explain.grad_cam(recipe, X, layer=value),
    }
    may_be = {"target": (None, 0), "layer": (None,), "seed": (0,)}
    for name, call in calls.items():
        if any(
            value is one or (type(value) is int and value == one) for one in may_be.get(name, ())
        ):
            continue
        with pytest.raises(InputError, match=f"`{name}="):
            call()


def test_steps_are_bounded(recipe):
    with pytest.raises(InputError, match=r"`steps=2147483647`: .* at most 10,000"):
        kft.explain.integrated_gradients(recipe, X, steps=2**31 - 1)


@pytest.mark.parametrize("explain", [None, 1, "grad_cam", lambda: None, lambda: 3])
def test_what_explains_nothing_is_refused(recipe, explain):
    with pytest.raises(InputError, match="`explain"):
        kft.explain.randomise(recipe, explain)


@pytest.mark.parametrize("value", [True, 1, "x", b"x", [1], np.zeros(2), {"x"}])
def test_further_classes_are_a_list_of_names(recipe, tmp_path, value):
    recipe.save(tmp_path / "run")
    if isinstance(value, str):
        assert len(kft.load(tmp_path / "run", recipe=TinyImages, more_classes=value).classes) == 3
        return
    with pytest.raises(InputError, match="`more_classes"):
        kft.load(tmp_path / "run", recipe=TinyImages, more_classes=value)


GROUPS = [True, 1, "x", ["a"], np.zeros(2), {"sex": 1}, {"sex": "abcdef"}, {"sex": {"a"}}]


@pytest.mark.parametrize("groups", GROUPS, ids=repr)
def test_groups_are_columns_by_name(recipe, groups):
    found = recipe.evaluate((X, Y))
    with pytest.raises(InputError, match="groups"):
        found.operating_point("a", threshold=0.5, groups=groups)


def test_a_missing_value_is_no_group_called_nan(recipe):
    found = recipe.evaluate((X, Y))
    values = ["nan", float("nan"), None, "x", "x", "x"]
    groups = found.operating_point("a", threshold=0.5, groups={"sex": values}).groups["sex"]
    assert {name: len(one.examples) for name, one in groups.items()} == {
        "(missing)": 2,
        "nan": 1,
        "x": 3,
    }


@pytest.mark.parametrize(
    "value", [1, "x", [1], np.zeros(2), object()], ids=lambda v: type(v).__name__
)
def test_settings_of_a_logger_are_a_dict(value):
    for module, logger, name in (
        ("wandb", kft.callbacks.WandbLogger, "config"),
        ("mlflow", kft.callbacks.MLflowLogger, "params"),
    ):
        pytest.importorskip(module)
        with pytest.raises(InputError, match=f"`{name}=.*: pass a dict"):
            logger(**{name: value})


@pytest.mark.parametrize("project", [(1, 2), (X, 2), (None, Y), ((), Y), [X, Y], X])
def test_points_to_project_are_a_pair(project, tmp_path):
    with pytest.raises(InputError, match="`project` is not a pair"):
        kft.callbacks.TensorBoardLogger(tmp_path, project=project)
