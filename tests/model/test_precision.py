"""The precision of a model, chosen by one argument."""

import keras
import pytest

import kft
from kft.errors import InputError
from kft.model.precision import policy_of
from kft.stages.optimizer import unscaled
from tests.small_images import TinyRecipe, bright_sides


class Watch(keras.callbacks.Callback):
    """Record whether the loss was scaled."""

    def on_train_end(self, logs=None):
        self.scales = unscaled(self.model.optimizer) is not self.model.optimizer


@pytest.mark.parametrize(
    ("precision", "scales"), [("mixed_bfloat16", False), ("mixed_float16", True)]
)
def test_a_recipe_computes_with_its_precision(precision, scales, tmp_path):
    recipe, watch = TinyRecipe(num_classes=2, precision=precision), Watch()
    x, y = bright_sides(16)
    stages = [kft.Stage(0, 1, 1e-3)]
    recipe.fit(
        (x, y), (x, y), stages=stages, callbacks=[watch], verbose=0, finish=kft.Finish(report=False)
    )
    assert watch.scales == scales
    layer = recipe.model.get_layer("block1_conv")
    assert layer.compute_dtype == precision.removeprefix("mixed_")
    assert layer.kernel.dtype == "float32"
    assert recipe.predict(x).scores.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32", "other models keep theirs"
    loaded = kft.load(recipe.save(tmp_path / "saved"), recipe=TinyRecipe)
    assert loaded.model.get_layer("block1_conv").compute_dtype == "float32"


def test_auto_is_float32_on_a_cpu():
    assert policy_of("auto") == "float32"
    assert policy_of(None) is None


def test_an_unknown_precision_is_named():
    with pytest.raises(InputError, match=r"`precision='float8'` is unknown: pass 'float32'"):
        TinyRecipe(num_classes=2, precision="float8")


@pytest.mark.once
def test_another_precision_of_all_models_is_another_run(tmp_path):
    data = bright_sides(16)
    settings = {"stages": [kft.Stage(0, 1, 1e-3)], "run_dir": tmp_path / "run", "verbose": 0}
    TinyRecipe(num_classes=2).fit(data, data, finish=kft.Finish(report=False), **settings)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with pytest.raises(InputError, match=r'precision.*"float32".*"mixed_bfloat16"'):
            TinyRecipe(num_classes=2).fit(data, data, **settings)
    finally:
        keras.config.set_dtype_policy("float32")
