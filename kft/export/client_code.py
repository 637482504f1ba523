"""Templates for the code of clients: arguments, content of a request, the request, and its output."""

# A shell command, up to the URL of the model's `:predict`.
IMAGE_QUERY = r"""echo "{\"instances\": [{\"b64\": \"$(base64 < FILE.jpg | tr -d '\n')\"}]}" |
  curl --data-binary @-"""

ARGUMENTS = """\
parser = argparse.ArgumentParser()
parser.add_argument("inputs", nargs="+", metavar="{metavar}")
options = parser.parse_args()
"""

ARGUMENTS_OF_A_REQUEST = """\
parser = argparse.ArgumentParser()
parser.add_argument("inputs", nargs="+", metavar="{metavar}")
parser.add_argument("--timeout", type=float, default=10, help="seconds to wait for an answer")
options = parser.parse_args()
if not 0 < options.timeout < 1e6:
    parser.error("--timeout takes a number of seconds above 0")
"""

COMPLETE = """\
if len(options.inputs) % {count}:
    parser.error("pass {names} in turn")
"""

FILES = """\
try:
    {target} = {code}
except OSError as error:
    sys.exit(f"{{error.filename}}: {{error.strerror}}")
"""

REST_IMPORTS = """\
import argparse
import http.client
import json
import sys
import urllib.error
import urllib.request
"""
REST_IMPORTS_OF_FILES = REST_IMPORTS.replace("import http", "import base64\nimport http")

REST = """\
request = urllib.request.Request(
    URL, json.dumps({{"instances": instances}}).encode(), {{"Content-Type": "application/json"}}
)
try:
    with urllib.request.urlopen(request, timeout=options.timeout) as response:
        answers = json.load(response)["predictions"]
except urllib.error.HTTPError as error:
    sys.exit(f"{{URL}} answered {{error.code}}: {{error.read().decode(errors='replace').strip()}}")
except (OSError, http.client.HTTPException) as error:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        sys.exit(f"{{URL}} did not answer within {{options.timeout:g}} s: pass a longer --timeout.")
    sys.exit(f"No server answers at {{URL}} ({{reason}}): start it first with serve.sh.")
# A bad row has the reason in "status", and NaN, 0 or an empty string for all else.
for answer in answers:
    print(answer["status"] or {rest_answer})
"""

GRPC_IMPORTS = """\
import argparse
import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
"""

GRPC = """\
request = predict_pb2.PredictRequest()
request.model_spec.name = "{name}"
request.model_spec.signature_name = "serving_default"
for name, raw in inputs.items():
    request.inputs[name].CopyFrom(tf.make_tensor_proto(raw, tf.string))
try:
    with grpc.insecure_channel(ADDRESS) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        found = stub.Predict(request, timeout=options.timeout).outputs
except grpc.RpcError as error:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        sys.exit(f"{{ADDRESS}} did not answer within {{options.timeout:g}} s: pass a longer --timeout.")
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        sys.exit(f"No server answers at {{ADDRESS}} ({{error.details()}}): start it first with serve.sh.")
    sys.exit(f"{{ADDRESS}} answered {{error.code().name}}: {{error.details()}}")
outputs = {{name: tf.make_ndarray(tensor) for name, tensor in found.items()}}
# A bad row has the reason in "status", and NaN, 0 or an empty string for all else.
for row, status in enumerate(outputs["status"]):
    print(status.decode() or {shown})
"""

PLAIN_IMPORTS = """\
import argparse
import sys

import tensorflow as tf
"""
PLAIN_IMPORTS_OF_TEXTS = """\
import argparse

import tensorflow as tf
import tensorflow_text  # registers the tokenizer's ops: without it, loading fails
"""

PLAIN = """\
ask = tf.saved_model.load("{version}").signatures["serving_default"]
asked = {{name: tf.constant(raw) for name, raw in inputs.items()}}
outputs = {{name: value.numpy() for name, value in ask(**asked).items()}}
for row, status in enumerate(outputs["status"]):
    print(status.decode() or {shown})
"""

CLIP_FRAMES = '''\
import io

import av  # pip install av


def frames(path, count={frames}):
    """Return the frames at the middles of equal segments of a video, as PNG files."""
    with av.open(path) as video:
        times = [frame.time for frame in video.decode(video=0)]
    end = times[-1] + (times[-1] - times[0]) / max(len(times) - 1, 1)
    moments = [times[0] + (n + 0.5) / count * (end - times[0]) for n in range(count)]
    wanted = [max(n for n, time in enumerate(times) if time <= moment) for moment in moments]
    files = {{}}
    with av.open(path) as video:
        for number, frame in enumerate(video.decode(video=0)):
            if number in wanted:
                files[number] = io.BytesIO()
                frame.to_image().save(files[number], "PNG")
    return [files[number].getvalue() for number in wanted]
'''
