"""`unfreeze="all"` trains the same weights as a plain fit of any model, each in one group."""

import keras
import keras_hub
import numpy as np
import pytest
from keras import layers, ops

import kft
from kft.cache.cut import find_cut
from kft.callbacks import StagedUnfreezing
from kft.errors import InputError
from kft.stages.plan import plan
from tests.models import convnet

X = np.random.default_rng(0).normal(size=(8, 6, 4)).astype("float32")


class Tokens(layers.Layer):
    """A layer that prepends a class token and adds its own position embeddings."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.project, self.norm = layers.Dense(4), layers.LayerNormalization()

    def build(self, shape):
        self.project.build(shape)
        self.norm.build((*shape[:-1], 4))
        self.token = self.add_weight(shape=(1, 1, 4), name="token")
        self.positions = self.add_weight(shape=(1, shape[1] + 1, 4), name="positions")

    def call(self, x):
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, 4))
        return ops.concatenate([token, self.norm(self.project(x))], 1) + self.positions

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] + 1, 4)


class Inner(keras.Model):
    """A model with layers, a nested model and a weight of its own."""

    def __init__(self, deep=True, **kwargs):
        super().__init__(**kwargs)
        self.steps = [layers.Dense(4, name=f"step_{number}") for number in range(2)]
        self.norm = layers.BatchNormalization(name="norm")
        self.deeper = Inner(deep=False, name="deeper") if deep else None
        self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")

    def build(self, shape):
        for layer in (*self.steps, self.norm, *([self.deeper] if self.deeper else [])):
            layer.build(shape)

    def call(self, x):
        for step in self.steps:
            x = step(x)
        x = self.norm(x) * self.scale
        return x if self.deeper is None else self.deeper(x)

    def compute_output_shape(self, shape):
        return shape


class Outer(keras.Model):
    def __init__(self):
        super().__init__(name="outer")
        self.inner = Inner(name="inner")
        self.parts = {"top": layers.Dense(2, name="top")}
        self.temperature = self.add_weight(shape=(), initializer="ones", name="temperature")

    def call(self, x):
        return self.parts["top"](ops.mean(self.inner(x), axis=1)) / self.temperature


class Contrastive(keras.Model):
    """A functional model with a temperature and layers outside of its graph."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, name="contrastive")
        self.temperature = self.add_weight(shape=(), initializer="ones", name="temperature")
        self.projector = layers.Dense(3, name="projector")
        self.projector.build((None, 2))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(self.projector(y_pred) ** 2) * self.temperature**2


def on_top(*parts):
    inputs = keras.Input((6, 4))
    x = inputs
    for part in parts:
        x = part(x)
    x = layers.GlobalAveragePooling1D()(x)
    return inputs, layers.Dense(2, name="head")(x)


def functional(*parts):
    return keras.Model(*on_top(*parts))


def subclassed():
    model = Outer()
    model(X)
    return model


def nested():
    inputs = keras.Input((6, 4))
    x = layers.Dense(4, name="body")(Tokens(name="tokens")(inputs))
    return functional(keras.Model(inputs, x, name="backbone"))


def sequential():
    found = [keras.Input((6, 4)), Tokens(), Inner(), layers.Flatten(), layers.Dense(2)]
    return keras.Sequential(found)


