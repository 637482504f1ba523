"""Stages in which only the adapters, norms or biases of the unfrozen blocks train."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kft
from kft.model.flags import kept_flags
from kft.stages.lengths import adapter_stages
from kft.stages.plan import plan
from kft.stages.stage import read_stages, write_stages


def build(lora=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, name="one_conv")(inputs)
    x = layers.BatchNormalization(name="one_norm")(x)
    x = layers.Conv2D(4, 3, strides=2, name="two_conv")(x)
    x = layers.GroupNormalization(2, name="two_norm")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    if lora is not None:
        lora.add_to(model, seed=0)
    return model


HEAD = {"head/kernel", "head/bias"}


def trained(model, stage, batch_norm="frozen"):
    with kept_flags(model):
        plan(model, [stage], batch_norm)[0].enter(model)
        return {weight.path for weight in model.trainable_variables} - HEAD


ADAPTED = {f"{name}_conv/lora_kernel_{which}" for name in ("one", "two") for which in "ab"}
NORMS = {f"{name}_norm/{which}" for name in ("one", "two") for which in ("gamma", "beta")}
BIASES = {f"{name}_{which}" for name in ("one", "two") for which in ("conv/bias", "norm/beta")}


@pytest.mark.once
@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("adapters", ADAPTED),
        ("norms", NORMS),
        ("biases", BIASES),
        (["adapters", "norms"], ADAPTED | NORMS),
    ],
    ids=str,
)
def test_a_stage_trains_only_what_it_names(only, expected, batch_norm):
    model = build(kft.LoRA(2))
    assert trained(model, kft.Stage("all", 1, 0.1, only=only), batch_norm) == expected
    top = {path for path in expected if path.startswith("two")}
    assert trained(model, kft.Stage(1, 1, 0.1, only=only), batch_norm) == top


def test_scale_and_shift_of_a_frozen_batchnorm_train_and_its_statistics_stay():
    model = build()
    plan(model, [kft.Stage("all", 1, 0.1, only="norms")])[0].enter(model)
    norm = model.get_layer("one_norm")
    before = [ops.convert_to_numpy(weight) for weight in norm.weights]
    model.compile(keras.optimizers.SGD(0.1), "mse")
    images = np.random.default_rng(0).normal(3, 2, (16, 8, 8, 3)).astype("float32")
    model.fit(images, np.ones((16, 2)), verbose=0)
    moved = {
        weight.name: not np.array_equal(was, ops.convert_to_numpy(weight))
        for weight, was in zip(norm.weights, before, strict=True)
    }
    assert moved == {"gamma": True, "beta": True, "moving_mean": False, "moving_variance": False}


@pytest.mark.once
@pytest.mark.parametrize(("only", "moves"), [("norms", True), ("adapters", False)])
def test_statistics_move_where_norms_are_meant_to_train(only, moves):
    model = build(kft.LoRA(2))
    plan(model, [kft.Stage("all", 1, 0.1, only=only)], "train")[0].enter(model)
    assert model.get_layer("one_norm").trainable == moves


@pytest.mark.once
def test_what_is_meant_must_be_there():
    with pytest.raises(kft.InputError, match=r"only=\['adapters'\].*`adapters=kft.LoRA\(\)"):
        plan(build(), [kft.Stage("all", 1, 0.1, only="adapters")])
    with pytest.raises(kft.InputError, match="open blocks that have some"):
        plan(build(kft.LoRA(layers=["one*"])), [kft.Stage(1, 1, 0.1, only="adapters")])


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"unfreeze": "all", "only": "kernels"}, "only='kernels'"),
        ({"unfreeze": "all", "only": []}, "only="),
        ({"unfreeze": 0, "only": "norms"}, "leave it out"),
    ],
    ids=str,
)
def test_a_wrong_part_is_refused(arguments, said):
    with pytest.raises(kft.InputError, match=said):
        kft.Stage(**arguments, epochs=1, learning_rate=0.1)


@pytest.mark.once
def test_the_plan_says_what_trains_and_how_much(tmp_path):
    stages = [kft.Stage(1, 1, 0.1, only=["adapters", "norms"])]
    file = tmp_path / "stages.yaml"
    write_stages(file, stages)
    assert list(read_stages(file)) == stages
    model = build(kft.LoRA(2))
    (row,) = kft.plan_table(model, stages).rows
    assert row[1] == "adapters and norms of top 1"
    assert row[3] == str(3 * 3 * 4 * 2 + 2 * 4 + 2 * 4 + (4 * 2 + 2))
    assert row[-1] == "head, adapters and norms of two"


@pytest.mark.once
def test_default_stages_of_adapters_take_ten_times_the_rate_in_every_block():
    head, deep = adapter_stages(
        [kft.Stage(0, solve=True), kft.Stage("all", 5, 1e-4, layer_decay=0.9)]
    )
    assert head == kft.Stage(0, solve=True)
    assert (deep.learning_rate, deep.layer_decay) == (pytest.approx(1e-3), 1.0)
    assert (deep.unfreeze, deep.only, deep.epochs) == ("all", ("adapters",), 5)
