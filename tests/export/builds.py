"""Tiny models and their exports, built by a process that runs Keras on TensorFlow.

`python builds.py FOLDER NAME...` writes FOLDER/NAME/1 for each name, or prints why it is refused. With
`--servers`, the addresses of `tests/warm.py`, it checks them in processes of these servers.
"""

import argparse
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

MADE = (
    "image",
    "multi_label",
    "regression",
    "regression_of_two",
    "text",
    "half",
    "int8",
    "large_values",
    "unfoldable",
)
REFUSED = (
    "raises_for_a_bad_row",
    "one_weight",
    "half_one_weight",
    "int8_one_weight",
    "dropout_at_inference",
    "counts_requests",
    "python_in_the_graph",
    "other_preprocessing",
    "compiled_by_xla",
    "integers_of_equal_scores",
    "reserved_name",
)
SIZE = 12
MAX_PIXELS = 100_000
WORDS = ["great", "film", "dull", "plot", "a", "the", "##s", "##ly", "new", "?", "é", "日"]
TEXTS = ("a great film", "the dull plot", "", "ÉTÉ 日本 films?", "a" * 300, "new new new new " * 9)


def png(seed: int, size: tuple[int, int] = (14, 17), mode: str = "RGB") -> bytes:
    generator = np.random.default_rng(seed)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = generator.integers(0, 256, (*size, *channels), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pixels_of(encoded):
    """Decode images without checks, which is traced faster than the decoding of recipes."""
    import tensorflow as tf

    def one(raw):
        image = tf.io.decode_image(raw, channels=3, expand_animations=False)
        return tf.image.resize(tf.cast(image, tf.float32), (SIZE, SIZE), antialias=True)

    return tf.map_fn(one, encoded, fn_output_signature=tf.TensorSpec((SIZE, SIZE, 3), tf.float32))


def rows_of(encoded):
    """Decode as recipes do, with a size limit and each row separately."""
    from kft.data.served_images import decode_rows

    return decode_rows(encoded, (SIZE, SIZE), MAX_PIXELS)


def png_rows(decode):
    """Return a function that decodes rows with a PNG signature by a function of pixels."""
    import tensorflow as tf

    def decode_rows(raw):
        is_png = tf.equal(tf.strings.substr(raw, 0, 4), b"\x89PNG")
        return decode(tf.boolean_mask(raw, is_png)), tf.where(is_png, "", "not a PNG")

    return decode_rows


def image_model(targets: int, activation: str | None, layer=None):
    import keras

    keras.utils.set_random_seed(3)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3)(x)
    x = keras.layers.BatchNormalization()(x)
    if layer is not None:
        x = layer(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.5, name="head_dropout")(x)
    x = keras.layers.Dense(targets, kernel_initializer="he_normal", name="predictions")(x)
    return keras.Model(inputs, keras.layers.Activation(activation, name="scores")(x))


def image():
    return image_servable(decode=rows_of)


def image_servable(
    task=None, targets=3, activation="softmax", classes=("cat", "dög", "猫"), **more
):
    import tensorflow as tf

    from kft.export.servable import Servable
    from kft.tasks import Classification

    model = more.pop("model", None) or image_model(targets, activation)
    more.setdefault("features", model.get_layer("head_dropout").input)
    return Servable(
        model=model,
        decode=more.pop("decode", png_rows(pixels_of)),
        predict=more.pop(
            "predict", lambda raw: model.predict(pixels_of(tf.constant(raw)), verbose=0)
        ),
        modality="image",
        task=task or Classification(targets),
        classes=classes,
        examples=tuple(png(seed) for seed in range(5)),
        **more,
    )


def large_values():
    """Build a model with values of thousands before BatchNorm, so that features keep four digits."""
    import tensorflow as tf

    model = image_model(3, "softmax")
    generator = np.random.default_rng(0)
    convolution, norm = model.layers[2], model.layers[3]
    convolution.bias.assign(generator.normal(0, 3000, convolution.bias.shape))
    norm.gamma.assign(generator.uniform(20, 60, norm.gamma.shape))
    norm.momentum = 0.0  # use the statistics of this batch
    model(pixels_of(tf.constant([png(seed) for seed in range(5)])), training=True)
    predictions = model.get_layer("predictions")
    predictions.kernel.assign(predictions.kernel / 20)
    return image_servable(model=model)


def unfoldable():
    """Build a model whose product of kernel and scale overflows float32."""
    model = image_model(3, "softmax")
    convolution, norm = model.layers[2], model.layers[3]
    model.layers[1].scale = 1e-27
    convolution.kernel.assign(convolution.kernel * 1e25)
    norm.gamma.assign(norm.gamma * 1e15)
    norm.moving_variance.assign(norm.moving_variance * 0 + 1e-6)
    return image_servable(model=model)


def one_weight():
    """Build a model whose export differs from the predicting model in one weight."""
    import keras

    right = image_servable()
    model = keras.models.clone_model(right.model)
    kernel, *others = right.model.get_weights()
    kernel[1, 1, 0, 0] *= 1.01
    model.set_weights([kernel, *others])
    return image_servable(model=model, predict=right.predict)