def over_time():
    inputs = keras.Input((3, 16, 16, 3))
    whole = convnet()
    body = keras.Model(whole.input, whole.get_layer("c3").output)
    x = layers.TimeDistributed(layers.Conv2D(3, 3))(layers.TimeDistributed(body)(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def bert():
    body = keras_hub.models.BertBackbone(
        vocabulary_size=30, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16,
        max_sequence_length=12,
    )  # fmt: skip
    return keras_hub.models.BertTextClassifier(backbone=body, num_classes=2)


def vit():
    body = keras_hub.models.ViTBackbone(
        image_shape=(16, 16, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16,
    )  # fmt: skip
    return keras_hub.models.ViTImageClassifier(
        backbone=body,
        num_classes=2,
        preprocessor=None,
    )


ZOO = {
    "flat": convnet,
    "layer with weights and layers": lambda: functional(Tokens(), layers.Dense(4)),
    "nested functional": nested,
    "nested subclassed": lambda: functional(Inner()),
    "subclassed": subclassed,
    "sequential": sequential,
    "functional with own weights": lambda: Contrastive(*on_top(layers.Dense(4, name="body"))),
    "one layer with own weights": lambda: Contrastive(*on_top()),
    "recurrent": lambda: functional(
        layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
        layers.RNN(layers.GRUCell(3), return_sequences=True),
    ),
    "wrapped": lambda: functional(layers.SpectralNormalization(layers.Dense(4))),
    "over time": over_time,
    "bert": bert,
    "vit": vit,
}


@pytest.mark.once
@pytest.mark.parametrize("kind", ZOO)
def test_all_trains_what_a_plain_fit_trains_each_in_one_group(kind):
    model = ZOO[kind]()
    plain = {weight.path: weight for weight in model.trainable_variables}
    stage = kft.Stage("all", 1, 0.1)
    (planned,) = plan(model, [stage], batch_norm="train")
    planned.enter(model)
    assert {weight.path for weight in model.trainable_variables} == set(plain)
    grouped = [id(weight) for group in planned.groups for weight in group.variables]
    assert sorted(grouped) == sorted(id(weight) for weight in plain.values())
    norms = {
        id(weight)
        for layer in model._flatten_layers()
        if isinstance(layer, layers.BatchNormalization)
        for weight in layer.weights
    }
    (planned,) = plan(model, [stage])
    planned.enter(model)
    trained = {id(weight) for weight in model.trainable_variables}
    assert trained == {id(weight) for weight in plain.values()} - norms


@pytest.mark.once
def test_a_models_own_weights_train_with_its_deepest_block():
    model = Contrastive(*on_top(layers.Dense(4, name="low"), layers.Dense(4, name="high")))
    stages = [kft.Stage(n, 1, 0.1, layer_decay=0.5) for n in range(3)]
    own = {"temperature", "projector"}
    for planned in plan(model, stages):
        deepest = planned.groups[-1]
        found = {weight.path.split("/")[-2] for weight in deepest.weights} | {
            weight.name for weight in deepest.weights
        }
        assert own.issubset(found) == (planned.stage.unfreeze == 2)
    assert planned.groups[-1].name == "low"
    assert planned.groups[-1].learning_rate == 0.025
    assert kft.find_blocks(model)[-1].parameters == 4 * 4 + 4 + 1 + 2 * 3 + 3


@pytest.mark.once
@pytest.mark.parametrize("pattern", ["temperature", "outer/temp*", "inner/scale", "*/scale"])
def test_a_pattern_reaches_a_models_own_weight(pattern):
    model = subclassed()
    (planned,) = plan(model, [kft.Stage([pattern], 1, 0.1)])
    found = {weight.path for weight in planned.groups[0].weights}
    assert found
    assert found <= {"outer/temperature", "outer/inner/scale", "inner/scale", "deeper/scale",
                     "outer/inner/deeper/scale", "inner/deeper/scale"}  # fmt: skip


def test_a_models_own_weights_train_in_stages():
    model = Contrastive(*on_top(layers.Dense(4, name="body")))
    model.compile(keras.optimizers.Adam())
    before = {w.path: np.array(ops.convert_to_numpy(w)) for w in model.weights}
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            now = {w.path: np.array(ops.convert_to_numpy(w)) for w in self.model.weights}
            seen.append({w for w in now if not np.array_equal(now[w], before[w])})

    stages = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 1, 1e-2)]
    model.fit(
        X, np.zeros(8), epochs=2, verbose=0, callbacks=[StagedUnfreezing(stages, verbose=0), Spy()]
    )
    assert [path.split("/")[-2] for path in sorted(seen[0])] == ["head", "head"]
    assert seen[1] == set(before)


@pytest.mark.once
def test_kept_features_are_refused_where_they_would_leave_something_out():
    model = Contrastive(*on_top(layers.Dense(4, name="body")))
    plan(model, [kft.Stage(0, 1, 0.1)])[0].enter(model)
    assert find_cut(model)[1] == "the model overrides compute_loss, which its parts would not do"
    inputs = keras.Input((6, 4))
    plain = keras.Model(inputs, layers.Dense(2, name="head")(layers.Dense(4, name="body")(inputs)))
    plain.temperature = plain.add_weight(shape=(), name="temperature")
    plan(plain, [kft.Stage(["temperature"], 1, 0.1)])[0].enter(plain)
    assert find_cut(plain)[1] == "the stage trains weights outside of the model's graph"


NAMES = ["dense [x]", "dense x", "a*", "ab", "b?", "bc", "[!c]", "plain"]


@pytest.mark.once
@pytest.mark.parametrize("name", NAMES)
def test_the_exact_name_of_a_layer_means_that_layer(name):
    inputs = x = keras.Input((4,))
    for each in NAMES:
        x = layers.Dense(4, name=each)(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    for pattern in (name, model.get_layer(name).path):
        (planned,) = plan(model, [kft.Stage([pattern], 1, 0.1)])
        assert [group.name for group in planned.groups] == ["head", name]


@pytest.mark.once
def test_the_exact_name_of_a_block_means_that_block():
    inputs = x = keras.Input((4,))
    for each in ("first [a]", "second [a]"):
        x = layers.LayerNormalization(name=f"{each} norm")(layers.Dense(4, name=each)(x))
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    block = kft.find_blocks(model)[1]
    assert (block.name, len(block.layers)) == ("first [a]", 2)
    (planned,) = plan(model, [kft.Stage([block.name], 1, 0.1)])
    assert planned.groups[1].layers == block.layers
    with pytest.raises(
        InputError, match=r"'third \[a\]' matches no layer.*begin with second \[a\]"
    ):
        plan(model, [kft.Stage(["third [a]"], 1, 0.1)])
