"""Each argument of `fit` is part of a run's identity, or is known not to matter for it."""

import dataclasses
import inspect

import keras
import pytest

import kft
from kft.errors import InputError
from kft.fit_settings import FitSettings
from kft.planned_fit import PlannedFit
from tests.small_images import TinyRecipe, bright_sides

pytestmark = pytest.mark.once

DATA = ("self", "train", "validation_data")
# Another value for each argument that decides what is computed.
OTHER = {
    "stages": [kft.Stage(0, 1, 1e-3)],
    "batch_size": 7,
    "early_stopping": keras.callbacks.EarlyStopping("val_loss", patience=9),
    "restore_best": "stage",
    "monitor": "val_accuracy",
    "batch_norm": "train",
    "optimizer": keras.optimizers.SGD(),
    "balance": "weights",
    "augment": "light",
    "jit_compile": True,
    "steps_per_epoch": 3,
    "cache_dtype": "float16",
    "cached_views": 2,
    "seed": 1,
}
NEEDED_BESIDE = {"cached_views": {"augment": "light"}}


class SeenError(Exception):
    """Ends a fit once its settings are known."""


def settings_of(**given):
    """What `Recipe.fit` makes of its arguments."""

    def stop(cls, recipe, train, validation_data, settings):
        raise SeenError(settings)

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
    assert set(parameters()) == set(OTHER) | (may_change() - {"augmentation"})
    assert not set(OTHER) & may_change()


@pytest.mark.parametrize("name", OTHER)
def test_another_value_is_another_run(name):
    beside = NEEDED_BESIDE.get(name, {})
    before = settings_of(**beside).identity()
    after = settings_of(**beside, **{name: OTHER[name]}).identity()
    assert before != after
    assert before == settings_of(**beside).identity(), "equal settings are equal runs"


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
        ({"optimizer": keras.optimizers.SGD(0.1)}, {"optimizer": keras.optimizers.SGD(0.2)}),
        (
            {"augment": [keras.layers.RandomFlip("horizontal")]},
            {"augment": [keras.layers.RandomFlip("vertical")]},
        ),
        ({"augment": max}, {"augment": min}),
    ],
)
def test_settings_that_differ_inside_are_other_runs(one, other):
    assert settings_of(**one).identity() != settings_of(**other).identity()


def test_names_that_keras_numbers_make_no_other_run():
    def made():
        layers = [keras.layers.RandomFlip("horizontal")]
        return settings_of(optimizer=keras.optimizers.Adam(), augment=layers).identity()

    assert made() == made()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": True}, "batch_size=True"),
        ({"batch_size": 8.0}, r"batch_size=8\.0"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0"),
        ({"cached_views": -1}, "cached_views=-1"),
        ({"retries": -1}, "retries=-1"),
        ({"retries": 1}, "retries=1.*run_dir"),
        ({"restore_best": "best"}, "restore_best='best'"),
        ({"restore_best": "auto"}, "restore_best='auto'"),
        ({"monitor": "kappa"}, "monitor='kappa'"),
        ({"early_stopping": 3}, "early_stopping=3"),
        ({"cache": "on"}, "cache='on'"),
        ({"checkpoint_every": "often"}, "every='often'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_before_data_are_read(given, message):
    with pytest.raises(InputError, match=message):
        TinyRecipe(num_classes=2).fit("no such folder", **given)


def test_a_finished_run_of_another_setting_is_refused(tmp_path):
    def fit(**settings):
        recipe = TinyRecipe(num_classes=2)
        return recipe.fit(
            bright_sides(8), bright_sides(8, seed=1), stages=[kft.Stage(0, 1, 1e-2)], report=False,
            run_dir=tmp_path / "run", verbose=0, **settings,
        )  # fmt: skip

    fit()
    for name in ("early_stopping", "restore_best"):
        with pytest.raises(InputError, match=rf"another plan: {name}"):
            fit(**{name: None})
    with pytest.raises(InputError, match='another plan: cache_dtype: "float32" there, "float16"'):
        fit(cache_dtype="float16")
    assert fit(batch_size=32, on_bad_example="skip").history


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("balance", "weight"),
        ("batch_norm", "yes"),
        ("cache", "always"),
        ("cache_dtype", "f16"),
        ("jit_compile", "yes"),
        ("restore_best", "best"),
    ],
)
def test_a_mistake_is_named_before_data_and_directory_are_looked_at(name, value):
    """A run directory would call it another plan."""
    with pytest.raises(InputError, match=rf"`{name}='{value}'`: pass .* or "):
        TinyRecipe(num_classes=2).fit(None, **{name: value})
