import inspect

import keras
import keras_hub
import pytest
from keras import layers

import kft
from kft.errors import InputError
from kft.model.blocks import find_anatomy
from kft.stages.plan import plan

APPLICATIONS = {
    name: build
    for name, build in vars(keras.applications).items()
    if inspect.isfunction(build) and name[0].isupper()
}


def names(model):
    return [block.name for block in kft.find_blocks(model)]


def with_head(base):
    return keras.Model(base.input, layers.Dense(2, name="new")(base.output))


@pytest.mark.once("tensorflow")  # Keras cannot build NASNetMobile on PyTorch
@pytest.mark.parametrize("name", sorted(APPLICATIONS))
def test_every_application_has_blocks_that_cover_its_backbone(name):
    # Without a size, Keras 3.15.1 builds NASNetLarge into a graph that runs at no size.
    size = {"input_shape": (331, 331, 3)} if name == "NASNetLarge" else {}
    # No weight is initialized: drawing half a billion takes longer than everything else.
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


def dense(name, x, units=3):
    return layers.Dense(units, name=name)(x)


def conv(name, x, filters=4):
    return layers.Conv2D(filters, 3, padding="same", name=name)(x)


def pooled(x):
    return layers.GlobalAveragePooling2D()(x)


def on_a_vector(x):
    x = dense("body2", dense("body1", x))
    return [dense("out_a", x), dense("out_b", x)]


def with_a_hidden_layer(x):
    x = dense("body2", dense("body1", x))
    return {"a": dense("out_a", dense("out_hidden", x, 9)), "b": dense("out_b", x)}


def three_of_which_two_share(x):
    x = dense("body", x)
    both = dense("out_both", x)
    return [dense("out_a", both), dense("out_b", both), dense("out_c", x)]


def tokens_and_their_intent(x):
    x = dense("body2", dense("body1", layers.Reshape((2, 3))(x)))
    return [dense("out_tokens", x), dense("out_intent", x[:, 0])]


def features_too(x):
    x = dense("body", x)
    return [dense("out", x), x]


def one_layer_twice(x):
    x = dense("out", dense("body", x))
    return [layers.Softmax()(x), layers.ReLU()(x)]


@pytest.mark.once
@pytest.mark.parametrize(
    "make",
    [on_a_vector, with_a_hidden_layer, three_of_which_two_share, tokens_and_their_intent,
     features_too, one_layer_twice],
)  # fmt: skip
def test_all_that_leads_to_some_of_several_outputs_is_head(make):
    inputs = keras.Input((6,))
    anatomy = find_anatomy(keras.Model(inputs, make(inputs)))
    assert all(layer.name.startswith("out") for layer in anatomy.head.layers)
    assert anatomy.blocks
    assert all(layer.name[:4] == "body" for block in anatomy.blocks for layer in block.layers)


def boxes_and_scores(x):
    return [conv("out_boxes", x), conv("out_scores", x)]


def towers(x):
    return [conv(f"out_{n}", conv(f"out_{n}_2", conv(f"out_{n}_1", x))) for n in ("a", "b")]


def one_tower_on_every_level(x):
    lower = conv("body3", layers.MaxPooling2D()(x))
    x = layers.Add()([x, layers.UpSampling2D()(lower)])
    outputs = []
    for name in ("boxes", "scores"):
        first, last = (layers.Conv2D(4, 3, padding="same", name=f"out_{name}_{n}") for n in "ab")
        levels = [layers.Reshape((-1, 4))(last(first(level))) for level in (x, lower)]
        outputs.append(layers.Concatenate(axis=1)(levels))
    return outputs


def pooled_heads(x):
    x = pooled(x)
    return [dense("out_a", dense("out_hidden", x)), dense("out_b", x)]


def scores_of_pixels_and_of_the_image(x):
    return [conv("out_pixels", x), dense("out_image", pooled(x))]


@pytest.mark.once
@pytest.mark.parametrize(
    "make",
    [boxes_and_scores, towers, pooled_heads, scores_of_pixels_and_of_the_image],
)
def test_heads_on_a_convolutional_network_are_told_from_it(make):
    inputs = keras.Input((16, 16, 3))
    body = conv("body2", layers.MaxPooling2D()(conv("body1", inputs)))
    anatomy = find_anatomy(keras.Model(inputs, make(body)))
    assert all(layer.name.startswith("out") for layer in anatomy.head.layers)
    assert [block.name for block in anatomy.blocks] == ["body2", "body1"]


@pytest.mark.once
def test_towers_that_every_level_shares_are_heads():
    inputs = keras.Input((16, 16, 3))
    anatomy = find_anatomy(keras.Model(inputs, one_tower_on_every_level(conv("body1", inputs))))
    assert all(layer.name.startswith("out") for layer in anatomy.head.layers)
    assert [block.name for block in anatomy.blocks] == ["body3", "body1"]


def an_auxiliary_output(x):
    return [dense("out", pooled(conv("body3", x))), dense("auxiliary", pooled(x))]


def an_auxiliary_branch(x):
    deep = x
    for number in range(3, 8):
        deep = conv(f"body{number}", deep)
    return [dense("out", pooled(deep)), dense("auxiliary", pooled(conv("side", x)))]


def a_decoder(x):
    up = conv("up2", conv("up1", layers.UpSampling2D()(x)))
    return [conv("out", up), dense("out_image", pooled(x))]


def supervised_in_depth(x):
    up = conv("up2", conv("up1", layers.UpSampling2D()(x)))
    return [conv("out", up), conv("auxiliary", x)]


@pytest.mark.once
@pytest.mark.parametrize(
    "make", [an_auxiliary_output, an_auxiliary_branch, a_decoder, supervised_in_depth]
)
def test_a_branch_that_may_be_head_or_backbone_is_not_guessed_about(make):
    inputs = keras.Input((16, 16, 3))
    body = conv("body2", layers.MaxPooling2D()(conv("body1", inputs)))
    model = keras.Model(inputs, make(body), name="both")
    with pytest.raises(
        InputError, match=r"'both' has several outputs.*Nest the backbone.*patterns"
    ):
        plan(model, [kft.Stage(0, 1, 0.1), kft.Stage("all", 1, 0.1)])
    planned = plan(model, [kft.Stage(["out*"], 1, 0.1), kft.Stage("all", 1, 0.1)])
    assert {weight.path[:3] for weight in planned[0].groups[0].weights} == {"out"}
    assert len(planned[1].groups[0].weights) == len(model.trainable_variables)
    nested = keras.Sequential([inputs, keras.Model(inputs, body, name="backbone")])
    whole = keras.Model(inputs, make(nested(inputs)))
    head = {layer.name for layer in find_anatomy(whole).head.layers}
    assert {layer.name for layer in model.layers if layer.weights} - head == {"body1", "body2"}


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
