import inspect

import keras
import keras_hub
import pytest
from keras import layers

import kft
from kft.blocks import find_anatomy
from kft.errors import InputError

APPLICATIONS = {
    name: build
    for name, build in vars(keras.applications).items()
    if inspect.isfunction(build) and name[0].isupper()
}


def names(model):
    return [block.name for block in kft.find_blocks(model)]


def with_head(base):
    return keras.Model(base.input, layers.Dense(2, name="new")(base.output))


@pytest.mark.once("tensorflow")  # Keras builds no NASNetMobile on PyTorch
@pytest.mark.parametrize("name", sorted(APPLICATIONS))
def test_every_application_has_blocks_that_cover_its_backbone(name):
    # Without a size, Keras 3.15.1 builds NASNetLarge into a graph that runs at none.
    size = {"input_shape": (331, 331, 3)} if name == "NASNetLarge" else {}
    # No weight gets a value: drawing half a billion takes longer than all else.
    with keras.StatelessScope(initialize_variables=False):
        base = APPLICATIONS[name](weights=None, include_top=False, pooling="avg", **size)
        anatomy = find_anatomy(with_head(base))
    assert 4 <= len(anatomy.blocks) <= 6
    assert "new" in [layer.name for layer in anatomy.head.layers]
    found = [layer for block in anatomy.blocks for layer in block.layers]
    assert len(found) == len(set(found)), "a layer lies in one block"
    weighted = {
        layer
        for layer in base._flatten_layers()
        if layer.weights and not isinstance(layer, (keras.Model, layers.Normalization))
    }
    assert weighted <= {*found, *anatomy.head.layers}
    assert sum(len(layer.weights) for layer in anatomy.head.layers) <= 4
    assert len({block.name for block in anatomy.blocks}) == len(anatomy.blocks)
    keras.backend.clear_session()


@pytest.mark.parametrize(
    ("build", "size", "expected"),
    [
        (keras.applications.VGG16, 32, ["block5", "block4", "block3", "block2", "block1"]),
        (keras.applications.ResNet50, 32, ["conv5", "conv4", "conv3", "conv2", "conv1"]),
    ],
    ids=["VGG16", "ResNet50"],
)
def test_familiar_names_nearest_the_head_first(build, size, expected):
    base = build(weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3))
    assert names(with_head(base)) == expected


def test_a_nested_backbone_has_the_blocks_of_a_flat_one():
    base = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(32, 32, 3))
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(layers.RandomFlip()(inputs))
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    model = keras.Model(inputs, layers.Dense(2, name="new")(x))
    assert names(model) == ["conv5", "conv4", "conv3", "conv2", "conv1"]
    assert [layer.name for layer in find_anatomy(model).head.layers] == ["new"]
    outer = keras.Sequential([keras.Input((32, 32, 3)), model])
    assert names(outer) == names(model)


def test_images_of_any_size_give_the_same_blocks():
    fixed = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", alpha=0.35, input_shape=(96, 96, 3)
    )
    free = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", alpha=0.35, input_shape=(None, None, 3)
    )
    assert names(with_head(free)) == names(with_head(fixed))


def test_a_border_lies_in_front_of_a_widening():
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", alpha=0.35, input_shape=(96, 96, 3)
    )
    top = kft.find_blocks(with_head(base))[0]
    assert top.layers[0].name == "block_13_expand"


BACKBONES = {
    "bert": (keras_hub.models.BertBackbone, keras_hub.models.BertTextClassifier, 4),
    "roberta": (keras_hub.models.RobertaBackbone, keras_hub.models.RobertaTextClassifier, 4),
    "distil_bert": (
        keras_hub.models.DistilBertBackbone,
        keras_hub.models.DistilBertTextClassifier,
        4,
    ),
    "deberta": (keras_hub.models.DebertaV3Backbone, keras_hub.models.DebertaV3TextClassifier, 4),
    "f_net": (keras_hub.models.FNetBackbone, keras_hub.models.FNetTextClassifier, 5),
}


@pytest.mark.parametrize("kind", sorted(BACKBONES))
def test_text_backbones_have_a_block_for_each_layer_and_one_for_the_embeddings(kind):
    backbone, classifier, expected = BACKBONES[kind]
    heads = {} if kind == "f_net" else {"num_heads": 2}
    body = backbone(
        vocabulary_size=30,
        num_layers=3,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=12,
        **heads,
    )
    model = classifier(backbone=body, num_classes=2)
    blocks = kft.find_blocks(model)
    assert len(blocks) == expected
    assert "layer_2" in blocks[0].name
    assert "embedding" in blocks[-1].name
    assert "logits" in [layer.name for layer in find_anatomy(model).head.layers]


def test_a_shared_layer_lies_in_one_block():
    body = keras_hub.models.AlbertBackbone(
        vocabulary_size=30,
        num_layers=4,
        num_heads=2,
        embedding_dim=8,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=12,
    )
    found = kft.find_blocks(keras_hub.models.AlbertTextClassifier(backbone=body, num_classes=2))
    every = [layer for block in found for layer in block.layers]
    assert len(every) == len(set(every))


def test_a_sequential_mlp_has_a_block_for_each_layer_and_its_norm():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(4, name="one"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(4, name="two"),
            layers.Dense(2, name="out"),
        ]
    )
    assert [[layer.name for layer in block.layers] for block in kft.find_blocks(model)] == [
        ["two"],
        ["one", "norm"],
    ]


def test_a_subclassed_model_is_told_to_name_its_layers():
    class Own(keras.Model):
        pass

    with pytest.raises(InputError, match=r"'own'.*subclassed.*unfreeze=\['encoder_3"):
        kft.find_blocks(Own(name="own"))


def test_a_model_without_weights_is_refused():
    inputs = keras.Input((4,))
    with pytest.raises(InputError, match="no weights"):
        kft.find_blocks(keras.Model(inputs, layers.ReLU()(inputs)))


def test_a_block_prints_its_size():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4, name="a"), layers.Dense(2)])
    assert repr(kft.find_blocks(model)[0]) == "Block('a', 1 layers, 36 parameters)"
