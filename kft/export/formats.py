"""ONNX, LiteRT and OpenVINO, by Keras' own exporters and held to the same predictions.

These formats carry no decoder and no tokenizer: what goes in is the model's own tensors, what comes
out are the scores in the order of the classes that `kft.json` names.
"""

import importlib
import importlib.util
import json
import os
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import InputError
from kft.export import versions
from kft.export.check import TOLERANCE
from kft.export.launch import ExportError
from kft.export.promises import METADATA
from kft.export.servable import Servable

_FILES = {"onnx": "model.onnx", "litert": "model.tflite", "openvino": "model.xml"}
_NEEDED = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": (), "openvino": ("openvino",)}

Runner = Callable[[dict[str, np.ndarray]], np.ndarray]  # named inputs to scores


def write(servable: Servable, base_dir: str | os.PathLike, *, format: str) -> Path:
    """Export a model in another format as the next version, compared before it is visible.

    Args:
        servable: The model with what belongs to it. Keras must run on the TensorFlow backend.
        base_dir: The directory of the versions, of this format alone.
        format: `"onnx"`, `"litert"` or `"openvino"`.

    Returns:
        The version directory, `base_dir/N`, with the model and `assets.extra/kft.json`.

    Raises:
        InputError: If a package is missing, or `base_dir` holds versions for TensorFlow Serving.
        ExportError: If the format's own runtime does not answer what `predict` does.
    """
    if format not in _FILES:
        known = ", ".join(map(repr, _FILES))
        raise InputError(f"format={format!r}; expected one of {known}.")
    missing = [name for name in _NEEDED[format] if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"format={format!r} needs {' and '.join(missing)}: pip install {' '.join(missing)}"
        )
    for path in versions.find_versions(base_dir).values():
        if (path / "saved_model.pb").exists():
            raise InputError(f"{path} is for TensorFlow Serving; export {format} elsewhere.")
    with versions.building(base_dir) as hidden:
        model = hidden / _FILES[format]
        servable.predict(servable.examples[:1])  # Keras exports no model that was never called
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters' own, about their own future
            servable.model.export(str(model), format=format, verbose=False)
            worst, where = _compare(servable, _RUNNERS[format](model))
        if not worst <= TOLERANCE:
            raise ExportError(
                f"the {format} export differs from the prediction by {worst:.2g} in {where}; "
                f"{TOLERANCE:g} is allowed. No version was made."
            )
        facts = {
            "format": 1,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "kind": format,
            "task": servable.task,
            "modality": servable.modality,
            "classes": servable.classes,
            "targets": servable.targets,
            "largest_difference": worst,
            **servable.facts,
        }
        (hidden / METADATA).parent.mkdir()
        (hidden / METADATA).write_text(
            json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        versions.write_manifest(hidden)
        return versions.publish(hidden)


def _compare(servable: Servable, run: Runner) -> tuple[float, str]:
    """Return the largest difference over batches of 1, 2 and all examples, and where it is."""
    import tensorflow as tf

    raw = list(servable.examples)
    decoded = servable.decode(tf.constant(raw))
    if not isinstance(decoded, dict):
        decoded = {servable.model.inputs[0].name: decoded}
    inputs = {name: np.asarray(value) for name, value in decoded.items()}
    expected = servable.predict(raw)
    scale = max(1.0, float(np.abs(expected).max()))
    worst = (-1.0, "")
    for size in sorted({1, min(2, len(raw)), len(raw)}):
        scores = run({name: value[:size] for name, value in inputs.items()})
        difference = float(np.abs(scores - expected[:size]).max()) / scale
        difference = difference if np.isfinite(difference) else np.inf
        worst = max(worst, (difference, f"a batch of {size}"))
    return worst


def _onnx(path: Path) -> Runner:
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    types = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}
    wanted = {one.name: types[one.type] for one in session.get_inputs()}

    def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
        fed = _matched(inputs, wanted)
        return np.asarray(session.run(None, fed)[0])

    return run


def _litert(path: Path) -> Runner:
    try:
        interpreter_class = importlib.import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:  # TensorFlow's copy of it, which can do the same and is on its way out
        import tensorflow as tf

        interpreter_class = tf.lite.Interpreter
    interpreter = interpreter_class(str(path))
    runner = interpreter.get_signature_runner()
    wanted = {name: one["dtype"] for name, one in runner.get_input_details().items()}

    def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
        return np.array(next(iter(runner(**_matched(inputs, wanted)).values())))

    return run


def _openvino(path: Path) -> Runner:
    runtime = importlib.import_module("openvino")
    # Its own default may compute in 16 bits where the processor has them.
    compiled = runtime.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = {one.any_name: one.element_type.to_dtype() for one in compiled.inputs}

    def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
        return np.array(compiled(_matched(inputs, wanted))[compiled.outputs[0]])

    return run


def _matched(inputs: dict[str, np.ndarray], wanted: dict[str, Any]) -> dict[str, np.ndarray]:
    """Name and type the inputs as a runtime wants them; a lone input may be called anything."""
    if len(inputs) == len(wanted) == 1:
        (value,), (name,) = inputs.values(), wanted
        return {name: value.astype(wanted[name])}
    return {name: inputs[name].astype(dtype) for name, dtype in wanted.items()}


_RUNNERS = {"onnx": _onnx, "litert": _litert, "openvino": _openvino}
