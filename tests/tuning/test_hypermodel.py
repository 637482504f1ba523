"""The hypermodel with KerasTuner's own tuners, and the plans for the values of trials."""

import keras
import keras_tuner
import pytest

import kft
import kft.tasks
from kft.tuning import StagedHyperModel, default_space
from kft.tuning.oracles import hyperband_units
from kft.tuning.space import depths_of, within
from tests.small_images import TinyRecipe, bright_sides

BASE = [kft.Stage(0, 2, 1e-2), kft.Stage(1, 2, 1e-3), kft.Stage("all", 4, 1e-4, warmup=0.2)]


def planned(values, stages=BASE, **space):
    """Return the plan of a trial with these values."""

    def declare(hp):
        for name, value in values.items():
            hp.Fixed(name, value)

    hypermodel = StagedHyperModel(TinyRecipe(num_classes=2), declare, stages=stages)
    return hypermodel.plan(keras_tuner.HyperParameters())


@pytest.mark.once
def test_keras_tuners_own_tuner_keeps_the_model_that_it_scored(tmp_path):
    hypermodel = StagedHyperModel(
        TinyRecipe(num_classes=2), lambda hp: hp.Float("head_lr", 1e-3, 1e-1), stages=BASE[:1]
    )
    tuner = keras_tuner.RandomSearch(
        hypermodel, objective="val_accuracy", max_trials=2, seed=3, directory=tmp_path
    )
    data = bright_sides(16, seed=1)
    tuner.search(bright_sides(24), validation_data=data, batch_size=8, verbose=0)
    best = tuner.oracle.get_best_trials(1)[0]
    (model,) = tuner.get_best_models(1)
    model.compile(loss=hypermodel.recipe.loss(), metrics=hypermodel.recipe.metrics())
    measured = model.evaluate(*data, return_dict=True, verbose=0)
    assert measured["accuracy"] == pytest.approx(best.score)


@pytest.mark.once
def test_rates_and_depth_change_the_stages():
    stages = planned({"head_lr": 0.5, "unfreeze": 2, "backbone_lr": 0.25}).stages
    assert stages == (kft.Stage(0, 2, 0.5), kft.Stage(2, 6, 0.25, warmup=0.2))
    assert planned({"unfreeze": 0}).stages == (BASE[0],)
    kept = planned({"backbone_lr": 2e-3, "layer_decay": 0.5}).stages
    assert [stage.learning_rate for stage in kept] == pytest.approx([1e-2, 2e-3, 2e-4])
    assert [stage.layer_decay for stage in kept] == [1.0, 0.5, 0.5]


@pytest.mark.once
def test_values_have_no_more_digits_than_they_mean():
    """In KerasTuner three steps of 0.1 are 0.30000000000000004."""
    steps = 0.1 * 3
    plan = planned({"dropout": steps, "warmup": steps, "backbone_lr": steps * 1e-3})
    said = str((plan.arguments, [stage.to_dict() for stage in plan.stages]))
    assert "000000" not in said
    assert "999999" not in said
    assert plan.arguments == {"dropout": 0.3}
    assert plan.stages[1].learning_rate == 0.0003


@pytest.mark.once
def test_other_names_are_arguments_of_the_recipe():
    plan = planned({"dropout": 0.4, "weight_decay": 0.1, "augment": "light"})
    assert plan.arguments == {"dropout": 0.4, "weight_decay": 0.1}
    assert plan.augment == "light"
    assert planned({"augment": "none"}).augment is None


@pytest.mark.once
def test_a_function_may_make_the_stages_itself():
    def space(hp):
        return [kft.Stage(0, hp.Int("anything", 1, 3), 1e-2)]

    hypermodel = StagedHyperModel(TinyRecipe(num_classes=2), space)
    assert hypermodel.plan(keras_tuner.HyperParameters()).stages == (kft.Stage(0, 1, 1e-2),)


@pytest.mark.once
@pytest.mark.parametrize(
    ("values", "stages", "expected"),
    [
        ({"backbone_rate": 1e-4}, BASE, r"\['backbone_rate'\], which mean nothing"),
        ({"backbone_lr": 1e-4}, BASE[:1], "train the head alone"),
        ({"unfreeze": 1}, BASE[1:], "no stage trains the head alone"),
    ],
)
def test_what_means_nothing_is_an_error(values, stages, expected):
    with pytest.raises(kft.InputError, match=expected):
        planned(values, stages)


