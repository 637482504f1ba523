"""Exports to other formats answer what predict does, in the formats' own runtimes."""

import importlib.util
import json
from pathlib import Path

import pytest
from processes import run

from kft.errors import InputError
from kft.export import formats, versions

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
for name, format, base in json.loads(sys.argv[1]):
    try:
        outcome = str(formats.write(getattr(builds, name)(), base, format=format))
    except KftError as error:
        outcome = f"refused: {error}"
    print(json.dumps(outcome), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("formats")
    serving = folder / "serving" / "1"
    serving.mkdir(parents=True)
    (serving / "saved_model.pb").touch()
    orders = [
        (name, format, str(folder / name / format))
        for name in ("image", "text", "other_preprocessing")
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
    assert versions.compare_manifest(version) == []
    facts = json.loads((version / "assets.extra" / "kft.json").read_text())
    assert facts["largest_difference"] <= 1e-5
    assert facts["kind"] == format
    assert (version / FILES[format]).is_file()


@pytest.mark.parametrize("format", INSTALLED)
def test_another_preprocessing_is_refused(outcomes, format):
    assert "differs from the prediction by" in outcomes["other_preprocessing", format]


def test_versions_of_a_server_are_not_mixed_with_others(outcomes):
    assert "is for TensorFlow Serving; export litert elsewhere" in outcomes["image", "serving"]


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(formats._NEEDED, "onnx", ("onnx_from_the_future",))
    with pytest.raises(InputError, match="needs onnx_from_the_future: pip install onnx_from"):
        formats.write(None, tmp_path, format="onnx")
