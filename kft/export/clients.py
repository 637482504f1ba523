"""What to type to serve a version and to ask it: Docker, `models.config`, REST, gRPC, TensorFlow."""

import json
import os
from pathlib import Path

from kft.export.promises import METADATA

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
# A bad row has the reason in "status", no label, and NaN for its scores.
import base64
import json
import sys
import urllib.request

instances = [{{"b64": base64.b64encode(open(path, "rb").read()).decode()}} for path in sys.argv[1:]]
"""

_REST_TEXT = """\
# A bad row has the reason in "status", no label, and NaN for its scores.
import json
import sys
import urllib.request

instances = sys.argv[1:]
"""

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

raw = {raw}
request = predict_pb2.PredictRequest()
request.model_spec.name = "{name}"
request.model_spec.signature_name = "serving_default"
request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(raw, tf.string))
with grpc.insecure_channel("localhost:8500") as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    outputs = stub.Predict(request, timeout=10).outputs
# A bad row has the reason in "status", no label, and NaN for its scores.
answers = (tf.make_ndarray(outputs[name]) for name in ("status", "{output}"))
for status, {output} in zip(*answers):
    print(status.decode() or {shown})
"""

_PLAIN_IMAGE = """\
import sys

import tensorflow as tf

raw = [open(path, "rb").read() for path in sys.argv[1:]]
"""

_PLAIN_TEXT = """\
import sys

import tensorflow as tf
import tensorflow_text  # registers the tokenizer's ops: without it, loading fails

raw = sys.argv[1:]
"""

_PLAIN = """\
ask = tf.saved_model.load("{version}").signatures["serving_default"]
outputs = ask(inputs=tf.constant(raw))
for status, {output} in zip(outputs["status"].numpy(), outputs["{output}"].numpy()):
    print(status.decode() or {shown})
"""


def files(version: str | os.PathLike, name: str | None = None) -> dict[str, str]:
    """Return what serves a version and asks it, file name to content.

    Args:
        version: The version directory, `base_dir/N`.
        name: What the server calls the model; the name of `base_dir` by default.
    """
    version = Path(version).absolute()
    facts = json.loads((version / METADATA).read_text(encoding="utf-8"))
    is_image, is_regression = facts["modality"] == "image", facts["task"] == "regression"
    words = {
        "base": version.parent,
        "name": name or version.parent.name,
        "version": version,
        "output": "value" if is_regression else "label",
        "shown": "value" if is_regression else "label.decode()",
        "rest_answer": 'answer["value"]'
        if is_regression
        else '(answer["label"], answer["scores"][0])',
        "raw": '[open(path, "rb").read() for path in sys.argv[1:]]' if is_image else "sys.argv[1:]",
    }
    rest = (_REST_IMAGE if is_image else _REST_TEXT) + _REST
    plain = (_PLAIN_IMAGE if is_image else _PLAIN_TEXT) + _PLAIN
    return {
        "serve.sh": _DOCKER.format(**words),
        "models.config": _CONFIG.format(**words),
        "rest_client.py": rest.format(**words),
        "grpc_client.py": _GRPC.format(**words),
        "tensorflow_client.py": plain.format(**words),
    }


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
    facts = json.loads((Path(version) / METADATA).read_text(encoding="utf-8"))
    lines = [f"{version} serves."]
    batch_norm = facts.get("batch_norm") or ""
    if batch_norm.startswith("kept"):
        lines.append(f"BatchNorm is {batch_norm}.")
    cost = facts.get("weights_cost")
    if cost:
        lines.append(
            f"With {facts['weights']} weights the scores of {cost['examples']} examples change by up "
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