@pytest.mark.once
def test_the_default_space_is_conditional_on_depth():
    recipe = TinyRecipe(num_classes=2)
    hp = keras_tuner.HyperParameters()
    hp.values["unfreeze"] = 0
    alone = StagedHyperModel(recipe).plan(hp)
    assert len(alone.stages) == 1
    assert "backbone_lr" not in hp.values
    deep = keras_tuner.HyperParameters()
    deep.values["unfreeze"] = depths_of(recipe)[-1]
    assert [stage.unfreeze for stage in StagedHyperModel(recipe).plan(deep).stages] == [0, 3]
    names = "head_lr unfreeze backbone_lr layer_decay warmup dropout weight_decay"
    assert {*names.split(), "label_smoothing"} == deep.values.keys()


@pytest.mark.once
def test_a_grid_without_a_space_has_few_points():
    recipe = TinyRecipe(num_classes=2)
    coarse = keras_tuner.HyperParameters()
    default_space(coarse, recipe, coarse=True)
    sizes = {hp.name: len(hp.values) for hp in coarse.space}
    assert sizes == {"head_lr": 3, "unfreeze": 4, "backbone_lr": 2}
    deep = keras_tuner.HyperParameters()
    deep.values.update({"head_lr": 1e-3, "unfreeze": 2, "backbone_lr": 1e-3})
    stages = StagedHyperModel(recipe, coarse).plan(deep).stages
    assert [(stage.unfreeze, stage.learning_rate) for stage in stages] == [(0, 1e-3), (2, 1e-3)]


@pytest.mark.once
def test_hyperband_sizes_its_first_bracket_to_fit_the_trials():
    assert [hyperband_units(trials) for trials in (1, 3, 4, 12, 13, 39, 40)] == [
        1, 1, 3, 3, 9, 9, 27,
    ]  # fmt: skip


@pytest.mark.once
def test_hyperband_shortens_all_stages_in_proportion():
    assert [stage.epochs for stage in within(BASE, 4)] == [1, 1, 2]
    assert [stage.epochs for stage in within(BASE, 1)] == [1, 1, 1]
    assert within(BASE, 8) == tuple(BASE)


@pytest.mark.once
def test_an_unknown_objective_lists_the_metrics():
    with pytest.raises(kft.InputError, match=r"`objective='val_f1'`.*'val_loss', 'val_accuracy'"):
        StagedHyperModel(TinyRecipe(num_classes=2), objective="val_f1")
    chosen = StagedHyperModel(TinyRecipe(num_classes=2), objective="val_loss").objective
    assert chosen.direction == "min"
    with pytest.raises(kft.InputError, match="'val_rmse'"):
        StagedHyperModel(TinyRecipe(num_classes=1, task="regression"), objective="val_accuracy")


class Ages(kft.tasks.Several):
    objective = ("val_age_mae", "min")


TWO = {"kind": kft.tasks.Classification(2), "age": kft.tasks.Regression()}


@pytest.mark.once
@pytest.mark.parametrize(
    ("task", "chosen", "expected"),
    [
        (kft.tasks.Classification(2), None, ("val_accuracy", "max")),
        (kft.tasks.Regression(), None, ("val_rmse", "min")),
        (kft.tasks.Several(TWO), None, ("val_loss", "min")),
        (Ages(TWO), None, ("val_age_mae", "min")),
        (kft.tasks.Regression(), "val_mae", ("val_mae", "min")),
        (kft.tasks.Several(TWO), "val_kind_accuracy", ("val_kind_accuracy", "max")),
    ],
)
def test_the_task_says_what_is_searched_for_and_which_way(task, chosen, expected):
    found = StagedHyperModel(TinyRecipe(task=task), objective=chosen).objective
    assert (found.name, found.direction) == expected


@pytest.mark.once
@pytest.mark.parametrize(
    ("task", "own"),
    [
        (kft.tasks.Classification(2), {"dropout", "label_smoothing"}),
        (kft.tasks.Regression(), {"dropout"}),
        (kft.tasks.Several(TWO), set()),
    ],
)
def test_the_default_space_has_the_arguments_that_the_task_has(task, own):
    hp = keras_tuner.HyperParameters()
    kft.tuning.default_space(hp, TinyRecipe(task=task))
    assert {"dropout", "label_smoothing"} & hp.values.keys() == own


def test_a_fitted_recipe_is_refused():
    recipe = TinyRecipe(num_classes=2)
    recipe.is_fitted = True
    with pytest.raises(kft.InputError, match="begin with the pretrained weights"):
        StagedHyperModel(recipe)


def test_a_model_of_another_build_is_refused():
    hypermodel = StagedHyperModel(TinyRecipe(num_classes=2), stages=BASE[:1])
    hp = keras_tuner.HyperParameters()
    hypermodel.build(hp)
    with pytest.raises(kft.InputError, match="returned last"):
        hypermodel.fit(hp, keras.Sequential(), bright_sides(8))
