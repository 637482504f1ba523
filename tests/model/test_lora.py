"""Adapters: the layers that get them, what they compute, and their copies."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import layers, ops

import kft
from kft.distribution.model_copies import copied
from kft.model.adapters import adapters_of, merged_values
from kft.model.flags import decisions
from kft.stages.plan import plan


def built():
    """Return a model with attention, dense and convolution kernels in at least three blocks."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8, name="table")(inputs)
    x = layers.Dense(8, name="low")(x)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.Conv1D(8, 3, padding="same", name="conv")(x)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.Dense(8, name="high")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


def adapted(lora, model=None):
    model = built() if model is None else model
    lora.add_to(model, seed=0)
    return model


def names(model):
    return [one.layer.name for one in adapters_of(model)]


def trained(model):
    """Set the adapters to random values, as if trained."""
    for index, one in enumerate(adapters_of(model)):
        one.b.assign(np.random.default_rng(index).normal(size=one.b.shape))
    return model


def answers(model):
    return ops.convert_to_numpy(model(np.arange(12).reshape(2, 6) % 9, training=False))


PROJECTIONS = ["query", "key", "value", "attention_output"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, ["low", *PROJECTIONS, "high"]),
        ("attention", PROJECTIONS),
        ("embedding", ["table"]),
        ("conv", ["conv"]),
        (["q*", "value"], ["query", "value"]),
        (["attention/value", "conv"], ["value", "conv"]),
    ],
    ids=str,
)
def test_layers_are_meant_by_kind_name_and_path(chosen, expected):
    assert sorted(names(adapted(kft.LoRA(2, layers=chosen)))) == sorted(expected)


@pytest.mark.once
def test_a_backbone_without_dense_kernels_is_adapted_at_its_convolutions():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    assert names(adapted(kft.LoRA(2), model)) == ["conv"], "the head trains as a whole"


@pytest.mark.once
def test_only_the_top_blocks_are_adapted():
    model = built()
    top = {layer.name for layer in kft.find_blocks(model)[0].layers}
    assert {*names(adapted(kft.LoRA(2, blocks=1), model))} <= top


def test_an_untrained_adapter_changes_no_answer_and_a_trained_one_is_merged_exactly():
    plain, model = built(), adapted(kft.LoRA(2, alpha=6, layers=["dense", "conv", "embedding"]))
    assert np.array_equal(answers(model), answers(plain))
    for mine, its in zip(merged_values(model), plain.weights, strict=True):
        assert np.array_equal(mine, ops.convert_to_numpy(its)), its.path
    before = answers(trained(model))
    assert not np.allclose(before, answers(plain), atol=1e-2)
    for weight, value in zip(plain.weights, merged_values(model), strict=True):
        weight.assign(value)
    np.testing.assert_allclose(answers(plain), before, rtol=1e-4, atol=1e-5)


def test_a_copy_for_other_devices_has_the_same_adapters_at_the_same_scale():
    """Keras' (3.15.1) clone loses those within attention, and changes the scale of Dense."""
    model = trained(adapted(kft.LoRA(2, alpha=6)))
    plan(model, [kft.Stage("all", 1, 1e-3, only="adapters")])[0].enter(model)
    copy = copied(model)
    assert [one.scale for one in adapters_of(copy)] == [3.0] * 6
    np.testing.assert_allclose(answers(copy), answers(model), atol=1e-6)
    assert len(decisions(copy).frozen) == 6, "the kernels beneath stay frozen"


@pytest.mark.once
def test_the_seed_decides_what_adapters_start_with():
    first, same, other = (built() for _ in range(3))
    for model, seed in ((first, 1), (same, 1), (other, 2)):
        kft.LoRA(2).add_to(model, seed)
    values = [[ops.convert_to_numpy(one.a) for one in adapters_of(m)] for m in (first, same, other)]
    assert all(map(np.array_equal, values[0], values[1]))
    assert not any(map(np.array_equal, values[0], values[2]))
    assert not np.array_equal(values[0][1], values[0][2]), "query and key do not start alike"


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rank": 0}, "rank=0"),
        ({"rank": 2.5}, "rank=2.5"),
        ({"alpha": 0}, "alpha=0"),
        ({"layers": []}, "layers"),
        ({"layers": [1]}, "layers"),
        ({"blocks": 0}, "blocks=0"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_name(arguments, said):
    with pytest.raises(kft.InputError, match=said):
        kft.LoRA(**arguments)


@pytest.mark.once
def test_what_names_no_layer_is_told_with_the_names_there_are():
    with pytest.raises(kft.InputError, match=r"layers=\['quarry'\].*matches no layer.* low"):
        adapted(kft.LoRA(2, layers=["quarry"]))
    with pytest.raises(kft.InputError, match=r"blocks=99.* blocks: pass 1 to"):
        adapted(kft.LoRA(2, blocks=99))
    with pytest.raises(kft.InputError, match="has adapters already"):
        adapted(kft.LoRA(2), adapted(kft.LoRA(2)))


@pytest.mark.once
def test_adapters_survive_json():
    for lora in (kft.LoRA(), kft.LoRA(4, 8.0, "attention", 2), kft.LoRA(layers=("query", "value"))):
        assert kft.LoRA.of(json.loads(json.dumps(lora.to_dict()))) == lora
    with pytest.raises(dataclasses.FrozenInstanceError):
        lora.rank = 3
    with pytest.raises(kft.InputError, match=r"adapters=\{'ranc': 2\}"):
        kft.LoRA.of({"ranc": 2})
