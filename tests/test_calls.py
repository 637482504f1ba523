"""Unknown arguments of public calls are named with the way out, including those of other libraries."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import kft
from kft.arguments.calls import check_call, checked_call
from kft.errors import InputError
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once

STAGES = r"stages=\[kft\.Stage\('all', epochs=3, learning_rate=1e-4\)\]"


@pytest.fixture(scope="module")
def recipe():
    return TinyRecipe(num_classes=2)


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        ({"epochs": 3}, STAGES),
        ({"lr": 0.01}, r"stages=\[kft\.Stage\('all', epochs=5, learning_rate=0\.01\)\]"),
        ({"validation_split": 0.3}, "pass validation_data=0.3"),
        ({"class_weight": {0: 2.0}}, "pass balance='weights'"),
        ({"y": [0, 1]}, r"as in train=\(x, y\)"),
        ({"output_dir": "runs/a"}, "pass run_dir='runs/a'"),
        ({"batchsize": 8}, "did you mean batch_size"),
        ({"dropout": 0.5}, ", but of `TinyRecipe`: pass it there"),
        ({"input_shape": (8, 8, 3)}, "In `TinyRecipe`, pass image_size"),
        ({"frobnicate": 1}, "which takes `train`, `validation_data`, `stages`"),
    ],
)
def test_fit_answers_what_others_call_it(recipe, argument, answer):
    (name,) = argument
    with pytest.raises(InputError, match=f"`{name}=.*is not an argument of `fit`.*{answer}"):
        recipe.fit("photos", **argument)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda one: one.evaluate("photos", verbose=0), "`verbose=0`.*`evaluate`: nothing is prin"),
        (lambda one: one.evaluate([0], [1]), r"only `data` by position.*go together, as \(x, y\)"),
        (lambda one: one.predict(["a.png"], verbose=0), "`verbose=0` is not an arg.*of `predict`"),
        (lambda one: one.predict(x=["a.png"]), "`predict`: pass the inputs as `raw`"),
        (lambda one: one.tune("photos", run_dir="runs/a", epochs=3), f"of `tune`.*{STAGES}"),
        (lambda one: one.tune("photos"), "`tune` needs `run_dir`"),
        (lambda one: one.export("serving", client=True), "`export`.*did you mean clients"),
        (lambda one: one.read("photos", label_col="a"), "`read`.*did you mean label_column"),
        (lambda one: one.save(path="a"), "not an argument of `save`, which takes `directory`"),
        (lambda one: one.fit(), "`fit` needs `train`"),
        (lambda one: one.fit("a", "b", []), "only `train` and `validation_data` by position"),
        (lambda one: one.fit("a", train="b"), "`fit` got `train` by position and by name"),
        (lambda _: kft.load("runs/a", recipes=TinyRecipe), "`load`.*did you mean recipe"),
        (
            lambda one: kft.find_learning_rate(one, "photos", lr=1.0),
            "not an argument of `find_lear",
        ),
        (lambda one: kft.plan_table(one.model, stage=[]), "did you mean stages"),
        (lambda one: kft.fit_in_stages(one.model, None, epochs=3), STAGES),
    ],
)
def test_other_calls_answer_alike(recipe, call, answer):
    with pytest.raises(InputError, match=answer):
        call(recipe)


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (
            lambda: TinyRecipe(num_classes=2, num_labels=2),
            "not an argument of `TinyRecipe`: pass num",
        ),
        (lambda: TinyRecipe(input_shape=(8, 8)), "`TinyRecipe`: pass image_size"),
        (lambda: TinyRecipe(classes=5), "pass num_classes=5 for how many"),
        (lambda: TinyRecipe(clases=["a"]), "did you mean classes"),
        (lambda: TinyRecipe(epochs=3), f"of `TinyRecipe`. In `fit`, each stage.*{STAGES}"),
        (lambda: TinyRecipe(batch_size=3), "of `TinyRecipe`, but of `fit`"),
        (lambda: TinyRecipe("tiny", 2), "takes nothing by position.*num_classes=5"),
        (lambda: kft.Stage("all", 3, lr=0.1), "of `Stage`: pass learning_rate=0.1"),
        (lambda: kft.Stage(epochs=3), "`Stage` needs `unfreeze`"),
        (lambda: kft.LoRA(r=4), "of `LoRA`: pass rank=4"),
        (lambda: kft.Cache(dirctory="a"), "did you mean directory"),
        (lambda: kft.Resume(retry=1), "did you mean retries"),
        (lambda: kft.Finish(raport=False), "did you mean report"),
        (lambda: kft.BestEpoch(metric="a"), "not an argument of `BestEpoch`"),
        (lambda: kft.tasks.Classification(num_clases=3), "did you mean num_classes"),
        (lambda: kft.callbacks.StagedUnfreezing([], epoch=3), "of `StagedUnfreezing`"),
        (lambda: kft.callbacks.RelativeEarlyStopping(patiense=1), "did you mean patience"),
        (lambda: kft.callbacks.RunCheckpoint("a", evry=1), "did you mean every"),
        (lambda: kft.distribution.DataParallel(device=2), "did you mean devices"),
    ],
)
def test_so_do_recipes_stages_tasks_and_callbacks(make, answer):
    with pytest.raises(InputError, match=answer):
        make()


def test_signatures_are_those_that_editors_show(recipe):
    assert list(inspect.signature(recipe.fit).parameters)[:3] == [
        "train",
        "validation_data",
        "stages",
    ]
    assert "num_classes" in inspect.signature(TinyRecipe).parameters
    assert next(iter(inspect.signature(kft.Stage).parameters)) == "unfreeze"
    assert "every" in inspect.signature(kft.callbacks.RunCheckpoint).parameters


def test_copies_need_no_arguments():
    stage = kft.Stage("all", 1, 0.1)
    assert copy.deepcopy(stage) == pickle.loads(pickle.dumps(stage)) == stage


def test_an_error_of_the_function_itself_stays():
    @checked_call
    def broken(values):
        return values + "a"

    with pytest.raises(TypeError):
        broken(1)


def test_a_long_value_is_shortened():
    with pytest.raises(InputError) as caught:
        check_call(kft.load, ("a",), {"weights": list(range(10_000))})
    assert len(str(caught.value)) < 300


def test_a_function_that_takes_any_name_gets_it():
    @checked_call
    def anything(**named):
        return named

    assert anything(lr=1) == {"lr": 1}


def test_numbers_of_numpy_are_numbers_of_python():
    @checked_call
    def told(*args, **kwargs):
        return [type(one) for one in (*args, *kwargs.values())]

    numbers = [np.int64(3), np.uint8(3), np.float32(0.5), np.float64(0.5), np.float16(0.5)]
    assert told(*numbers[:2], **dict(zip("abc", numbers[2:], strict=True))) == [
        *[int] * 2,
        *[float] * 3,
    ]
    kept = [np.zeros(2), np.array(1), np.str_("a"), True, None, [np.int64(1)]]
    assert told(*kept) == [type(one) for one in kept]
