"""A stand-in for tensorflow_model_server: `python server.py NAME BASE_DIR`, prints its two ports.

It implements PredictionService over gRPC and the row format of the REST API, on loopback. It serves
the newest version by the server's rule, runs its warmup first, and answers through TensorFlow's C API
with XLA disabled.
"""

import base64
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from kft.export import capi, protos, versions, warmup
from kft.export.session import Session

protos.without_tensorflow()

import grpc  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

LARGEST_MESSAGE = 2**31 - 1


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, name: str, base_dir: str) -> None:
        self.name = name
        self.version, directory = list(versions.find_versions(base_dir).items())[-1]
        self.session = Session(directory)
        for log in warmup.read(directory):
            signature, inputs, _ = warmup.read_log(log)
            self.session.run(signature, inputs)

    def ask(self, request, context, api: str, inputs: dict) -> tuple[str, dict[str, np.ndarray]]:
        name = request.model_spec.signature_name or "serving_default"
        if request.model_spec.name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model_spec.name!r}")
        known = self.session.signatures.get(name)
        if known is None or known.method_name != f"tensorflow/serving/{api}":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{name!r} is no signature of {api}")
        try:
            return name, self.session.run(name, inputs)
        except capi.TensorFlowError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def answer(self, response, signature: str):
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = signature
        return response

    def Predict(self, request, context):  # noqa: N802
        inputs = {name: warmup.from_proto(tensor) for name, tensor in request.inputs.items()}
        signature, outputs = self.ask(request, context, "predict", inputs)
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(warmup.to_proto(value))
        return self.answer(response, signature)

    def Classify(self, request, context):  # noqa: N802
        signature, outputs = self.ask(request, context, "classify", _examples(request))
        response = classification_pb2.ClassificationResponse()
        for labels, scores in zip(outputs["classes"], outputs["scores"], strict=True):
            row = response.result.classifications.add()
            for label, score in zip(labels, scores, strict=True):
                row.classes.add(label=label.decode(), score=score)
        return self.answer(response, signature)

    def Regress(self, request, context):  # noqa: N802
        signature, outputs = self.ask(request, context, "regress", _examples(request))
        response = regression_pb2.RegressionResponse()
        for value in outputs["outputs"]:
            response.result.regressions.add(value=value)
        return self.answer(response, signature)


def _examples(request) -> dict[str, np.ndarray]:
    examples = request.input.example_list.examples
    return {"inputs": np.array([one.SerializeToString() for one in examples], dtype=object)}


class Rest(BaseHTTPRequestHandler):
    service: Service

    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != f"/v1/models/{self.service.name}:predict":
            return self.reply(404, {"error": self.path})
        raw = [
            base64.b64decode(row["b64"]) if isinstance(row, dict) else row.encode()
            for row in content["instances"]
        ]
        try:
            outputs = self.service.session.run("serving_default", {"inputs": raw})
        except capi.TensorFlowError as error:
            return self.reply(400, {"error": str(error)})
        rows = [
            {name: _plain(value[i]) for name, value in outputs.items()} for i in range(len(raw))
        ]
        if len(outputs) == 1:  # the server omits the name of a single output
            rows = [next(iter(row.values())) for row in rows]
        return self.reply(200, {"predictions": rows})

    def reply(self, code: int, content: dict) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


def _plain(value):
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(one) for one in value] if np.ndim(value) else float(value)


def main(name: str, base_dir: str) -> None:
    server = grpc.server(
        ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", LARGEST_MESSAGE)]
    )
    Rest.service = service = Service(name, base_dir)
    rest = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    print(server.add_insecure_port("127.0.0.1:0"), rest.server_port, flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
