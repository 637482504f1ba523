"""Exports behind a server, queried by a real gRPC client and by the generated clients.

The server is TensorFlow Serving if `tensorflow_model_server` is on the PATH, and always a stand-in
with the same protocol and C++ runtime.
"""

import ast
import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
from builds import png
from processes import HERE, ask
from tensorflow_serving.apis import (
    classification_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from kft.export import clients, warmup
from tests import warm

pytestmark = pytest.mark.once

REAL = shutil.which("tensorflow_model_server")


@dataclass
class Ports:
    grpc: int
    rest: int


@contextlib.contextmanager
def serving(kind: str, name: str, base_dir: Path) -> Iterator[Ports]:
    """Run a server of this kind on a directory of versions, and yield its ports."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(HERE / "server.py"), name, str(base_dir)]
    if kind == "tensorflow_model_server":
        ports = Ports(free_port(), free_port())
        command = [str(REAL), f"--port={ports.grpc}", f"--rest_api_port={ports.rest}"]
        command += [f"--model_name={name}", f"--model_base_path={base_dir}"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        if kind == "stand-in":
            ports = Ports(*map(int, process.stdout.readline().split()))
        with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
        wait_for(ports.rest)  # TensorFlow Serving opens it last
        yield ports
        assert process.poll() is None, "the server died"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Callable[[str, str, Path], Ports]]:
    """Return a function that starts a server like `serving` unless one of its kind runs already."""
    with contextlib.ExitStack() as stack:

        def start(kind: str, name: str, base_dir: Path) -> Ports:
            return stack.enter_context(serving(kind, name, base_dir))

        yield functools.cache(start)


def run_grpc_client(
    script: str, arguments: list[str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a client in a process that has imported TensorFlow, which takes longest."""
    (folder / "grpc_client.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    with tempfile.TemporaryFile() as said:
        done = warm.run(
            "kft.export", "grpc_client", arguments, env=environment, stderr=said, timeout=60
        )
        said.seek(0)
        errors = said.read().decode()
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), errors)


