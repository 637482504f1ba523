"""ONNX, LiteRT and OpenVINO, with Keras' own exporters and compared with the same predictions.

These formats include no decoder and no tokenizer: their inputs are the model's own tensors, and
their output is the model's own, such as scores in the order of the classes in `kft.json`.
"""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import InputError
from kft.export import description, runtimes, versions
from kft.export.launch import ExportError, check_version, refuse_float16
from kft.export.servable import Servable

_NEEDED = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": (), "openvino": ("openvino",)}


def write(
    servable: Servable, base_dir: str | os.PathLike, *, format: str, weights: str = "float32"
) -> Path:
    """Export a model in another format as the next version, compared before it is visible.

    Args:
        servable: The model with everything to serve it. Keras must run on the TensorFlow backend.
        base_dir: The directory of the versions, only for this format.
        format: `"onnx"`, `"litert"` or `"openvino"`.
        weights: `"float32"`; `"int8"` declares that the model has been quantised.

    Returns:
        The version directory, `base_dir/N`, with the model and `assets.extra/kft.json`.

    Raises:
        InputError: If a package is missing, the model has several outputs, the weights are not supported
            by this format, or `base_dir` has versions for TensorFlow Serving.
        ExportError: If the format's own runtime does not answer as `predict` does.
    """
    if format not in runtimes.FILES:
        known = ", ".join(map(repr, runtimes.FILES))
        raise InputError(f"format={format!r}; expected one of {known}.")
    lacking = runtimes.missing(_NEEDED[format])
    if lacking is not None:
        raise InputError(f"format={format!r} {lacking}")
    refuse_float16(format, weights)
    check(servable.model, servable.task, format)
    for path in versions.find_versions(base_dir).values():
        if (path / "saved_model.pb").exists():
            raise InputError(f"{path} is for TensorFlow Serving; export {format} elsewhere.")
    from kft.export import reference

    runtimes.without_telemetry()
    with versions.building(base_dir) as hidden:
        asked = reference.ask(
            servable
        )  # first, since Keras cannot export a model that was never called
        _convert(servable.model, str(hidden / runtimes.FILES[format]), format)
        inputs = _by_name(servable.model, asked.inputs)
        runtimes.write_golden(hidden, inputs, np.asarray(asked.outputs, np.float32))
        description.write(
            hidden,
            servable,
            kind=format,
            weights=weights,
            tolerance={runtimes.OUTPUT: reference.bound_of_output(servable, asked)},
        )
        versions.write_manifest(hidden)
        reasons = check_version(hidden, trusted=True)
        if reasons:
            listed = "\n".join(f"- {reason}" for reason in reasons)
            raise ExportError(f"the {format} export fails; no version was made:\n{listed}")
        return versions.publish(hidden)


def check(model: Any, task: Any, format: str) -> None:
    """Refuse a model with several outputs, which each runtime names and orders differently.

    Args:
        model: A Keras model.
        task: The recipe's task, for the message.
        format: One of `kft.export.launch.FORMATS`.

    Raises:
        InputError: If the format supports only one output and the model has several.
    """
    if format != "saved_model" and not hasattr(model.output, "shape"):
        raise InputError(
            f"format={format!r} supports one output, but {type(task).__name__} has "
            f"{', '.join(map(str, model.output))}: pass format='saved_model'."
        )


def _convert(model: Any, file: str, format: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the exporters' own future
            model.export(file, format=format, verbose=False)
    except Exception as error:
        # The exceptions of converters have no common class.
        raise ExportError(
            f"Keras' exporter to {format} cannot convert this model: {str(error).strip()[:500]}"
        ) from error


def _by_name(model: Any, inputs: Any) -> dict[str, np.ndarray]:
    if not isinstance(inputs, dict):
        inputs = {model.inputs[0].name: inputs}
    return {name: np.asarray(value) for name, value in inputs.items()}
