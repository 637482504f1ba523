"""ONNX Runtime, LiteRT and OpenVINO, which check versions in their formats.

Next to the model are inputs made from real examples, and the model's output for them. As with
TensorFlow Serving's versions, nothing here imports Keras or the `tensorflow` package.
"""

import importlib
import importlib.util
import json
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kft.export import promises
from kft.export.promises import METADATA

FILES = {"onnx": "model.onnx", "litert": "model.tflite", "openvino": "model.xml"}
GOLDEN = "assets.extra/kft_golden.npz"
_NEEDED = {"onnx": ("onnxruntime",), "litert": (), "openvino": ("openvino",)}
OUTPUT = "outputs"  # the name of the single output, in the metadata and in the golden file
_INPUT = "input "  # prefix of an input's name, since one may be called `outputs`

Runner = Callable[[dict[str, np.ndarray]], np.ndarray]  # named inputs to the output


def missing(names: tuple[str, ...]) -> str | None:
    """Return which packages to install if one is missing, None if none is."""
    absent = [name for name in names if importlib.util.find_spec(name) is None]
    return f"needs {' and '.join(absent)}: pip install {' '.join(absent)}" if absent else None


def without_telemetry() -> None:
    """Keep OpenVINO from sending telemetry, and from writing into the home directory."""
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as if not installed


def kind_of(directory: str | os.PathLike) -> str | None:
    """Return the format of a version, one of `FILES`; None for other directories."""
    try:
        kind = json.loads((Path(directory) / METADATA).read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    return kind if kind in FILES else None


def write_golden(
    directory: str | os.PathLike, inputs: Mapping[str, np.ndarray], output: np.ndarray
) -> Path:
    """Write the golden inputs and output for `replay`.

    Args:
        directory: The version directory.
        inputs: The model's inputs by name; the first axis of each is the batch.
        output: The model's output, [n, ...].
    """
    path = Path(directory) / GOLDEN
    path.parent.mkdir(exist_ok=True)
    arrays = {_INPUT + name: value for name, value in inputs.items()}
    np.savez_compressed(path, allow_pickle=False, **{OUTPUT: output}, **arrays)
    return path


def replay(directory: str | os.PathLike, kind: str) -> list[str]:
    """Return how a version's answers differ from the prediction, a sentence for each batch size.

    The batches are 1, 2 and all golden inputs; the tolerance is in the metadata.

    Args:
        directory: The version directory.
        kind: Its format.
    """
    lacking = missing(_NEEDED[kind])
    if lacking is not None:
        return [f"{kind} cannot be proven here, it {lacking}"]
    try:
        with np.load(Path(directory) / GOLDEN, allow_pickle=False) as golden:
            arrays = dict(golden)
        expected = arrays.pop(OUTPUT)
    except (OSError, ValueError, LookupError, zipfile.BadZipFile) as error:
        return [f"{GOLDEN} cannot be read: {error}"]
    try:
        allowed = promises.read_tolerance(promises.read_facts(directory))[OUTPUT]
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        return [f"{METADATA} cannot be read: {error!r}"]
    inputs = {name.removeprefix(_INPUT): value for name, value in arrays.items()}
    reasons = []
    try:
        run = _RUNNERS[kind](Path(directory) / FILES[kind])
        for size in sorted({1, min(2, len(expected)), len(expected)}):
            output = run({name: value[:size] for name, value in inputs.items()})
            if output.shape != expected[:size].shape:
                reasons.append(
                    f"a batch of {size} gets an output of the shape {list(output.shape)}"
                )
                continue
            difference = float(np.abs(output - expected[:size]).max())
            if not difference <= allowed:
                reasons.append(
                    f"a batch of {size} differs from the prediction by {difference:.2g} "
                    f"({allowed:.2g} is allowed)"
                )
    except Exception as error:
        # The exceptions of runtimes have no common class.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return [*reasons, f"{FILES[kind]} cannot be run: {lines[0][:300]}"]
    return reasons


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
        module = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError:  # TensorFlow's copy, under a name that does not import all of TensorFlow
        module = importlib.import_module("tensorflow.lite.python.interpreter")
    interpreter = module.Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    wanted = {name: one["dtype"] for name, one in runner.get_input_details().items()}

    def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
        return np.array(next(iter(runner(**_matched(inputs, wanted)).values())))

    return run


def _openvino(path: Path) -> Runner:
    without_telemetry()
    runtime = importlib.import_module("openvino")
    # By default it may compute in 16 bits if the processor supports them.
    compiled = runtime.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = {one.any_name: one.element_type.to_dtype() for one in compiled.inputs}

    def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
        return np.array(compiled(_matched(inputs, wanted))[compiled.outputs[0]])

    return run


def _matched(inputs: dict[str, np.ndarray], wanted: dict[str, Any]) -> dict[str, np.ndarray]:
    """Name and convert the inputs as a runtime expects; a single input may have any name."""
    if len(inputs) == len(wanted) == 1:
        (value,), (name,) = inputs.values(), wanted
        return {name: value.astype(wanted[name])}
    return {name: inputs[name].astype(dtype) for name, dtype in wanted.items()}


_RUNNERS = {"onnx": _onnx, "litert": _litert, "openvino": _openvino}
