"""The functions behind an export's signatures, in TensorFlow's graph ops.

Only import it if Keras runs on the TensorFlow backend.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kft.answers import TensorFlowOps
from kft.answers.description import STATUS
from kft.data.failed_rows import map_rows
from kft.data.parts import SEPARATOR
from kft.export.promises import INPUT, REGRESSION
from kft.export.servable import Servable, blank_of

NOT_FINITE = "not finite numbers"

Call = Callable[[keras.Model, Any], Any]  # applies a model to inputs
Tensors = dict[str, tf.Tensor]
Functions = dict[str, tuple[Callable[..., Tensors], list[tf.TensorSpec]]]


def call_plainly(model: keras.Model, inputs: Any) -> Any:
    """Apply a model with its own variables, in inference mode."""
    return model(inputs, training=False)


def functions(servable: Servable, decode: Any, call: Call = call_plainly) -> Functions:
    """Return, for each signature, its function and the specifications of its inputs.

    Args:
        servable: The model.
        decode: `servable.decode`, traced to a concrete function.
        call: Applies a model; replaced if the variables are stored differently.
    """
    signatures = servable.description.signatures()
    names = servable.description.inputs
    raw = [tf.TensorSpec([None, *servable.shape], tf.string, name=name) for name in names]
    serialized = [tf.TensorSpec([None], tf.string, name=name) for name in names]
    ops = TensorFlowOps()
    apply = _applied(servable, decode, call)

    def answered(inputs: Any, status: tf.Tensor) -> Tensors:
        """Return the answers to all rows; bad rows do not affect those to good ones."""
        return _spread(apply(_at_least_one(inputs))[0], status)

    def predict(*inputs: tf.Tensor) -> Tensors:
        found = answered(*decode(_joined(inputs)))
        return servable.quoted(found, dict(zip(names, inputs, strict=True)), ops)

    def embed(*inputs: tf.Tensor) -> Tensors:
        decoded, status = decode(_joined(inputs))
        return _spread(apply(_at_least_one(decoded))[1], status)

    def tensors(inputs: tf.Tensor) -> Tensors:
        pixels, status = _finite_rows(inputs)
        decoded, _ = decode.structured_outputs
        return answered(tf.nest.pack_sequence_as(decoded, [pixels]), status)

    def classify(inputs: tf.Tensor) -> Tensors:
        found = answered(*_parsed(inputs, servable, decode))
        return {name: found[name] for name in signatures["classify"].outputs}

    def regress(inputs: tf.Tensor) -> Tensors:
        found = answered(*_parsed(inputs, servable, decode))
        return {REGRESSION: found[str(servable.description.answers.rules.regress)]}

    made: Functions = {
        "serving_default": (predict, raw),
        "embed": (embed, raw),
        "classify": (classify, serialized),
        "regress": (regress, serialized),
    }
    if "tensors" in signatures:
        shape = [None, *servable.model.inputs[0].shape[1:]]
        made["tensors"] = (tensors, [tf.TensorSpec(shape, tf.float32, name=INPUT)])
    return {name: made[name] for name in signatures}


def _applied(servable: Servable, decode: Any, call: Call) -> Any:
    """Return the model as a concrete function from decoded inputs to answers and features.

    It is traced and stored once, like `decode`, for all signatures; what a signature does not need is
    not run. Saving traces the signatures again, and reuses these functions.
    """
    model, features = servable.model, servable.named_features()
    # A list, since Keras preserves the order of no other structure.
    whole = keras.Model(model.input, [*keras.tree.flatten(model.output), *features.values()])
    ops = TensorFlowOps()

    def run(inputs: Any) -> tuple[Tensors, Tensors]:
        """Return the answers and the features of usable rows."""
        found = call(whole, inputs)
        count = len(found) - len(features)
        outputs = keras.tree.pack_sequence_as(model.output, found[:count])
        embedded = [ops.cast(ops.served(one), "float32") for one in found[count:]]
        return servable.answer(outputs, ops), dict(zip(features, embedded, strict=True))

    decoded, _ = decode.structured_outputs
    return tf.function(run, autograph=False).get_concrete_function(decoded)


def _joined(inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """Join several texts to one, as `kft.data.parts.join_parts` does."""
    *first, last = inputs
    lines = [tf.strings.regex_replace(one, SEPARATOR, " ") for one in first]
    return tf.strings.join([*lines, last], SEPARATOR) if first else last


def _parsed(serialized: tf.Tensor, servable: Servable, decode: Any) -> tuple[Any, tf.Tensor]:
    """Decode the raw inputs in serialized tf.Examples; one without the feature is a bad row."""
    name, shape = servable.feature_name, servable.shape
    feature = {name: tf.io.FixedLenFeature(shape, tf.string)}
    index, values = map_rows(
        lambda one: tf.io.parse_single_example(one, feature)[name], serialized, tf.fill(shape, "")
    )
    inputs, status = decode(values)
    unparsed = tf.fill(tf.shape(serialized), f"no tf.Example with one {name!r}")
    return inputs, tf.tensor_scatter_nd_update(unparsed, index[:, None], status)


def _finite_rows(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the finite rows [m, ...], and the status of all rows."""
    is_good = tf.reduce_all(tf.math.is_finite(inputs), axis=list(range(1, len(inputs.shape))))
    good = tf.cond(tf.reduce_all(is_good), lambda: inputs, lambda: tf.boolean_mask(inputs, is_good))
    return tf.ensure_shape(good, inputs.shape), tf.where(is_good, "", NOT_FINITE)


def _at_least_one(inputs: Any) -> Any:
    """Add a blank row to an empty batch, which not every layer supports."""

    def filled(values: tf.Tensor) -> tf.Tensor:
        blank = tf.zeros(tf.concat([[1], tf.shape(values)[1:]], 0), values.dtype)
        rows = tf.cond(tf.shape(values)[0] > 0, lambda: values, lambda: blank)
        return tf.ensure_shape(rows, values.shape)

    return tf.nest.map_structure(filled, inputs)


def _spread(answer: Tensors, status: tf.Tensor) -> Tensors:
    """Put the answers to good rows [m, ...] in their places among all rows, with blanks elsewhere."""
    good = tf.where(tf.equal(status, ""))

    def spread(values: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([[tf.size(status)], tf.shape(values)[1:]], 0)
        nothing = tf.fill(shape, tf.constant(blank_of(values.dtype.name), values.dtype))
        found = tf.tensor_scatter_nd_update(nothing, good, values[: tf.shape(good)[0]])
        return tf.ensure_shape(found, [None, *values.shape[1:]])

    return {**{name: spread(values) for name, values in answer.items()}, STATUS: status}
