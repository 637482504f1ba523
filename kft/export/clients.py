"""What to type to serve a version and to ask it: Docker, `models.config`, REST and gRPC."""

import json
import os
from pathlib import Path

from kft.export.promises import METADATA

FOLDER = "clients"  # beside the versions; no server takes it for one

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
import base64
import json
import sys
import urllib.request

instances = [{{"b64": base64.b64encode(open(path, "rb").read()).decode()}} for path in sys.argv[1:]]
"""

_REST_TEXT = """\
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
        print({rest_answer})
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
print(tf.make_ndarray(outputs["{output}"]))
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
        "output": "value" if is_regression else "label",
        # A signature with one output answers over REST with its value alone.
        "rest_answer": "answer" if is_regression else 'answer["label"], answer["scores"][0]',
        "raw": '[open(path, "rb").read() for path in sys.argv[1:]]' if is_image else "sys.argv[1:]",
    }
    rest = (_REST_IMAGE if is_image else _REST_TEXT) + _REST
    return {
        "serve.sh": _DOCKER.format(**words),
        "models.config": _CONFIG.format(**words),
        "rest_client.py": rest.format(**words),
        "grpc_client.py": _GRPC.format(**words),
    }


def write(version: str | os.PathLike, name: str | None = None) -> Path:
    """Write those files beside the versions; return their folder.

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
    return "\n".join(
        [
            f"{version} serves.",
            f"\nServe it:\n\n{made['serve.sh']}",
            f"or beside other models, by --model_config_file:\n\n{made['models.config']}",
            f"Ask it over REST (python rest_client.py INPUT...):\n\n{made['rest_client.py']}",
            f"or over gRPC (pip install tensorflow-serving-api):\n\n{made['grpc_client.py']}",
        ]
    )
