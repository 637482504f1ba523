"""The functions behind an export's signatures, in TensorFlow's graph ops.

Only imported where Keras runs on the TensorFlow backend.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kft.export.promises import LABEL_SEPARATOR
from kft.export.servable import Servable

Call = Callable[[keras.Model, Any], Any]  # how a model is applied to inputs
Functions = dict[str, tuple[Callable[[tf.Tensor], dict[str, tf.Tensor]], tf.TensorSpec]]


def call_plainly(model: keras.Model, inputs: Any) -> Any:
    """Apply a model with its own variables, in inference mode."""
    return model(inputs, training=False)


def functions(servable: Servable, call: Call = call_plainly) -> Functions:
    """Return for each signature its function and the specification of its input.

    Args:
        servable: The model and the way to its inputs.
        call: How to apply a model; another way where the variables are stored otherwise.
    """
    model = servable.model
    whole = keras.Model(model.input, [model.output, servable.embedding])
    raw = tf.TensorSpec([None], tf.string, name="inputs")

    def score(inputs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        scores, features = call(whole, inputs)
        return tf.cast(scores, tf.float32), tf.cast(features, tf.float32)

    # Each is traced and stored once, whichever signatures ask; what one does not need is not run.
    # Saving traces the signatures again, which then find these as they are.
    decode = tf.function(servable.decode, autograph=False).get_concrete_function(raw)
    apply = tf.function(score, autograph=False).get_concrete_function(decode.structured_outputs)

    def parse(serialized: tf.Tensor) -> Any:
        name = servable.feature_name
        feature = tf.io.FixedLenFeature([], tf.string)
        return decode(tf.io.parse_example(serialized, {name: feature})[name])

    def predict(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(servable, apply(decode(inputs))[0])

    def embed(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": apply(decode(inputs))[1]}

    def tensors(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(servable, apply(inputs)[0])

    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        answered = answer(servable, apply(parse(inputs))[0])
        return {"classes": answered["classes"], "scores": answered["scores"]}

    def regress(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": apply(parse(inputs))[0][:, 0]}

    made: Functions = {"serving_default": (predict, raw), "embed": (embed, raw)}
    if servable.modality == "image":
        shape = [None, *model.inputs[0].shape[1:]]
        made["tensors"] = (tensors, tf.TensorSpec(shape, tf.float32, name="inputs"))
    if servable.task != "regression":
        made["classify"] = (classify, raw)
    elif servable.targets == 1:
        made["regress"] = (regress, raw)
    return made


def answer(servable: Servable, scores: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the outputs of `serving_default` that belong to scores [n, k]."""
    if servable.classes is None:
        return {"value": scores[:, 0] if servable.targets == 1 else scores}
    order = tf.argsort(scores, axis=1, direction="DESCENDING", stable=True)
    classes = tf.gather(tf.constant(servable.classes), order)
    ordered = tf.gather(scores, order, batch_dims=1)
    if servable.task == "single_label":
        label = classes[:, 0]
    else:
        chosen = tf.ragged.boolean_mask(classes, ordered >= servable.threshold)
        label = tf.strings.reduce_join(chosen, axis=1, separator=LABEL_SEPARATOR)
    return {"classes": classes, "scores": ordered, "label": label}
