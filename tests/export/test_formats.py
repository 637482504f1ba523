"""Exports to other formats answer as `predict` does, in the runtimes of these formats."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from processes import run

from kft.errors import InputError
from kft.export import check_version, deploy, formats, runtimes, versions

pytestmark = pytest.mark.once

NEEDED = {"litert": (), "onnx": ("onnx", "tf2onnx", "onnxruntime"), "openvino": ("openvino",)}
INSTALLED = [
    name for name, needed in NEEDED.items() if all(importlib.util.find_spec(n) for n in needed)
]
FILES = {"litert": "model.tflite", "onnx": "model.onnx", "openvino": "model.xml"}

WRITE = """
import json, sys, warnings
import builds
from kft.errors import KftError
from kft.export import formats
from tests.leaving import leave
for name, format, base in json.loads(sys.argv[1]):
    try:
        weights = "int8" if name == "int8" else "float32"
        made = getattr(builds, name)()
        outcome = str(formats.write(made, base, format=format, weights=weights))
    except KftError as error:
        outcome = f"refused: {error}"
    print(json.dumps(outcome), flush=True)
leave()
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("formats")
    serving = folder / "serving" / "1"
    serving.mkdir(parents=True)
    (serving / "saved_model.pb").touch()
    orders = [
        (name, format, str(folder / name / format))
        for name in ("image", "text", "int8", "other_preprocessing")
        for format in INSTALLED
    ]
    orders.append(("image", "litert", str(serving.parent)))
    lines = run("-c", WRITE, json.dumps(orders)).stdout.splitlines()
    answers = [json.loads(line) for line in lines if line.startswith('"')]
    return {
        (name, Path(base).name): answer
        for (name, _, base), answer in zip(orders, answers, strict=True)
    }


@pytest.mark.parametrize("format", INSTALLED)
@pytest.mark.parametrize("name", ["image", "text"])
def test_the_formats_runtime_answers_what_predict_does(outcomes, name, format):
    version = Path(outcomes[name, format])
    assert version.name == "1"
    assert check_version(version) == []
    facts = json.loads((version / "assets.extra" / "kft.json").read_text())
    assert facts["kind"] == format
    assert len(facts["weights_sha256"]) == 64
    assert (version / FILES[format]).is_file()


def test_the_request_of_a_deployment_is_answered(outcomes, tmp_path):
    import onnxruntime

    place = deploy(outcomes["image", "onnx"], tmp_path / "out", to="triton", name="image")
    (sent,) = json.loads((place / "request.json").read_text())["inputs"]
    values = np.array(sent["data"], np.float32).reshape(sent["shape"])
    session = onnxruntime.InferenceSession(place / "models" / "image" / "1" / "model.onnx")
    (output,) = session.run(None, {sent["name"]: values})
    config = (place / "models" / "image" / "config.pbtxt").read_text()
    assert f'name: "{session.get_outputs()[0].name}"' in config
    assert f"dims: [ {output.shape[1]} ]" in config
    assert len(json.loads((place / "classes.json").read_text())) == output.shape[1]


@pytest.mark.parametrize("format", INSTALLED)
def test_int8_weights_either_answer_alike_or_are_refused_with_a_reason(outcomes, format):
    said = {
        "onnx": f"{format}/1",
        "litert": "Keras' exporter to litert cannot convert this model",
        "openvino": "differs from the prediction by 0.0",  # OpenVINO rounds activations differently
    }
    assert said[format] in outcomes["int8", format]


def change_scores(version):
    with np.load(version / runtimes.GOLDEN) as golden:
        arrays = dict(golden)
    arrays["outputs"][0, 0] += 2e-5
    np.savez(version / runtimes.GOLDEN, **arrays)


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("format", INSTALLED)
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (change_scores, "a batch of 1 differs from the prediction by 2e-05"),
        (lambda version: (version / runtimes.GOLDEN).unlink(), "kft_golden.npz cannot be read"),
        (lambda version: halve(version / runtimes.GOLDEN), "kft_golden.npz cannot be read"),
        (lambda version: halve(next(version.glob("model.*"))), ""),
    ],
)
def test_a_damaged_version_is_found_without_the_manifest_too(
    outcomes, tmp_path, format, damage, reason
):
    version = Path(shutil.copytree(outcomes["image", format], tmp_path / "1"))
    damage(version)
    versions.write_manifest(version)
    reasons = check_version(version)
    assert reasons
    assert reason in " ".join(reasons)


def test_tensorflows_copy_of_litert_does_where_there_is_no_other(outcomes):
    code = (
        "import sys; sys.modules['ai_edge_litert'] = None\n"
        "from kft.export import protos, runtimes; protos.without_tensorflow()\n"
        "print(runtimes.replay(sys.argv[1], 'litert'), 'keras' in sys.modules)"
    )
    assert run("-c", code, outcomes["image", "litert"]).stdout.strip() == "[] False"


def test_openvino_tells_nobody(tmp_path):
    if "openvino" not in INSTALLED:
        pytest.skip("openvino is not installed")
    code = (
        "from kft.export import runtimes; runtimes.without_telemetry(); "
        "from openvino.tools import ovc; print(type(ovc.telemetry).__module__)"
    )
    assert run("-c", code).stdout.strip() == "openvino.tools.ovc.telemetry_stub"


@pytest.mark.parametrize("format", INSTALLED)
def test_another_preprocessing_is_refused(outcomes, format):
    assert "differs from the prediction by" in outcomes["other_preprocessing", format]


def test_versions_of_a_server_are_not_mixed_with_others(outcomes):
    assert "is for TensorFlow Serving; export litert elsewhere" in outcomes["image", "serving"]


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(formats._NEEDED, "onnx", ("onnx_from_the_future",))
    with pytest.raises(InputError, match="needs onnx_from_the_future: pip install onnx_from"):
        formats.write(None, tmp_path, format="onnx")
