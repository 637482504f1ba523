"""The range test suggests rates, and leaves no trace."""

import random

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError, KftError
from kft.insight.range_test import LearningRates
from kft.insight.range_test.curve import Suggestions
from kft.insight.range_test.result import RangeTest
from tests.models import images
from tests.recipes import tiny_bert
from tests.small_images import DenseRecipe, TinyRecipe, bright_sides

QUICK = {"steps": 30, "batch_size": 16, "lowest": 1e-5}
STAGES = [
    kft.Stage(unfreeze=0, epochs=1, learning_rate=1e-3),
    kft.Stage(unfreeze="all", epochs=1, learning_rate=1e-3, layer_decay=0.5),
]


def noisy_model():
    """All kinds of state: BatchNorm, dropout, a frozen layer, a seed generator."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, name="c1")(inputs)
    x = keras.layers.BatchNormalization(name="b1")(x)
    x = keras.layers.Conv2D(4, 3, strides=2, name="c2")(keras.layers.ReLU()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.3, seed=5)(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="head")(x))
    model.get_layer("c1").trainable = False
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def state(model):
    """Everything that could have changed, but for the weights' own arrays."""
    layers = [model, *model.layers]
    return {
        "flags": [(layer.name, layer.trainable) for layer in layers],
        "trained": [variable.path for variable in model.trainable_variables],
        "compiled": model.compiled,
        "stop_training": getattr(model, "stop_training", None),
        "random": random.getstate(),
        "numpy": [
            part.tolist() if hasattr(part, "tolist") else part for part in np.random.get_state()
        ],
    }


def arrays(variables):
    return [np.array(keras.ops.convert_to_numpy(one)) for one in variables]


def values(model):
    return arrays(model.variables)


def assert_same(before, after):
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@pytest.fixture(scope="module")
def fitted():
    """A compiled model in the middle of its training, and what a range test of it found."""
    model, twin = noisy_model(), noisy_model()
    x, y = images()
    for one in (model, twin):
        one.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    model.stop_training = True
    optimizer, function = model.optimizer, model.train_function
    before = (
        state(model),
        values(model),
        arrays(optimizer.variables),
        arrays(model.metrics_variables),
    )
    found = kft.find_learning_rate(model, (x, y), STAGES, **QUICK)
    after = (
        state(model),
        values(model),
        arrays(optimizer.variables),
        arrays(model.metrics_variables),
    )
    return model, twin, (optimizer, function), before, after, found


def test_a_compiled_model_is_left_to_the_last_bit(fitted):
    model, _, (optimizer, function), before, after, _ = fitted
    assert before[0] == after[0]
    for one, other in zip(before[1:], after[1:], strict=True):
        assert_same(one, other)
    assert model.optimizer is optimizer
    assert model.train_function is function


def test_a_compiled_model_goes_on_as_if_nothing_had_been(fitted):
    model, twin, *_ = fitted
    x, y = images(seed=1)
    for one in (model, twin):
        one.stop_training = False
        one.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0)
    assert_same(values(twin), values(model))
    assert_same(arrays(twin.optimizer.variables), arrays(model.optimizer.variables))


def test_each_stage_has_its_test_with_its_groups(fitted):
    found = fitted[-1]
    head, every = found.tests
    assert [name for name, _ in head.groups] == ["head"]
    assert [factor for _, factor in every.groups] == [0.5**n for n in range(len(every.groups))]
    assert head.rates[0] == pytest.approx(1e-5)
    assert np.all(np.diff(np.log(head.rates)) > 0)
    assert "top" not in str(found)
    assert "head" in str(found)
    assert found._repr_html_().count("<tr>") == 3
    assert len(found.plot().axes) == 2
    assert [len(one["losses"]) for one in found.to_dict()["stages"]] == [
        len(test.losses) for test in found.tests
    ]


def test_a_recipe_that_was_never_fitted_is_left_and_fits_as_if_nothing_had_been():
    data = bright_sides()
    recipe, twin = TinyRecipe(num_classes=2), TinyRecipe(num_classes=2)
    before = (state(recipe.model), values(recipe.model))
    found = kft.find_learning_rate(recipe, data, STAGES[1:], **QUICK)
    assert state(recipe.model) == before[0]
    assert_same(before[1], values(recipe.model))
    assert not recipe.model.compiled
    assert not recipe.is_fitted
    assert recipe.classes is None

    chosen = found.stages()
    assert [stage.unfreeze for stage in chosen] == ["all"]
    _ = twin.model
    for one in (recipe, twin):
        one.fit(data, stages=chosen, batch_size=16, cache=False, verbose=0)
    assert_same(values(twin.model), values(recipe.model))


@pytest.fixture
def mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield before
    keras.config.set_dtype_policy(before)


