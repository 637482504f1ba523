"""What to type to serve a version and to ask it: Docker, `models.config`, REST, gRPC, TensorFlow."""

import os
from collections.abc import Sequence
from pathlib import Path

from kft.answers import Answers, Tensor
from kft.export import promises
from kft.export.clip_client import CLIP_FRAMES, REST_CLIP

FOLDER = "clients"  # next to the versions; a server does not take it for one
TEXT_NOTE = (
    "TensorFlow Serving has the tokenizer's ops; plain TensorFlow needs `import tensorflow_text` "
    "before it loads the version."
)

_DOCKER = """\
docker run --rm -p 8500:8500 -p 8501:8501 \\
  --mount type=bind,source={base},target=/models/{name} \\
  -e MODEL_NAME={name} tensorflow/serving
"""

_CONFIG = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""

_REST_IMAGE = """\
# A bad row has the reason in "status", and NaN, 0 or an empty string for all else.
import base64
import json
import sys
import urllib.request

instances = [{{"b64": base64.b64encode(open(path, "rb").read()).decode()}} for path in sys.argv[1:]]
"""

_REST_TEXT = """\
# A bad row has the reason in "status", and NaN, 0 or an empty string for all else.
import json
import sys
import urllib.request

instances = {instances}
"""

_REST_BEGINS = {"clip": REST_CLIP, "image": _REST_IMAGE, "text": _REST_TEXT}
_REST = """\
request = urllib.request.Request(
    "http://localhost:8501/v1/models/{name}:predict",
    json.dumps({{"instances": instances}}).encode(),
    {{"Content-Type": "application/json"}},
)
with urllib.request.urlopen(request) as response:
    for answer in json.load(response)["predictions"]:
        print(answer["status"] or {rest_answer})
"""

_GRPC = """\
import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

inputs = {inputs}
request = predict_pb2.PredictRequest()
request.model_spec.name = "{name}"
request.model_spec.signature_name = "serving_default"
for name, raw in inputs.items():
    request.inputs[name].CopyFrom(tf.make_tensor_proto(raw, tf.string))
with grpc.insecure_channel("localhost:8500") as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    found = stub.Predict(request, timeout=10).outputs
outputs = {{name: tf.make_ndarray(tensor) for name, tensor in found.items()}}
# A bad row has the reason in "status", and NaN, 0 or an empty string for all else.
for row, status in enumerate(outputs["status"]):
    print(status.decode() or {shown})
"""

_PLAIN_FILES = """\
import sys

import tensorflow as tf

inputs = {inputs}
"""

_PLAIN_TEXT = """\
import sys

import tensorflow as tf
import tensorflow_text  # registers the tokenizer's ops: without it, loading fails

inputs = {inputs}
"""

_PLAIN = """\
ask = tf.saved_model.load("{version}").signatures["serving_default"]
asked = {{name: tf.constant(raw) for name, raw in inputs.items()}}
outputs = {{name: value.numpy() for name, value in ask(**asked).items()}}
for row, status in enumerate(outputs["status"]):
    print(status.decode() or {shown})
"""


def files(version: str | os.PathLike, name: str | None = None) -> dict[str, str]:
    """Return what serves a version and asks it, file name to content.

    Args:
        version: The version directory, `base_dir/N`.
        name: What the server calls the model; the name of `base_dir` by default.
    """
    version = Path(version).absolute()
    facts = promises.read_facts(version)
    described = promises.Description.from_json(facts)  # checked: its names become code here
    answers, modality = described.answers, facts["modality"]
    words = {
        "base": version.parent,
        "name": name or version.parent.name,
        "version": version,
        "shown": _together({name: _of_arrays(name, answers) for name in answers.shown}),
        "rest_answer": _together({name: _of_rest(name, answers) for name in answers.shown}),
        "inputs": _inputs(described.inputs, modality),
        "frames": next(iter(described.shape), 0),
        "instances": _instances(described.inputs),
    }
    begins = CLIP_FRAMES if modality == "clip" else ""
    rest = begins + _REST_BEGINS[modality] + _REST
    plain = begins + (_PLAIN_TEXT if modality == "text" else _PLAIN_FILES) + _PLAIN
    return {
        "serve.sh": _DOCKER.format(**words),
        "models.config": _CONFIG.format(**words),
        "rest_client.py": rest.format(**words),
        "grpc_client.py": (begins + _GRPC).format(**words),
        "tensorflow_client.py": plain.format(**words),
    }