def half_one_weight():
    from kft.export import storage

    wrong = one_weight()
    storage.round_weights(wrong.model)
    right = half()
    storage.round_weights(right.model)
    return dataclasses.replace(wrong, predict=right.predict)


def int8_one_weight():
    from kft.export import storage

    wrong = one_weight()
    storage.quantize(wrong.model)
    return dataclasses.replace(wrong, predict=int8().predict)


def multi_label():
    from kft.tasks import MultiLabel

    return image_servable(MultiLabel(4), 4, "sigmoid", ("a", "b", "c", "d"))


def regression():
    from kft.tasks import Regression

    return image_servable(Regression(), 1, None, None, decode=rows_of)


def regression_of_two():
    from kft.tasks import Regression

    return image_servable(Regression(2), 2, None, None)


def text():
    import keras
    import keras_hub
    import tensorflow as tf

    from kft.export.servable import Servable
    from kft.recipe.tokenization import utf8_rows
    from kft.tasks import Classification

    keras.utils.set_random_seed(5)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = keras_hub.models.BertTokenizer(vocabulary, lowercase=True)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=16)

    def decode(raw):
        texts, status = utf8_rows(raw)
        return preprocessor(texts), status

    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(vocabulary), num_layers=1, num_heads=2, hidden_dim=8,
        intermediate_dim=16, max_sequence_length=16,
    )  # fmt: skip
    x = keras.layers.Dense(2, kernel_initializer="he_normal", name="predictions")(
        backbone.output["pooled_output"]
    )
    model = keras.Model(backbone.input, keras.layers.Activation("softmax", name="scores")(x))
    return Servable(
        model=model,
        decode=decode,
        predict=lambda raw: model.predict(preprocessor(tf.constant(raw)), verbose=0),
        modality="text",
        task=Classification(2),
        classes=("bad", "good"),
        features=backbone.output["pooled_output"],
        examples=tuple(text.encode() for text in TEXTS),
        resources=(preprocessor,),
    )


def dropout_at_inference():
    import keras

    class AlwaysDrop(keras.layers.Layer):
        def call(self, x):
            return keras.random.dropout(x, 0.5)

    return image_servable(model=image_model(3, "softmax", AlwaysDrop()))


def counts_requests():
    import keras

    class Counter(keras.layers.Layer):
        def build(self, shape):
            self.count = self.add_weight(name="count", trainable=False, initializer="zeros")

        def call(self, x):
            self.count.assign_add(1.0)
            return x

    return image_servable(model=image_model(3, "softmax", Counter()))


def python_in_the_graph():
    import tensorflow as tf

    def decode(encoded):
        decoded = tf.numpy_function(lambda raw: pixels_of(raw).numpy(), [encoded], tf.float32)
        return tf.ensure_shape(decoded, (None, SIZE, SIZE, 3))

    return image_servable(decode=png_rows(decode))


def other_preprocessing():
    return image_servable(decode=png_rows(lambda encoded: pixels_of(encoded) / 2))


def compiled_by_xla():
    import tensorflow as tf

    compiled = tf.function(lambda x: x + 0.0, jit_compile=True)
    return image_servable(decode=png_rows(lambda raw: compiled(pixels_of(raw))))


def raises_for_a_bad_row():
    import tensorflow as tf

    return image_servable(decode=lambda raw: (pixels_of(raw), tf.fill(tf.shape(raw), "")))


def integers_of_equal_scores():
    """Build a model in which only rounding, and no tie rule, decides between two equal classes."""
    from kft.answers import Rules
    from kft.tasks import Classification

    class Bare(Classification):
        def answer(self, outputs, classes, ops):
            return {"best": ops.largest(outputs)}

        def answer_rules(self):
            return Rules()

    model = image_model(2, "softmax")
    predictions = model.get_layer("predictions")
    kernel, bias = predictions.get_weights()
    predictions.set_weights([np.repeat(kernel[:, :1], 2, axis=1), bias])
    return image_servable(Bare(2), 2, model=model)


def reserved_name():
    from kft.tasks import Task

    class Reserved(Task):
        name = "reserved"

        def answer(self, outputs, classes, ops):
            return {"status": outputs}

    return image_servable(Reserved())


def half():
    return image_servable()


def int8():
    from kft.export import storage

    servable = image_servable()
    storage.quantize(servable.model)
    return servable


def main(folder: str, names: list[str], servers: dict[str, str] | None) -> None:
    from kft.errors import KftError
    from kft.export import launch, saved_model

    if servers:
        from tests import warm

        warm.ADDRESSES.update(servers)
        launch.subprocess = warm.Exports
    for name in names:
        weights = {"half": "float16", "int8": "int8"}.get(name.partition("_")[0], "float32")
        try:
            saved_model.write(globals()[name](), Path(folder) / name, weights=weights)
        except KftError as error:
            print(json.dumps({"name": name, "refused": str(error)}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--servers", type=json.loads)
    main(**vars(parser.parse_args()))

    from tests.leaving import leave

    leave()
