"""Adam's steps with a fused kernel of the backend, compared with those of Keras."""

import sys

import keras
import numpy as np
import pytest
from keras import ops

from kft.stages.fused_adam import is_fusable
from kft.stages.optimizer import GroupedOptimizer
from kft.stages.schedules import WarmupSchedule

BACKEND = keras.backend.backend()
SHAPES = [(5, 4), (4,), (3, 3, 2, 4), ()]

WAYS = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "large epsilon": lambda: keras.optimizers.Adam(0.01, epsilon=0.1),
    "other betas": lambda: keras.optimizers.Adam(0.01, beta_1=0.5, beta_2=0.9),
    "decayed": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.3),
    "warmup": lambda: keras.optimizers.AdamW(WarmupSchedule(0.05, warmup_steps=4)),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "clipped": lambda: keras.optimizers.Adam(0.01, clipnorm=0.5),
    "averaged": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=2),
    "accumulated": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
}
FUSED = ("adam", "large epsilon", "other betas", "decayed", "warmup")


def variables() -> list[keras.Variable]:
    values = np.random.default_rng(0)
    return [keras.Variable(values.normal(size=shape), dtype="float32") for shape in SHAPES]


def gradients(step: int) -> list:
    values = np.random.default_rng(step + 1)
    scales = 10.0 ** np.arange(-3, 1)  # for which epsilon is small, and large
    drawn = [scale * values.normal(size=shape) for scale, shape in zip(scales, SHAPES, strict=True)]
    return [ops.convert_to_tensor(one, "float32") for one in drawn]


@pytest.mark.parametrize("way", WAYS)
def test_grouped_steps_are_those_of_keras(way):
    own, grouped = variables(), variables()
    plain = WAYS[way]()
    first, second = WAYS[way](), WAYS[way]()
    for optimizer, each in ((plain, own), (first, grouped), (second, grouped)):
        optimizer.exclude_from_weight_decay(var_list=[each[1], each[3]])
    together = GroupedOptimizer([first, second], [grouped[:2], grouped[2:]])
    plain.build(own)
    together.build(grouped)
    for step in range(6):
        plain.apply(gradients(step), own)
        together.apply(gradients(step), grouped)
    for one, other in zip(own, grouped, strict=True):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (one, other)), rtol=1e-4, atol=1e-6)
    counts = [
        int(ops.convert_to_numpy(one.variables[0])) for one in (plain, together, first, second)
    ]
    assert counts == [6] * 4


@pytest.mark.parametrize("way", WAYS)
def test_only_plain_steps_of_keras_own_adam_are_fused(way):
    optimizer, weights = WAYS[way](), variables()
    assert is_fusable(optimizer, weights) == (BACKEND == "torch" and way in FUSED)
    constrained = keras.Variable(np.ones(3), dtype="float32")
    constrained.constraint = keras.constraints.NonNeg()
    assert not is_fusable(optimizer, [*weights, constrained])
    assert not is_fusable(optimizer, [*weights, keras.Variable(np.ones(3), dtype="float16")])


def test_another_backend_does_not_import_pytorch(monkeypatch):
    if BACKEND != "torch":
        monkeypatch.setitem(sys.modules, "torch", None)
        monkeypatch.setitem(sys.modules, "torch.optim.adam", None)
    weights = variables()
    optimizer = GroupedOptimizer([keras.optimizers.AdamW(0.01)], [weights])
    optimizer.build(weights)
    before = ops.convert_to_numpy(weights[0]).copy()
    optimizer.apply(gradients(0), weights)
    assert (ops.convert_to_numpy(weights[0]) != before).all()


def test_an_optimizer_of_somebodys_own_takes_its_own_steps():
    class Half(keras.optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate * 0.5)

    assert not is_fusable(Half(0.01), variables())


def test_the_moments_of_keras_adam_are_where_they_are_looked_for():
    """They are `_momentums`, `_velocities` and `_get_variable_index` in Keras 3.15."""
    optimizer, weights = keras.optimizers.Adam(), variables()
    optimizer.build(weights)
    index = optimizer._get_variable_index(weights[2])
    moments = [optimizer._momentums[index], optimizer._velocities[index]]
    assert [tuple(moment.shape) for moment in moments] == [SHAPES[2]] * 2


def test_a_gradient_in_another_order_of_memory_takes_the_same_step():
    steps = []
    for strided in (False, True):
        weight = keras.Variable(np.arange(12.0).reshape(3, 4), dtype="float32")
        optimizer = GroupedOptimizer([keras.optimizers.Adam(0.1)], [[weight]])
        optimizer.build([weight])
        gradient = ops.convert_to_tensor(np.linspace(-1, 1, 12).reshape(3, 4), "float32")
        if strided:
            gradient = ops.transpose(ops.transpose(gradient) + 0.0)
        optimizer.apply([gradient], [weight])
        steps.append(ops.convert_to_numpy(weight))
    np.testing.assert_array_equal(*steps)


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine"])
def test_a_schedule_tells_the_same_rate_with_and_without_tensors(decay):
    schedule = WarmupSchedule(
        0.1, start=3, initial=0.02, warmup_steps=4, decay=decay, total_steps=12
    )
    schedule.scale = keras.Variable(0.5, trainable=False)
    for step in range(3, 20):
        assert schedule.at(step) == pytest.approx(
            float(ops.convert_to_numpy(schedule(step))), rel=1e-5, abs=1e-8
        )
