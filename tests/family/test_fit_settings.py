"""Each argument of `fit` is part of a run's identity, or is listed as irrelevant to it."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.family.planned import PlannedFit
from kft.family.settings import FitSettings
from tests.later import made
from tests.small_images import TinyRecipe, bright_sides

pytestmark = pytest.mark.once

DATA = ("self", "train", "validation_data")
# Another value for each argument that affects the result.
OTHER = {
    "stages": [kft.Stage(0, 1, 1e-3)],
    "batch_size": 7,
    "early_stopping": keras.callbacks.EarlyStopping("val_loss", patience=9),
    "restore_best": "stage",
    "batch_norm": "train",
    "optimizer": keras.optimizers.SGD,
    "balance": "weights",
    "augment": "light",
    "jit_compile": True,
    "cache": kft.Cache(dtype="float16"),
    "finish": kft.Finish(refit=True),
    "seed": 1,
}


class SeenError(Exception):
    """An exception that ends a fit once its settings are known."""


def settings_of(**given):
    """Return the settings that `Recipe.fit` derives from its arguments."""

    def stop(cls, recipe, train, validation_data, settings):
        raise SeenError(settings.resolved(recipe, train, validation_data))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlannedFit, "of", classmethod(stop))
        with pytest.raises(SeenError) as caught:
            TinyRecipe(num_classes=2).fit(None, **given)
    return caught.value.args[0]


def parameters():
    return [name for name in inspect.signature(kft.Recipe.fit).parameters if name not in DATA]


def may_change():
    return {
        field.name for field in dataclasses.fields(FitSettings) if "may_change" in field.metadata
    }


def test_every_argument_is_tried_or_may_change_for_a_reason():
    assert set(parameters()) == set(OTHER) | (may_change() - {"augmentation", "rules"})
    assert not set(OTHER) & may_change()


def test_a_person_has_to_read_about_twenty_arguments_at_most():
    assert len(inspect.signature(kft.Recipe.fit).parameters) - len(("self",)) <= 20


@pytest.mark.parametrize("name", OTHER)
def test_another_value_is_another_run(name):
    before = settings_of().identity()
    after = settings_of(**{name: made(OTHER[name])}).identity()
    assert before != after
    assert before == settings_of().identity(), "equal settings are equal runs"


# Another value for each part of these arguments, and whether it identifies another run.
PARTS = {
    kft.Cache: {
        "on": (True, False),
        "directory": ("features", False),
        "dtype": ("bfloat16", True),
        "views": (2, True),
    },
    kft.Resume: {
        "every": (3, False),
        "retries": (2, False),
        "allow_changed_plan": (True, False),
    },
    kft.Finish: {
        "calibrate": (False, True),
        "refit": (True, True),
        "report": (False, False),
        "keep_examples": (False, False),
    },
    kft.BestEpoch: {
        "among": ("stage", True),
        "monitor": ("val_accuracy", True),
        "tolerance": (0.1, True, {"among": "ends"}),
        "interpolate": (True, True),
    },
}
ARGUMENTS = {
    kft.Cache: "cache",
    kft.Resume: "resume",
    kft.Finish: "finish",
    kft.BestEpoch: "restore_best",
}


@pytest.mark.parametrize("policy", PARTS)
def test_each_part_of_an_argument_makes_another_run_or_may_change(policy, tmp_path):
    parts = PARTS[policy]
    assert parts.keys() == {field.name for field in dataclasses.fields(policy)}

    def identity(**given):
        return settings_of(
            run_dir=tmp_path, augment="light", **{ARGUMENTS[policy]: policy(**given)}
        ).identity()

    for name, (value, is_other, *beside) in parts.items():
        others = beside[0] if beside else {}
        assert (identity(**others, **{name: value}) != identity(**others)) == is_other, name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"early_stopping": None}, {}),
        (
            {"early_stopping": keras.callbacks.EarlyStopping(min_delta=0.0)},
            {"early_stopping": keras.callbacks.EarlyStopping(min_delta=0.1)},
        ),
        (
            {"early_stopping": kft.callbacks.RelativeEarlyStopping(min_delta=0.0)},
            {"early_stopping": kft.callbacks.RelativeEarlyStopping(min_delta=0.1)},
        ),
        ({"restore_best": None}, {"restore_best": "stage"}),
        (
            lambda: {"optimizer": keras.optimizers.SGD(0.1)},
            lambda: {"optimizer": keras.optimizers.SGD(0.2)},
        ),
        (
            lambda: {"augment": [keras.layers.RandomFlip("horizontal")]},
            lambda: {"augment": [keras.layers.RandomFlip("vertical")]},
        ),
        ({"augment": max}, {"augment": min}),
    ],
)
def test_settings_that_differ_inside_are_other_runs(one, other):
    assert settings_of(**made(one)).identity() != settings_of(**made(other)).identity()


def test_names_that_keras_numbers_make_no_other_run():
    def identity():
        layers = [keras.layers.RandomFlip("horizontal")]
        return settings_of(optimizer=keras.optimizers.Adam(), augment=layers).identity()

    assert identity() == identity()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": True}, "batch_size=True"),
        ({"batch_size": 8.0}, r"batch_size=8\.0"),
        ({"resume": kft.Resume(retries=1)}, "retries=1.*run_dir"),
        ({"restore_best": "best"}, "restore_best='best'"),
        ({"early_stopping": 3}, "early_stopping=3"),
        ({"cache": "on"}, "cache='on'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_before_data_are_read(given, message):
    with pytest.raises(InputError, match=message):
        TinyRecipe(num_classes=2).fit("no such folder", **given)


@pytest.mark.parametrize(
    ("policy", "wrong"),
    [
        (kft.Cache, {"on": (None, 1, 0, "no")}),
        (kft.Cache, {"directory": (True, 3, b"kept", "", "a\0b")}),
        (kft.Cache, {"dtype": (None, "int8", "f16", np.float16)}),
        (kft.Cache, {"views": (-1, True, "2", None, 1.5)}),
        (kft.Resume, {"every": (True, None, float("nan"), "soon", "\uff140s", "9" * 400 + "h")}),
        (kft.Resume, {"retries": (-1, True, "2", None)}),
        (kft.Resume, {"allow_changed_plan": (None, 1, "no")}),
        (kft.Finish, {"calibrate": (None, 1, "no")}),
        (kft.Finish, {"refit": (None, 1, "no")}),
        (kft.Finish, {"report": (None, 1, "no")}),
        (kft.Finish, {"keep_examples": (None, 1, "no")}),
        (kft.BestEpoch, {"among": (True, 3, "last", np.array([1, 2]))}),
        (kft.BestEpoch, {"tolerance": (True, "0.1", -1, float("nan"), float("inf"), 0.1)}),
        (kft.BestEpoch, {"interpolate": (None, 1, "no")}),
        (kft.BestEpoch, {"monitor": (3, "", [1], "kappa", ("val_loss", 3), np.array([1, 2]))}),
    ],
    ids=str,
)
def test_a_part_of_another_type_is_refused_as_it_is_made(policy, wrong):
    ((name, values),) = wrong.items()
    said = {"on": "cache", "among": "restore_best"}.get(name, name)
    for value in values:
        with pytest.raises(InputError, match=f"`{said}=.*pass"):
            policy(**{name: value})


def test_numbers_of_numpy_in_a_part_are_those_of_python():
    assert type(kft.Cache(views=np.int64(2)).views) is int
    assert kft.Resume(every=np.int64(3)) == kft.Resume(every=3)
    assert kft.Finish(refit=np.True_, report=np.False_) == kft.Finish(refit=True, report=False)
    best = kft.BestEpoch("ends", tolerance=np.float64(0.5), interpolate=np.True_)
    assert best == kft.BestEpoch("ends", tolerance=0.5, interpolate=True)


def test_a_finished_run_of_another_setting_is_refused(tmp_path):
    def fit(**settings):
        recipe = TinyRecipe(num_classes=2)
        return recipe.fit(
            bright_sides(8), bright_sides(8, seed=1), stages=[kft.Stage(0, 1, 1e-2)],
            finish=kft.Finish(report=False), run_dir=tmp_path / "run", verbose=0, **settings,
        )  # fmt: skip

    fit()
    for name in ("early_stopping", "restore_best"):
        with pytest.raises(InputError, match=rf"another plan: {name}"):
            fit(**{name: None})
    with pytest.raises(InputError, match=r'another plan: cache\.dtype: "float32" there, "float16"'):
        fit(cache=kft.Cache(dtype="float16"))
    assert fit(batch_size=32, on_bad_example="skip").history


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("balance", "weight"),
        ("batch_norm", "yes"),
        ("cache", "always"),
        ("jit_compile", "yes"),
        ("restore_best", "best"),
    ],
)
def test_a_mistake_is_named_before_data_and_directory_are_looked_at(name, value):
    """A run directory would report it as another plan."""
    with pytest.raises(InputError, match=rf"`{name}='{value}'`: pass .* or "):
        TinyRecipe(num_classes=2).fit(None, **{name: value})


WRONG = {
    "run_dir": (True, 3, b"runs", "", [], "a\0b"),
    "batch_size": (True, "32", 1.5, None, float("nan")),
    "callbacks": (None, 3, "CSVLogger", keras.callbacks.CSVLogger("log"), [3], [keras.callbacks.Callback]),
    "early_stopping": (True, 3, "val_loss", keras.callbacks.EarlyStopping),
    "restore_best": (True, 3, "last", np.array([1, 2])),
    "batch_norm": (None, True, np.array([1, 2])),
    "optimizer": ("adam", keras.optimizers.Adam, 3, True),
    "balance": (True, "all", np.array([1, 2])),
    "augment": (3, True, "heavy", np.array([1, 2]), keras.layers.RandomFlip),
    "jit_compile": (1, 1.0, "yes", np.array([1, 2])),
    "cache": (None, 1, 0, "no"),
    "resume": (True, "1min", 3, kft.Cache()),
    "finish": (True, "report", kft.Resume),
    "distribution": (True, 3, "all"),
    "seed": (True, "3", -1, 0.5, None),
    "on_bad_example": (None, True, "ignore"),
    "stages": (3, "all", {}, kft.Stage(0, 1, 1e-3), []),
    "verbose": (None, "no", 3, float("nan")),
}  # fmt: skip


def test_every_setting_is_tried_with_values_of_other_types():
    assert set(WRONG) == set(parameters())


@pytest.mark.parametrize("value", [True, None, float("nan"), 1, 0, -0.5, 1.0, np.float32(2)])
def test_validation_data_that_are_neither_data_nor_a_part_are_refused(value):
    for call in (TinyRecipe(num_classes=2).fit, TinyRecipe(num_classes=2).tune):
        with pytest.raises(InputError, match=r"`validation_data=.*pass data, or a fraction"):
            call("no such folder", value, **({} if call.__name__ == "fit" else {"run_dir": "t"}))


@pytest.mark.parametrize("steps", [0, True, "3", 1.5, float("inf")])
def test_steps_of_an_epoch_are_checked_as_a_stream_is_read(steps):
    import tensorflow as tf

    recipe = TinyRecipe(num_classes=2)
    data = tf.data.Dataset.from_tensor_slices(bright_sides(8)).batch(4)
    with pytest.raises(InputError, match="steps_per_epoch="):
        recipe.read(data, steps_per_epoch=steps)
    with pytest.raises(InputError, match="`steps_per_epoch=3` is only for a"):
        recipe.read(bright_sides(8), steps_per_epoch=3)


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_of_another_type_is_refused_before_data_are_read(name):
    for value in WRONG[name]:
        with pytest.raises(InputError, match=f"{name}") as refused:
            TinyRecipe(num_classes=2).fit("no such folder", **{name: value})
        assert "pass" in str(refused.value) or "expected" in str(refused.value)


@pytest.mark.parametrize("value", [0, -1, True, None, "32", 1.5, float("nan"), np.array([1, 2])])
def test_a_batch_size_that_is_none_is_refused_wherever_answers_are_computed(value):
    recipe = TinyRecipe(num_classes=2)
    with pytest.raises(InputError, match="batch_size="):
        recipe.predict(np.full((2, 16, 16, 3), 99, "uint8"), batch_size=value)
    with pytest.raises(InputError, match="batch_size="):
        recipe.evaluate("no such folder", batch_size=value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_bad_example": "ignore"},
        {"perturb": 3},
        {"perturb": ["fog", 3]},
        {"perturb": np.array([1, 2])},
    ],
)
def test_evaluate_refuses_settings_before_data_are_read(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}="):
        TinyRecipe(num_classes=2).evaluate("no such folder", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_dir": 3},
        {"balance": "all"},
        {"batch_norm": "off"},
        {"cache": "on"},
        {"jit_compile": "yes"},
        {"on_bad_example": "ignore"},
        {"prune": "mean"},
        {"algorithm": "swarm"},
        {"objective": np.array([1, 2])},
        {"stages": 3},
        {"workers": "2"},
        {"workers": 1.5},
        {"host": 3},
        {"verbose": "no"},
    ],
)
def test_tune_refuses_settings_before_data_are_read(tmp_path, wrong):
    name = next(iter(wrong))
    with pytest.raises(InputError, match=f"`{name}="):
        TinyRecipe(num_classes=2).tune("no such folder", **({"run_dir": tmp_path / "t"} | wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_dir": 3},
        {"base_dir": ""},
        {"format": 3},
        {"weights": None},
        {"batch_sizes": 3},
        {"batch_sizes": "12"},
        {"batch_sizes": [True]},
        {"batch_sizes": []},
        {"clients": "no"},
        {"data": 3},
    ],
)
def test_export_refuses_settings_before_anything_is_written(tmp_path, wrong):
    name = next(iter(wrong))
    with pytest.raises(InputError, match=f"`{name}="):
        TinyRecipe(num_classes=2).export(**({"base_dir": tmp_path / "served"} | wrong))
    assert not (tmp_path / "served").exists()


def test_numbers_of_numpy_are_those_of_python(tmp_path):
    def fit(number, whole):
        recipe = TinyRecipe(
            num_classes=whole(2), hidden=(whole(4),), dropout=number(0.25), seed=whole(3),
            weight_decay=number(0.5),
        )  # fmt: skip
        stage = kft.Stage(whole(0), whole(1), number(0.5), warmup=number(0.25))
        return recipe.fit(
            bright_sides(8), bright_sides(8, seed=1), stages=[stage], verbose=0,
            finish=kft.Finish(report=False),
            batch_size=whole(4), seed=whole(2), run_dir=tmp_path / "run",
        )  # fmt: skip

    trained = fit(np.float32, np.int64)
    again = fit(float, int)  # the same run, which is loaded
    assert again.history == trained.history
    assert kft.load(tmp_path / "run", recipe=TinyRecipe).hidden == (4,)
    kft.stages.stage.write_stages(tmp_path / "s.yaml", [kft.Stage(np.int64(0), 1, np.float32(0.5))])
    assert kft.stages.stage.read_stages(tmp_path / "s.yaml") == (kft.Stage(0, 1, 0.5),)


@pytest.mark.parametrize(
    "rival",
    [kft.callbacks.StagedUnfreezing([kft.Stage(0, 1, 1e-3)]), kft.callbacks.LearningRateWarmup(2)],
)
def test_callbacks_that_do_what_stages_do_are_refused(rival):
    with pytest.raises(InputError, match=f"contain a {type(rival).__name__}, but the stages"):
        TinyRecipe(num_classes=2).fit("no such folder", callbacks=[rival])
    recipe = TinyRecipe(num_classes=2)
    recipe.model.compile("sgd", "categorical_crossentropy")
    x, y = bright_sides(4)
    stages = kft.callbacks.StagedUnfreezing([kft.Stage(0, 1, 1e-3)])
    with pytest.raises(InputError, match=f"contain a {type(rival).__name__}, but the stages"):
        recipe.model.fit(recipe.load(x), np.eye(2)[y], callbacks=[rival, stages], verbose=0)


def test_a_second_checkpoint_of_the_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="RunCheckpoint although `run_dir`"):
        TinyRecipe(num_classes=2).fit(
            "no such folder",
            run_dir=tmp_path / "run",
            callbacks=[kft.callbacks.RunCheckpoint(tmp_path / "own")],
        )
