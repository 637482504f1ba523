"""`--set` passes arguments to tasks, and errors about them name the option."""

import pytest

from kft.cli import build
from kft.cli.task_arguments import task_fields
from kft.errors import InputError
from kft.tasks import MultiLabel, NextToken, Segmentation, Spans, Tagging
from recipes import BertRecipe, CausalLMRecipe, MobileNetRecipe

pytestmark = pytest.mark.once


def arguments(recipe_class, task, *settings):
    given = {"model": "preset"} if recipe_class is not MobileNetRecipe else {}
    given |= {} if task is None else {"task": task}
    return build.recipe_arguments(recipe_class, given, settings)


@pytest.mark.parametrize(
    ("recipe_class", "task", "settings", "expected"),
    [
        (
            MobileNetRecipe,
            "segmentation",
            ("dice=1.0", "decoder=fpn", "channels=8", "ignore=[0, 0, 0]"),
            Segmentation(dice=1.0, decoder="fpn", channels=8, ignore=(0, 0, 0)),
        ),
        (
            MobileNetRecipe,
            "segmentation",
            ("colors={road: [128, 64, 128], sky: [0, 0, 255]}",),
            Segmentation(colors={"road": (128, 64, 128), "sky": (0, 0, 255)}),
        ),
        (BertRecipe, "spans", ("threshold=-1.5", "longest=9"), Spans(threshold=-1.5, longest=9)),
        (BertRecipe, "tagging", ("tags=[O, B-A, I-A]",), Tagging(("O", "B-A", "I-A"))),
        (CausalLMRecipe, None, ("template='<{content}>'",), NextToken(template="<{content}>")),
    ],
)
def test_a_setting_that_the_recipe_has_not_is_the_tasks(recipe_class, task, settings, expected):
    made = arguments(recipe_class, task, *settings)
    assert made["task"] == expected
    assert not build.needs_count_from_data(recipe_class, made)


def test_the_data_say_how_many_classes_a_task_with_settings_has():
    made = arguments(MobileNetRecipe, "multi_label", "threshold=0.3", "alpha=0.35")
    assert build.needs_count_from_data(MobileNetRecipe, made)
    recipe = MobileNetRecipe(**made, num_classes=4)
    assert (recipe.task, recipe.alpha) == (MultiLabel(4, threshold=0.3), 0.35)
    made = arguments(MobileNetRecipe, "multi_label", "threshold=0.3", "num_classes=4")
    assert not build.needs_count_from_data(MobileNetRecipe, made)


def test_every_option_of_a_task_is_within_reach():
    assert task_fields(MobileNetRecipe, "segmentation") >= {"colors", "ignore", "dice", "decoder"}
    assert task_fields(MobileNetRecipe) == task_fields(MobileNetRecipe, "tagging ") == frozenset()


def test_a_name_that_neither_has_is_refused_with_those_of_both():
    with pytest.raises(
        InputError, match=r"no argument 'dise' \(did you mean dice\?\).* 'decoder', 'd"
    ):
        arguments(MobileNetRecipe, "segmentation", "dise=1")
    with pytest.raises(InputError, match="MobileNetRecipe has no argument 'dice'"):
        arguments(MobileNetRecipe, None, "dice=1")


def test_a_wrong_value_is_said_as_it_is_typed(cli):
    command = ("plan", "MobileNetRecipe", "--task", "segmentation", "--set")
    code, _, err = cli(*command, "dice=-1")
    assert (code, "`--set dice=-1` is not a weight: pass 0 or more" in err) == (2, True)
    code, _, err = cli(*command, "decoder=net")
    assert (code, "`--set decoder=net`" in err) == (2, True)
