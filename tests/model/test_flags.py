"""Weights that the user has frozen stay frozen in every stage, and no others."""

import warnings

import keras
import keras_hub
import numpy as np
import pytest
from keras import layers, ops

import kft
from kft.callbacks import LearningRateWarmup, RunCheckpoint, StagedUnfreezing
from kft.model.flags import decisions, kept_flags
from kft.stages.plan import plan

HEAD = kft.Stage(0, 1, 1e-2)
ALL = kft.Stage("all", 1, 1e-2)


def build():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, name="table")(inputs)
    x = layers.Conv1D(5, 2, name="conv")(x)
    x = layers.EinsumDense("btc,cd->btd", (None, 4), bias_axes="d", name="einsum")(x)
    x = layers.Dense(5, name="dense")(layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


def paths(model, keys):
    return {weight.path for weight in model.weights if id(weight) in keys}


def frozen(model):
    return paths(model, decisions(model).frozen)


def trained(model, stage=ALL):
    with kept_flags(model):
        plan(model, [stage])[0].enter(model)
        return {weight.path for weight in model.trainable_variables}


def kernel_alone(model):
    model.get_layer("einsum").kernel.trainable = False


def kernel_then_fit(model):
    kernel_alone(model)
    for stage in plan(model, [ALL, HEAD]):  # the last stage freezes the whole layer
        stage.enter(model)


def kernel_then_fit_then_freeze(model):
    kernel_alone(model)
    plan(model, [ALL])[0].enter(model)
    model.trainable = False


def kernel_then_thaw(model):
    kernel_then_fit(model)
    model.get_layer("einsum").trainable = True


def whole_layer(model):
    model.get_layer("einsum").trainable = False


def everything(model):
    model.trainable = False


def whole_layer_then_fit(model):
    whole_layer(model)
    for stage in plan(model, [ALL, HEAD]):
        stage.enter(model)


def lora(model, *names):
    for name in names or ("table", "conv", "einsum", "dense"):
        model.get_layer(name).enable_lora(2)


def lora_of_a_frozen_layer(model):
    model.trainable = False
    lora(model)


def lora_then_freeze(model):
    lora(model)
    model.trainable = False


def lora_then_thaw(model):
    lora(model)
    model.trainable = True


BASES = {"table/embeddings", "conv/kernel", "einsum/kernel", "dense/kernel"}


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda model: None, set()),
        (kernel_alone, {"einsum/kernel"}),
        (kernel_then_fit, {"einsum/kernel"}),
        (kernel_then_fit_then_freeze, {"einsum/kernel"}),
        (kernel_then_thaw, set()),
        (whole_layer, set()),
        (everything, set()),
        (whole_layer_then_fit, set()),
        (lora, BASES),
        (lora_of_a_frozen_layer, BASES),
        (lora_then_freeze, BASES),
        (lora_then_thaw, BASES),
    ],
)
def test_a_weight_that_its_owner_froze_is_told_from_a_frozen_layer(prepare, expected):
    model = build()
    prepare(model)
    assert frozen(model) == expected
    assert trained(model) == {w.path for w in model.weights} - expected
    assert frozen(model) == expected, "planning changes nothing"


@pytest.mark.once
def test_a_shared_weight_is_frozen_with_the_layer_that_made_it():
    class Tied(layers.Layer):
        def __init__(self, table):
            super().__init__(name="tied")
            self.table = table

        def call(self, x):
            return ops.matmul(x, ops.transpose(self.table))

    inputs = keras.Input((3,), dtype="int32")
    table = layers.Embedding(5, 4, name="table")
    x = layers.Dense(4, name="dense")(table(inputs))
    model = keras.Model(inputs, Tied(table.embeddings)(x))
    table.trainable = False
    assert frozen(model) == set()
    planned = plan(model, [HEAD, ALL])
    assert [w.path for w in planned[0].groups[0].weights] == ["table/embeddings"]
    assert [len(group.weights) for group in planned[1].groups] == [1, 2, 0], "in one group alone"
    table.trainable = True
    table.embeddings.trainable = False
    assert frozen(model) == {"table/embeddings"}