def test_mixed_precision_is_tried_with_its_loss_scale_and_left_with_it(mixed_precision):
    model = noisy_model()
    x, y = images()
    model.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    before = (values(model), arrays(model.optimizer.variables))
    found = kft.find_learning_rate(model, (x, y), STAGES, **QUICK)
    assert_same(before[0], values(model))
    assert_same(before[1], arrays(model.optimizer.variables))
    for test in found.tests:
        # The loss that is shown is the loss, not what was multiplied so that gradients survive.
        assert 0 < test.losses[0] < 5
        assert np.isfinite(test.losses[:10]).all()
    keras.config.set_dtype_policy(mixed_precision)  # the model keeps its own; so does its test
    again = kft.find_learning_rate(model, (x, y), STAGES, **QUICK)
    for one, other in zip(found.tests, again.tests, strict=True):
        np.testing.assert_array_equal(one.losses, other.losses)


def straight_line():
    """A regression whose gradient descent diverges above a rate that is known."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    y = x @ np.array([[1.0], [-2.0], [0.5], [1.0]], "float32") + 3
    highest = 2 / np.linalg.eigvalsh(2 * np.cov(x.T) + 2e-2 * np.eye(4)).max()
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(1, kernel_initializer="zeros")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(), "mse")
    return model, (x, y), highest


def test_the_test_ends_where_the_loss_diverges_and_the_rate_found_trains():
    model, (x, y), limit = straight_line()
    found = kft.find_learning_rate(model, (x, y), steps=60, batch_size=64, lowest=1e-5, highest=1e3)
    (test,) = found.tests
    assert test.diverged
    assert limit < test.rates[-1] < 30 * limit
    assert 0.001 * limit < test.valley < limit
    assert test.minimum == pytest.approx(test.rates[test.smoothed.argmin()] / 10)
    losses = []
    for rate in (test.valley / 100, test.valley):
        model, data, _ = straight_line()
        model.optimizer.learning_rate = rate
        losses.append(model.fit(*data, batch_size=64, epochs=100, verbose=0).history["loss"][-1])
    assert losses[1] < 0.3 * losses[0]


def two_layers():
    keras.utils.set_random_seed(4)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, activation="tanh", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(x))
    model.compile(keras.optimizers.SGD(), "mse")
    return model


def test_the_tests_of_later_stages_begin_where_the_earlier_ones_led():
    stages = [kft.Stage(["head"], 1, 1e-3), kft.Stage("all", 1, 1e-3)]
    settled, not_settled = (
        kft.find_learning_rate(
            two_layers(), straight_line()[1], stages, settle=settle, steps=40, batch_size=64
        )
        for settle in (40, 0)
    )
    np.testing.assert_array_equal(settled.tests[0].losses, not_settled.tests[0].losses)
    assert not_settled.tests[1].losses[0] == settled.tests[0].losses[0]
    assert settled.tests[1].losses[0] < 0.95 * not_settled.tests[1].losses[0]


def test_a_solved_head_stays_the_first_stage_and_the_tests_begin_from_it():
    """What `--write-stages` keeps of the default stages is to train what they would have."""
    recipe = TinyRecipe(num_classes=2)
    before = values(recipe.model)
    solving = [kft.Stage(unfreeze=0, solve=True), STAGES[1]]
    data = bright_sides(48)
    found = kft.find_learning_rate(recipe, data, solving, **QUICK)
    random = kft.find_learning_rate(recipe, data, solving[1:], **QUICK)
    assert_same(before, values(recipe.model))
    assert [stage.solve for stage in found.stages()] == [True, False]
    assert [test.stage for test in found.tests] == [STAGES[1]]
    assert found.tests[0].losses[0] < random.tests[0].losses[0]
    assert str(found).startswith("Learning rates for TinyRecipe, Tiny, weights: random")
    assert "from a solved head" in str(found)
    assert random.stages()[0].solve is False
    defaults = kft.find_learning_rate(recipe, data, **QUICK).stages()
    assert [stage.label for stage in defaults] == [s.label for s in recipe.usual_stages()]


@pytest.mark.once
def test_the_default_stages_and_batches_are_those_of_a_fit_on_the_same_data():
    """Of which a part is split off, and of which few are taken in small batches."""
    data, quick = bright_sides(120), {"steps": 10, "settle": 0}
    recipe = DenseRecipe(num_classes=2)
    found = kft.find_learning_rate(recipe, data, **quick)
    recipe.fit(data, finish=kft.Finish(report=False, refit=False), augment=None, verbose=0)
    plan = recipe.origin["plan"]
    assert found.batch_size == plan["batch_size"] == 8
    assert [s.epochs for s in found.stages()] == [s["epochs"] for s in plan["stages"]] == [1, 42]
    assert "in batches of 8" in str(found)
    whole = kft.find_learning_rate(
        DenseRecipe(num_classes=2), data, validation_data=bright_sides(8), **quick
    )
    assert whole.stages()[1].epochs == 33


@pytest.mark.once
def test_stages_of_your_own_are_tested_in_the_batches_that_fit_takes_for_them():
    data = bright_sides(80)
    found = kft.find_learning_rate(TinyRecipe(num_classes=2), data, STAGES[:1], steps=10)
    assert found.batch_size == 32


def test_solving_is_refused_where_nothing_can_solve():
    solving = [kft.Stage(unfreeze=0, solve=True), STAGES[1]]
    x, y = images()
    with pytest.raises(InputError, match="a range test of a model without a recipe cannot"):
        kft.find_learning_rate(noisy_model(), (x, y), solving, **QUICK)
    with pytest.raises(InputError, match="takes no rate: pass a stage with steps"):
        kft.find_learning_rate(TinyRecipe(num_classes=2), bright_sides(16), solving[:1], **QUICK)
    hidden = TinyRecipe(num_classes=2, hidden=(4,))
    with pytest.raises(InputError, match="not linear in"):
        kft.find_learning_rate(hidden, bright_sides(16), solving, **QUICK)


@pytest.mark.once
def test_a_text_recipe_is_left_without_a_length_or_classes(tmp_path):
    from recipes import BertRecipe

    recipe = BertRecipe(tiny_bert.save_preset(tmp_path / "preset"), num_classes=2)
    before = values(recipe.model)
    x = ["the film was good", "the plot was bad"] * 16
    found = kft.find_learning_rate(
        recipe, (x, ["pos", "neg"] * 16), STAGES[:1], steps=12, batch_size=8, lowest=1e-3
    )
    assert recipe.length == 32
    assert recipe.classes is None
    assert_same(before, values(recipe.model))
    assert len(found.tests) == 1


def test_without_stages_what_trains_now_is_tested():
    import tensorflow as tf

    model = noisy_model()
    x, y = images()
    keras.utils.set_random_seed(9)
    weighted = kft.find_learning_rate(model, (x, y, np.ones(len(y))), **QUICK)
    drawn = keras.random.uniform((3,))
    keras.utils.set_random_seed(9)
    np.testing.assert_array_equal(
        *map(keras.ops.convert_to_numpy, (drawn, keras.random.uniform((3,))))
    )
    stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    streamed = kft.find_learning_rate(model, stream, **QUICK)
    for found in (weighted, streamed):
        assert [name for name, _ in found.tests[0].groups] == ["all that trains"]
        assert found.stages()[0].unfreeze == "all"
    assert not model.get_layer("c1").trainable


def test_a_model_without_a_compile_or_a_graph_is_refused():
    x, y = images()
    bare = keras.Model(*(lambda one: (one.input, one.output))(noisy_model()))
    with pytest.raises(InputError, match=r"call model.compile"):
        kft.find_learning_rate(bare, (x, y), **QUICK)

    class Own(keras.Model):
        pass

    with pytest.raises(InputError, match="subclassed or not built"):
        kft.find_learning_rate(Own(), (x, y))

    class Steps(keras.Model):
        def train_step(self, *args):
            return {}

    own = noisy_model()
    own = Steps(own.input, own.output)
    own.compile("adam", "mse")
    with pytest.raises(InputError, match="overrides `train_step`"):
        kft.find_learning_rate(own, (x, y))


MISTAKES = {
    "rates": ({"lowest": 1.0, "highest": 0.1}, "0 < lowest < highest"),
    "steps": ({"steps": 3}, "at least 10"),
    "settle": ({"settle": -1}, "`settle=-1`"),
    "smoothing": ({"smoothing": 1.0}, "`smoothing=1.0`"),
    "divergence": ({"divergence": 1.0}, "above 1"),
    "augment": ({"augment": "light"}, "are for recipes"),
}


@pytest.mark.once
@pytest.mark.parametrize(("given", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_an_argument_out_of_its_range_is_named(given, expected):
    with pytest.raises(InputError, match=expected):
        kft.find_learning_rate(noisy_model(), images(), **given)


def test_data_with_nan_are_named_and_the_model_is_put_back():
    model = noisy_model()
    before = values(model)
    x, y = images()
    with pytest.raises(KftError, match="look for NaN"):
        kft.find_learning_rate(model, (x * np.nan, y), **QUICK)
    assert_same(before, values(model))
    with pytest.raises(InputError, match=r"parts of \[47, 48\] examples"):
        kft.find_learning_rate(model, (x, y[1:]), **QUICK)
    with pytest.raises(InputError, match="`data` is ndarray"):
        kft.find_learning_rate(model, x, **QUICK)
    with pytest.raises(InputError, match="pass 'valley'"):
        kft.insight.range_test.result.LearningRates("x", ()).stages("deepest")


@pytest.mark.once
def test_the_table_marks_the_chosen_column_and_warns_of_a_minimum_below_it():
    """The loss is lowest close to the valley: a step further, training fails."""
    rates, losses = np.array([1e-3, 1e-2, 1e-1]), np.array([3.0, 1.0, 9.0])
    made = [
        RangeTest(
            stage, (("head", 1.0),), rates, losses, losses, True, Suggestions(3e-3, 4e-3, low)
        )
        for stage, low in zip(STAGES, (1e-3, 1e-2), strict=True)
    ]
    found = LearningRates("it", tuple(made))
    assert "valley (chosen)" in " ".join(str(found).split())
    assert found.stages()[0].learning_rate == 3e-3
    (warning,) = found.warnings
    assert warning.startswith("Stage head: the minimum, 0.001, lies below the valley, 0.003")
    assert warning in " ".join(str(found).split())
    assert warning in found._repr_html_()
    assert found.to_dict()["chosen"] == "valley"
    assert found.to_dict()["warnings"] == [warning]