def _inputs(names: Sequence[str], modality: str) -> str:
    """Return code for what a request has, from the arguments of a client: a row after another."""
    if modality == "clip":
        return f'{{"{names[0]}": [frames(path) for path in sys.argv[1:]]}}'
    if modality == "image":
        return f'{{"{names[0]}": [open(path, "rb").read() for path in sys.argv[1:]]}}'
    step = f":{len(names)}" if len(names) > 1 else ""
    each = (f'"{name}": sys.argv[{place}:{step}]' for place, name in enumerate(names, 1))
    return f"{{{', '.join(each)}}}"


def _instances(names: Sequence[str]) -> str:
    """Return code for the rows of a request over REST, from the arguments of a client."""
    if len(names) == 1:
        return "sys.argv[1:]"
    columns = ", ".join(f"sys.argv[{place}::{len(names)}]" for place in range(1, len(names) + 1))
    return f"[dict(zip({list(names)}, row)) for row in zip({columns})]"


def _together(shown: dict[str, str]) -> str:
    """Return code for what a client prints: one output by itself, several by their names."""
    if len(shown) == 1:
        return next(iter(shown.values()))
    return "{" + ", ".join(f'"{name}": {code}' for name, code in shown.items()) + "}"


def _of_arrays(name: str, answers: Answers) -> str:
    """Return code for an output of a row, of arrays with a row for each input."""
    is_text = answers.outputs[name] == Tensor("string", 1)
    return f'outputs["{name}"][row]' + (".decode()" if is_text else "")


def _of_rest(name: str, answers: Answers) -> str:
    """Return code for an output of a row, and for a label also the best score."""
    scores = next((one.scores for one in answers.rules.rankings if one.label == name), None)
    value = f'answer["{name}"]'
    return value if scores is None else f'({value}, answer["{scores}"][0])'


def write(version: str | os.PathLike, name: str | None = None) -> Path:
    """Write those files next to the versions; return their folder.

    Args:
        version: The version directory, `base_dir/N`.
        name: What the server calls the model; the name of `base_dir` by default.
    """
    folder = Path(version).parent / FOLDER
    folder.mkdir(exist_ok=True)
    for file, content in files(version, name).items():
        (folder / file).write_text(content, encoding="utf-8")
    return folder


def instructions(version: str | os.PathLike, name: str | None = None) -> str:
    """Return the same as one text to print.

    Args:
        version: The version directory, `base_dir/N`.
        name: What the server calls the model; the name of `base_dir` by default.
    """
    made = files(version, name)
    facts = promises.read_facts(version)
    lines = [f"{version} serves."]
    batch_norm = facts.get("batch_norm") or ""
    if batch_norm.startswith("kept"):
        lines.append(f"BatchNorm is {batch_norm}.")
    cost = facts.get("weights_cost")
    if cost:
        lines.append(
            f"With {facts['weights']} weights the answers to {cost['examples']} examples change by up "
            f"to {cost['largest_change']:.2g}."
        )
    if facts["modality"] == "text":
        lines.append(TEXT_NOTE)
    return "\n".join(
        [
            *lines,
            f"\nServe it:\n\n{made['serve.sh']}",
            f"or next to other models, with --model_config_file:\n\n{made['models.config']}",
            f"Ask it over REST (python rest_client.py INPUT...):\n\n{made['rest_client.py']}",
            f"or over gRPC (pip install tensorflow-serving-api):\n\n{made['grpc_client.py']}",
            f"or in Python, without a server:\n\n{made['tensorflow_client.py']}",
        ]
    )
