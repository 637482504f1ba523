"""Writing a version for TensorFlow Serving: built hidden, checked, then made visible.

`python -m kft.export RUN_DIR BASE_DIR` exports a run, whichever backend trained it, in
a process that runs Keras on TensorFlow.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.backends import backend
from kft.cache.folding import folded
from kft.errors import InputError
from kft.export import description, versions, warmup
from kft.export.launch import BATCH_SIZES, WEIGHTS, ExportError, check_version
from kft.export.promises import INPUT, METHODS
from kft.export.servable import Servable, with_bad_rows

if TYPE_CHECKING:
    from kft.export.reference import Reference


def write(
    servable: Servable,
    base_dir: str | os.PathLike,
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    weights: str = "float32",
) -> Path:
    """Export a model as the next version, checked before a server can see it.

    Args:
        servable: The model with everything to serve it. Keras must run on the TensorFlow backend.
        base_dir: The directory of the versions, the server's `base_path`.
        batch_sizes: Batch sizes of the warmup requests.
        weights: `"float32"`, or `"float16"` to store matrices and kernels in half the space; they
            are cast to float32 for computation, and `servable.model` gets the rounded weights too.
            `"int8"` declares that the model has been quantised.

    Returns:
        The version directory, `base_dir/N`.

    Raises:
        InputError: If an argument is wrong or Keras runs on another backend.
        ExportError: If the version does not pass `kft.export.check`; it lists each reason.
    """
    if not backend().computes_in_tensorflow:
        raise InputError(
            f"Keras runs on {backend().name!r}, but a SavedModel needs TensorFlow: "
            "run `python -m kft.export` with KERAS_BACKEND=tensorflow."
        )
    if weights not in WEIGHTS:
        raise InputError(f"weights={weights!r}; expected one of {', '.join(map(repr, WEIGHTS))}.")
    if not batch_sizes or min(batch_sizes) < 1:
        raise InputError(f"batch_sizes={tuple(batch_sizes)}; pass whole numbers from 1.")
    from kft.export import reference, storage

    if weights == "float16":
        storage.round_weights(servable.model)
    with versions.building(base_dir) as hidden:
        asked = reference.ask(servable)
        exported, batch_norm = _folded(servable, asked, weights)
        _write_graph(exported, asked.decode, hidden, weights)
        warmup.write(hidden, _requests(servable, asked, sorted(set(batch_sizes))))
        description.write(
            hidden,
            servable,
            weights=weights,
            tolerance=asked.tolerance,
            batch_norm=batch_norm,
            example_feature=servable.feature_name,
            signatures=sorted(servable.description.signatures()),
            **servable.description.to_json(),
        )
        versions.write_manifest(hidden)
        reasons = check_version(hidden, trusted=True)
        if reasons:
            listed = "\n".join(f"- {reason}" for reason in reasons)
            raise ExportError(f"the export does not serve; no version was made:\n{listed}")
        return versions.publish(hidden)


def _write_graph(servable: Servable, decode: Any, directory: Path, weights: str) -> None:
    import keras
    import tensorflow as tf

    from kft.export import signatures, storage

    archive = keras.export.ExportArchive()
    call: signatures.Call = signatures.call_plainly
    if weights == "float16":
        call = storage.stored_in_float16(servable.model, archive)
    for resource in servable.resources:
        archive.track(resource)
    made = signatures.functions(servable, decode, call)
    for name, (function, specs) in made.items():
        archive.add_endpoint(name, function, input_signature=specs)
    archive.write_out(str(directory), verbose=False)
    # TensorFlow 2 writes every signature for Predict; Classify and Regress need other method names.
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(directory))
    for name, promise in servable.description.signatures().items():
        if promise.api != "predict":
            updater.replace_method_name(name, METHODS + promise.api, tags="serve")
    updater.save()


def _folded(servable: Servable, asked: "Reference", weights: str) -> tuple[Servable, str | None]:
    """Fold BatchNorm into the convolutions, unless that changes answers by more than rounding.

    Returns:
        The model to export, and a note about BatchNorm, None if there is none to fold.
    """
    import keras

    from kft.export import reference

    whole = reference.with_features(servable)
    found = folded(whole)
    if found is whole:
        return servable, None
    if weights == "float16":
        return servable, "kept: kernels are stored in float16"
    outputs = [np.asarray(one) for one in found(asked.inputs, training=False)]
    answer, features = reference.answers_and_features(servable, outputs)
    costs = reference.differences(
        servable, {**asked.answer, **asked.features}, {**answer, **features}
    )
    for name, cost in costs.items():
        bound = asked.tolerance[name] / 2  # the other half is for a server that rounds differently
        if not cost <= bound:
            return servable, (
                f"kept: folding it into the convolutions would change {name} by {cost:.2g}, but "
                f"rounding explains only {bound:.2g}"
            )
    count = len(keras.tree.flatten(servable.model.output))
    model = keras.Model(
        found.input, keras.tree.pack_sequence_as(servable.model.output, found.outputs[:count])
    )
    features = found.outputs[count:]
    if isinstance(servable.features, Mapping):
        features = dict(zip(servable.features, features, strict=True))
    else:
        (features,) = features
    folded_one = dataclasses.replace(servable, model=model, features=features)
    return folded_one, "folded into the convolutions"


def _requests(servable: Servable, asked: "Reference", batch_sizes: Sequence[int]) -> list[Any]:
    """Return the warmup requests, each with the response of `predict`."""
    signatures = servable.description.signatures()
    logs = []

    def rows(values: dict[str, np.ndarray], status: np.ndarray, chosen: np.ndarray) -> dict:
        return with_bad_rows({name: one[chosen] for name, one in values.items()}, status)

    def add(raw: np.ndarray, status: np.ndarray, chosen: np.ndarray) -> None:
        inputs = servable.request(raw)
        answer = rows(asked.answer, status, chosen)
        logs.append(warmup.predict_log("serving_default", inputs, answer))
        logs.append(warmup.predict_log("embed", inputs, rows(asked.features, status, chosen)))
        name = servable.feature_name
        if "classify" in signatures:
            logs.append(warmup.classify_log(name, raw, answer["classes"], answer["scores"]))
        if "regress" in signatures:
            value = answer[servable.description.answers.rules.regress]
            logs.append(warmup.regress_log(name, raw, value))

    for size in batch_sizes:
        chosen = np.arange(size) % len(servable.examples)
        inputs = np.array([servable.examples[i] for i in chosen], dtype=object)
        good = np.full(size, b"", dtype=object)
        add(inputs, good, chosen)
        if "tensors" in signatures and size <= 2:  # pixels take much space
            (pixels,) = _arrays(asked.inputs)
            answer = rows(asked.answer, good, chosen)
            logs.append(warmup.predict_log("tensors", {INPUT: pixels[chosen]}, answer))
    bad, status = _bad_row(servable, asked)
    if status:  # next to a good row, whose answer it must not change
        inputs = np.array([servable.examples[0], bad], dtype=object)
        add(inputs, np.array([b"", status], dtype=object), np.array([0, 0]))
    return logs


def _arrays(inputs: Any) -> list[np.ndarray]:
    import keras

    return [np.asarray(value) for value in keras.tree.flatten(inputs)]


def _bad_row(servable: Servable, asked: "Reference") -> tuple[Any, bytes]:
    """Return a row that is neither an image nor a text, and its status."""
    import tensorflow as tf

    bad = servable.filled(b"\xff\xfe neither an image nor a text")
    try:
        _, status = asked.decode(tf.constant([bad]))
    except tf.errors.OpError as error:
        raise ExportError(
            "decoding raises for a row that is neither an image nor a text, and would fail every "
            "request that holds one: `serving_inputs()` must leave it out and give it a status "
            f"({error.message[:200]})"
        ) from error
    return bad, bytes(status.numpy()[0])
