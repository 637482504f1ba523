"""ONNX, LiteRT and OpenVINO, by Keras' own exporters and held to the same predictions.

These formats carry no decoder and no tokenizer: what goes in is the model's own tensors, what comes
out is its own output, such as scores in the order of the classes that `kft.json` names.
"""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import InputError
from kft.export import description, runtimes, versions
from kft.export.launch import ExportError, check_version, refuse_half
from kft.export.servable import Servable

_NEEDED = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": (), "openvino": ("openvino",)}


def write(
    servable: Servable, base_dir: str | os.PathLike, *, format: str, weights: str = "float32"
) -> Path:
    """Export a model in another format as the next version, compared before it is visible.

    Args:
        servable: The model with what belongs to it. Keras must run on the TensorFlow backend.
        base_dir: The directory of the versions, of this format alone.
        format: `"onnx"`, `"litert"` or `"openvino"`.
        weights: `"float32"`; `"int8"` says that the model was quantised before.

    Returns:
        The version directory, `base_dir/N`, with the model and `assets.extra/kft.json`.

    Raises:
        InputError: If a package is missing, the model has several outputs, the weights are not offered
            for this format, or `base_dir` holds versions for TensorFlow Serving.
        ExportError: If the format's own runtime does not answer what `predict` does.
    """
    if format not in runtimes.FILES:
        known = ", ".join(map(repr, runtimes.FILES))
        raise InputError(f"format={format!r}; expected one of {known}.")
    lacking = runtimes.missing(_NEEDED[format])
    if lacking is not None:
        raise InputError(f"format={format!r} {lacking}")
    refuse_half(format, weights)
    check(servable.model, servable.task, format)
    for path in versions.find_versions(base_dir).values():
        if (path / "saved_model.pb").exists():
            raise InputError(f"{path} is for TensorFlow Serving; export {format} elsewhere.")
    from kft.export import reference

    runtimes.without_telemetry()
    with versions.building(base_dir) as hidden:
        asked = reference.ask(servable)  # first: Keras exports no model that was never called
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
    """Refuse a model of several outputs, which runtimes name and order each in its own way.

    Args:
        model: A Keras model.
        task: The recipe's task, for the message.
        format: One of `kft.export.launch.FORMATS`.

    Raises:
        InputError: If the format carries one output alone and the model has others.
    """
    if format != "saved_model" and not hasattr(model.output, "shape"):
        raise InputError(
            f"format={format!r} carries one output, but {type(task).__name__} puts out "
            f"{', '.join(map(str, model.output))}: pass format='saved_model'."
        )


def _convert(model: Any, file: str, format: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters' own, about their own future
            model.export(file, format=format, verbose=False)
    except Exception as error:
        # Each converter raises errors of its own, which share no class.
        raise ExportError(
            f"Keras' exporter to {format} cannot convert this model: {str(error).strip()[:500]}"
        ) from error


def _by_name(model: Any, inputs: Any) -> dict[str, np.ndarray]:
    if not isinstance(inputs, dict):
        inputs = {model.inputs[0].name: inputs}
    return {name: np.asarray(value) for name, value in inputs.items()}
