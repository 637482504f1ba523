"""The functions behind an export's signatures, in TensorFlow's graph ops.

Only imported where Keras runs on the TensorFlow backend.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kft.data.surviving import map_surviving
from kft.export.promises import LABEL_SEPARATOR
from kft.export.servable import Servable

NOT_FINITE = "not finite numbers"

Call = Callable[[keras.Model, Any], Any]  # how a model is applied to inputs
Functions = dict[str, tuple[Callable[[tf.Tensor], dict[str, tf.Tensor]], tf.TensorSpec]]


def call_plainly(model: keras.Model, inputs: Any) -> Any:
    """Apply a model with its own variables, in inference mode."""
    return model(inputs, training=False)


def functions(servable: Servable, decode: Any, call: Call = call_plainly) -> Functions:
    """Return for each signature its function and the specification of its input.

    Args:
        servable: The model.
        decode: `servable.decode`, traced to a concrete function.
        call: How to apply a model; another way where the variables are stored otherwise.
    """
    model = servable.model
    whole = keras.Model(model.input, [model.output, servable.embedding])
    raw = tf.TensorSpec([None], tf.string, name="inputs")

    def score(inputs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        scores, features = call(whole, inputs)
        return tf.cast(scores, tf.float32), tf.cast(features, tf.float32)

    # Traced and stored once, as `decode` is, whichever signatures ask; what one does not need is not
    # run. Saving traces the signatures again, which then find these as they are.
    decoded, _ = decode.structured_outputs
    apply = tf.function(score, autograph=False).get_concrete_function(decoded)

    def answered(inputs: Any, status: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The scores and features of all rows: of the good ones as if there were no others."""
        scores, features = apply(_at_least_one(inputs))
        return _spread(scores, status), _spread(features, status)

    def parse(serialized: tf.Tensor) -> tuple[Any, tf.Tensor]:
        name = servable.feature_name
        feature = {name: tf.io.FixedLenFeature([], tf.string)}
        index, values = map_surviving(
            lambda one: tf.io.parse_single_example(one, feature)[name], serialized, ""
        )
        inputs, status = decode(values)
        unparsed = tf.fill(tf.shape(serialized), f"no tf.Example with one {name!r}")
        return inputs, tf.tensor_scatter_nd_update(unparsed, index[:, None], status)

    def predict(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded, status = decode(inputs)
        return answer(servable, answered(decoded, status)[0], status)

    def embed(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded, status = decode(inputs)
        return {"features": answered(decoded, status)[1], "status": status}

    def tensors(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        is_good = tf.reduce_all(tf.math.is_finite(inputs), axis=list(range(1, len(inputs.shape))))
        good = tf.cond(
            tf.reduce_all(is_good), lambda: inputs, lambda: tf.boolean_mask(inputs, is_good)
        )
        status = tf.where(is_good, "", NOT_FINITE)
        return answer(servable, answered(tf.ensure_shape(good, inputs.shape), status)[0], status)

    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded, status = parse(inputs)
        found = answer(servable, answered(decoded, status)[0], status)
        return {"classes": found["classes"], "scores": found["scores"]}

    def regress(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded, status = parse(inputs)
        return {"outputs": answered(decoded, status)[0][:, 0]}

    made: Functions = {"serving_default": (predict, raw), "embed": (embed, raw)}
    if servable.modality == "image":
        shape = [None, *model.inputs[0].shape[1:]]
        made["tensors"] = (tensors, tf.TensorSpec(shape, tf.float32, name="inputs"))
    if servable.task != "regression":
        made["classify"] = (classify, raw)
    elif servable.targets == 1:
        made["regress"] = (regress, raw)
    return made


def answer(servable: Servable, scores: tf.Tensor, status: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the outputs of `serving_default` that belong to scores [n, k], NaN in bad rows."""
    if servable.classes is None:
        return {"value": scores[:, 0] if servable.targets == 1 else scores, "status": status}
    order = tf.argsort(scores, axis=1, direction="DESCENDING", stable=True)
    is_good = tf.equal(status, "")
    classes = tf.where(is_good[:, None], tf.gather(tf.constant(servable.classes), order), "")
    ordered = tf.gather(scores, order, batch_dims=1)
    if servable.task == "single_label":
        label = classes[:, 0]
    else:
        chosen = tf.ragged.boolean_mask(classes, ordered >= servable.threshold)
        label = tf.strings.reduce_join(chosen, axis=1, separator=LABEL_SEPARATOR)
    return {"classes": classes, "scores": ordered, "label": label, "status": status}


def _at_least_one(inputs: Any) -> Any:
    """Put a blank row where there is none: not every layer takes an empty batch."""

    def filled(values: tf.Tensor) -> tf.Tensor:
        blank = tf.zeros(tf.concat([[1], tf.shape(values)[1:]], 0), values.dtype)
        rows = tf.cond(tf.shape(values)[0] > 0, lambda: values, lambda: blank)
        return tf.ensure_shape(rows, values.shape)

    return tf.nest.map_structure(filled, inputs)


def _spread(values: tf.Tensor, status: tf.Tensor) -> tf.Tensor:
    """Give the values of the good rows [m, d] their places among all, and NaN to the bad ones."""
    good = tf.where(tf.equal(status, ""))
    nothing = tf.fill([tf.size(status), tf.shape(values)[1]], float("nan"))
    spread = tf.tensor_scatter_nd_update(nothing, good, values[: tf.shape(good)[0]])
    return tf.ensure_shape(spread, [None, values.shape[1]])