def bert(**settings):
    body = keras_hub.models.BertBackbone(
        vocabulary_size=30, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16,
        max_sequence_length=12, **settings,
    )  # fmt: skip
    return keras_hub.models.BertTextClassifier(backbone=body, num_classes=2)


@pytest.mark.once
@pytest.mark.parametrize("quantized", [False, True], ids=["float", "int8"])
@pytest.mark.parametrize("freeze", [False, True])
def test_a_keras_hub_backbone_with_lora_trains_what_keras_hub_leaves(quantized, freeze):
    model = bert()
    if quantized:
        with warnings.catch_warnings():  # about layers that have nothing to quantise
            warnings.simplefilter("ignore")
            model.backbone.quantize("int8")
    model.backbone.enable_lora(2)
    expected = {weight.path for weight in model.trainable_variables}
    assert any("lora" in path for path in expected)
    if freeze:
        model.backbone.trainable = False
    assert trained(model) == expected
    assert trained(model, HEAD) == {path for path in expected if path.startswith("logits")}


@pytest.mark.once
def test_keras_hub_notes_lora_as_in_0_32():
    body = bert().backbone
    body.enable_lora(2)
    assert body._lora_enabled_layers, f"KerasHub {keras_hub.__version__} notes LoRA anew"


X = np.random.default_rng(0).integers(0, 9, (16, 6)).astype("int32")
Y = (X[:, 0] > 3).astype("int64")


def values(model):
    return {w.path: np.array(ops.convert_to_numpy(w)) for w in model.weights}


def moved_by(model, *callbacks, epochs=2):
    before = values(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    after = values(model)
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_lora_trains_its_pair_in_one_fit_after_another_and_never_the_base():
    model = build()
    lora(model, "dense", "table")
    model.get_layer("conv").bias.trainable = False
    stages = [HEAD, kft.Stage("all", 1, 1e-2)]
    for _ in range(2):
        moved = moved_by(model, StagedUnfreezing(stages, verbose=0))
        assert {"dense/lora_kernel_b", "table/lora_embeddings_b", "conv/kernel"} <= moved
        assert not moved & {"dense/kernel", "table/embeddings", "conv/bias"}
    fixed = 4 * 5 + 9 * 4 + 5
    assert kft.plan_table(model, [ALL]).rows[0][4] == str(fixed), "the plan counts it as frozen"


@pytest.mark.once
def test_a_resumed_fit_keeps_frozen_what_its_owner_froze(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise RuntimeError

    def run(folder, *more):
        model = build()
        lora(model, "dense")
        model.get_layer("conv").bias.trainable = False
        keep = RunCheckpoint(folder)
        try:
            moved_by(model, keep, StagedUnfreezing([HEAD, ALL], verbose=0), *more)
        except RuntimeError:
            return keep.close()
        return values(model)

    whole = run(tmp_path / "whole")
    assert run(tmp_path / "cut", Crash()) is None
    found = run(tmp_path / "cut")
    fresh = values(build())
    for path, value in whole.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)
    for path in ("dense/kernel", "conv/bias"):
        np.testing.assert_array_equal(found[path], fresh[path])


@pytest.mark.once
def test_kept_features_of_a_model_with_lora_change_nothing():
    results = []
    for cache in (False, True):
        model = build()
        lora(model, "dense", "conv")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-2), loss)
        kft.fit_in_stages(
            model, X, Y, stages=[HEAD, kft.Stage(1, 1, 1e-2), ALL], batch_size=8, cache=cache,
            verbose=0,
        )  # fmt: skip
        results.append(values(model))
    for path, value in results[0].items():
        np.testing.assert_allclose(results[1][path], value, atol=2e-6, err_msg=path)


def test_warmup_alone_trains_a_models_own_weight_and_leaves_every_flag():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.body, self.top = layers.Dense(4, name="body"), layers.Dense(2, name="top")
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, x):
            return self.top(self.body(ops.cast(x, "float32")) * self.scale)

    model = Net()
    model(X[:1])
    model.body.trainable = False
    moved = {path.rpartition("/")[2] for path in moved_by(model, LearningRateWarmup(2))}
    assert moved == {"scale", "kernel", "bias"}
    assert (model.trainable, model.body.trainable, model.top.trainable) == (True, False, True)