def run_rest_client(
    script: str, arguments: list[str], folder: Path
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


RUN = {"rest_client.py": run_rest_client, "grpc_client.py": run_grpc_client}


def wait_for(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture(params=["stand-in", *(["tensorflow_model_server"] if REAL else [])])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@contextlib.contextmanager
def stub_of(ports: Ports) -> Iterator[prediction_service_pb2_grpc.PredictionServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request_for(
    raw: list[bytes], name: str = "m", signature: str = ""
) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    request.inputs["inputs"].CopyFrom(warmup.to_proto(np.array(raw, dtype=object)))
    return request


def test_a_client_gets_labels_for_images_and_a_status_for_a_bad_one(made, served, kind):
    raw = [png(seed) for seed in range(3)]
    (expected,) = ask(made("image"), [("serving_default", raw)])
    with stub_of(served(kind, "m", made("image").parent)) as stub:
        with pytest.raises(grpc.RpcError) as refused:
            stub.Predict(request_for(raw, signature="unknown"), timeout=30)
        assert refused.value.code() in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.FAILED_PRECONDITION,
        )
        mixed = stub.Predict(request_for([raw[0], b"no image"]), timeout=30).outputs
        assert warmup.from_proto(mixed["label"]).tolist() == [expected["label"][0].encode(), b""]
        assert warmup.from_proto(mixed["status"]).tolist()[0] == b""
        assert b"not a JPEG" in warmup.from_proto(mixed["status"])[1]
        response = stub.Predict(request_for(raw), timeout=30)
        answer = {name: warmup.from_proto(tensor) for name, tensor in response.outputs.items()}
        assert [label.decode() for label in answer["label"]] == expected["label"]
        np.testing.assert_allclose(answer["scores"], expected["scores"], atol=1e-6)
        assert response.model_spec.version.value == 1

        request = classification_pb2.ClassificationRequest()
        request.model_spec.name, request.model_spec.signature_name = "m", "classify"
        for one in raw:
            example = request.input.example_list.examples.add()
            example.features.feature["image"].bytes_list.value.append(one)
        rows = stub.Classify(request, timeout=30).result.classifications
        assert [row.classes[0].label for row in rows] == expected["label"]


def test_a_client_gets_labels_for_texts(made, served, kind):
    raw = ["a great film", "", "日本 été"]
    (expected,) = ask(made("text"), [("serving_default", [text.encode() for text in raw])])
    with stub_of(served(kind, "text", made("text").parent)) as stub:
        response = stub.Predict(request_for([text.encode() for text in raw], "text"), timeout=30)
        labels = warmup.from_proto(response.outputs["label"])
        assert [label.decode() for label in labels] == expected["label"]


def test_a_client_gets_a_regression(made, served, kind):
    (expected,) = ask(made("regression"), [("serving_default", [png(0)])])
    with stub_of(served(kind, "regression", made("regression").parent)) as stub:
        request = regression_pb2.RegressionRequest()
        request.model_spec.name = "regression"
        request.model_spec.signature_name = "regress"
        example = request.input.example_list.examples.add()
        example.features.feature["image"].bytes_list.value.append(png(0))
        regressions = stub.Regress(request, timeout=30).result.regressions
        assert [one.value for one in regressions] == pytest.approx(expected["value"], abs=1e-6)


def test_the_grpc_client_that_is_printed_works(made, served, kind, tmp_path):
    (tmp_path / "a.png").write_bytes(png(0))
    (tmp_path / "b.png").write_bytes(b"no image")
    (expected,) = ask(made("image"), [("serving_default", [png(0)])])
    ports = served(kind, "image", made("image").parent)
    script = clients.files(made("image"))["grpc_client.py"]
    assert "localhost:8500" in script
    script = script.replace("localhost:8500", f"127.0.0.1:{ports.grpc}")
    command = [sys.executable, "-c", script, str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    label, status = done.stdout.splitlines()
    assert [label] == expected["label"]
    assert status == "not a JPEG, PNG, GIF, BMP or WebP image"


@pytest.mark.parametrize("name", ["image", "text", "regression"])
def test_the_rest_client_that_is_printed_works(made, served, kind, name, tmp_path):
    (tmp_path / "a.png").write_bytes(png(0))
    (tmp_path / "b.png").write_bytes(b"no image")
    raw, arguments = png(0), [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    if name == "text":
        raw, arguments = b"film", ["film"]
    (expected,) = ask(made(name), [("serving_default", [raw])])
    ports = served(kind, name, made(name).parent)
    script = clients.files(made(name))["rest_client.py"]
    assert f"http://localhost:8501/v1/models/{name}:predict" in script
    script = script.replace("localhost:8501", f"127.0.0.1:{ports.rest}")
    done = run_rest_client(script, arguments, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    answer, *bad = done.stdout.splitlines()
    assert bad == ([] if name == "text" else ["not a JPEG, PNG, GIF, BMP or WebP image"])
    if name == "regression":
        assert float(answer) == pytest.approx(expected["value"][0], abs=1e-6)
    else:
        label, score = ast.literal_eval(answer)
        assert label == expected["label"][0]
        assert score == pytest.approx(expected["scores"][0][0], abs=1e-6)


@pytest.mark.parametrize("client", ["rest_client.py", "grpc_client.py"])
@pytest.mark.parametrize("silent", [False, True])
def test_a_client_without_a_server_ends_with_a_line(made, client, silent, tmp_path):
    """The port is closed, or its listener never answers."""
    (tmp_path / "a.png").write_bytes(png(0))
    address = "localhost:8501" if client == "rest_client.py" else "localhost:8500"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if not silent:
            listening.close()
        script = clients.files(made("image"))[client].replace(address, f"127.0.0.1:{port}")
        done = RUN[client](script, [str(tmp_path / "a.png"), "--timeout", "2"], tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()[-1]
    assert f"127.0.0.1:{port}" in said
    assert (
        "within 2 s: pass a longer --timeout" if silent else "start it first with serve.sh"
    ) in said


@pytest.mark.parametrize("client", ["rest_client.py", "grpc_client.py"])
def test_a_client_names_what_a_server_refuses(made, served, client, tmp_path):
    (tmp_path / "a.png").write_bytes(png(0))
    ports = served("stand-in", "m", made("image").parent)  # which the client calls "image"
    script = clients.files(made("image"))[client]
    script = script.replace("localhost:8501", f"127.0.0.1:{ports.rest}")
    script = script.replace("localhost:8500", f"127.0.0.1:{ports.grpc}")
    done = RUN[client](script, [str(tmp_path / "a.png")], tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "answered" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no such.png"], "no such.png: No such file or directory"),
        ([], "the following arguments are required: FILE"),
        (["a.png", "--timeout", "0"], "--timeout"),
    ],
)
def test_a_client_names_what_it_cannot_take(made, arguments, said, tmp_path):
    """Tested over REST, whose client imports no framework."""
    done = run_rest_client(clients.files(made("image"))["rest_client.py"], arguments, tmp_path)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert said in done.stderr.splitlines()[-1]


def test_the_tensorflow_client_that_is_printed_works(made):
    """Tokenizers need another import, which the script contains and the instructions name."""
    (expected,) = ask(made("text"), [("serving_default", [b"a great film"])])
    script = clients.files(made("text"))["tensorflow_client.py"]
    command = [sys.executable, "-c", script, "a great film"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == expected["label"]
    assert "import tensorflow_text" in clients.instructions(made("text"))
    assert "tensorflow_text" not in clients.instructions(made("image"))


@pytest.mark.parametrize("name", ["image", "text"])
def test_an_export_prints_one_query_that_works_and_no_programs(
    made, served, name, tmp_path, monkeypatch
):
    (tmp_path / "FILE.jpg").write_bytes(png(0))
    printed = clients.instructions(made(name))
    assert "import argparse" not in printed
    assert "model_config_list" not in printed
    assert "--clients" in printed
    assert f"kft deploy {made(name).parent} --to docker" in printed
    assert len(printed.splitlines()) < 25
    _, _, after = printed.partition("Query it:\n\n")
    command = after.partition("\n\n")[0]
    ports = served("stand-in", name, made(name).parent)
    monkeypatch.chdir(tmp_path)
    command = command.replace("localhost:8501", f"127.0.0.1:{ports.rest}")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    (answer,) = json.loads(done.stdout)["predictions"]
    raw = png(0) if name == "image" else b"a text"
    (expected,) = ask(made(name), [("serving_default", [raw])])
    assert answer["label"] == expected["label"][0]


def test_clients_are_written_beside_the_versions(made, tmp_path):
    shutil.copytree(made("text"), tmp_path / "base" / "1")
    folder = clients.write(tmp_path / "base" / "1", name="reviews")
    assert sorted(path.name for path in folder.iterdir()) == [
        "grpc_client.py",
        "models.config",
        "rest_client.py",
        "serve.sh",
        "tensorflow_client.py",
    ]
    assert 'name: "reviews"' in (folder / "models.config").read_text()
    assert f"source={tmp_path / 'base'},target=/models/reviews" in (folder / "serve.sh").read_text()


def test_many_clients_at_once_get_their_own_answers(made, served):
    raw = [png(seed) for seed in range(8)]
    (expected,) = ask(made("image"), [("serving_default", raw)])
    with stub_of(served("stand-in", "m", made("image").parent)) as stub:
        begun = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(lambda one: stub.Predict(request_for([one]), timeout=60), raw * 8)
            )
        assert time.monotonic() - begun < 60
    scores = [warmup.from_proto(answer.outputs["scores"])[0] for answer in answers]
    np.testing.assert_allclose(scores, np.tile(expected["scores"], (8, 1)), atol=1e-6)
