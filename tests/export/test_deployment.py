"""`kft deploy`: its files are valid, and nothing in a version or a name breaks out of them."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf import wrappers_pb2 as wrappers
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, save_model
from processes import ask
from tensorflow_serving.config import model_server_config_pb2

from kft.errors import InputError
from kft.export import deploy, versions
from kft.export.deployment.output import write

pytestmark = pytest.mark.once

URI = "s3://bucket/photos"
FACTS = {
    "format": 3,
    "modality": "image",
    "answers": {
        "outputs": {"label": {"dtype": "string", "rank": 1}},
        "rankings": [],
        "largest": {},
        "classify": False,
        "regress": None,
    },
    "features": {"features": 2},
    "tensors": 4,
    "inputs": ["inputs"],
    "shape": [],
    "packages": {"tensorflow": "2.21.0"},
}


@pytest.fixture
def version(tmp_path):
    """Return a function that writes a version with a description and no graph."""

    def make(number="1", base="photos", **facts):
        directory = tmp_path / "serving" / base / number
        (directory / "assets.extra").mkdir(parents=True)
        (directory / "saved_model.pb").write_bytes(b"graph")
        (directory / "assets.extra" / "kft.json").write_text(json.dumps(FACTS | facts))
        versions.write_manifest(directory)
        return directory.parent

    return make


def deployed(base, to="docker", output="out", **more):
    more |= {"storage_uri": URI} if to == "kserve" else {}
    return deploy(base, base.parents[1] / output, to=to, **more)


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


TRITON = {
    "ModelInput": {"name": (1, "string"), "data_type": (2, "DataType"), "dims": (4, "int64[]")},
    "ModelOutput": {"name": (1, "string"), "data_type": (2, "DataType"), "dims": (3, "int64[]")},
    "ModelDynamicBatching": {"max_queue_delay_microseconds": (2, "uint64")},
    "ModelConfig": {
        "name": (1, "string"),
        "max_batch_size": (4, "int32"),
        "input": (5, "ModelInput[]"),
        "output": (6, "ModelOutput[]"),
        "dynamic_batching": (11, "ModelDynamicBatching"),
        "backend": (17, "string"),
    },
}
TRITON_TYPES = {
    "TYPE_INVALID": 0,
    "TYPE_BOOL": 1,
    "TYPE_INT32": 8,
    "TYPE_INT64": 9,
    "TYPE_FP32": 11,
}
PLAIN = {"int64": 3, "uint64": 4, "int32": 5, "string": 9}


def model_config(text):
    """Parse text as Triton's ModelConfig, of which this has the fields that kft writes."""
    file = descriptor_pb2.FileDescriptorProto(
        name="model_config.proto", package="inference", syntax="proto3"
    )
    kinds = file.enum_type.add(name="DataType")
    for name, number in TRITON_TYPES.items():
        kinds.value.add(name=name, number=number)
    for name, fields in TRITON.items():
        message = file.message_type.add(name=name)
        for field, (number, spelled) in fields.items():
            kind, label = spelled.removesuffix("[]"), 3 if spelled.endswith("[]") else 1
            added = message.field.add(name=field, number=number, label=label)
            added.type = PLAIN.get(kind) or (14 if kind == "DataType" else 11)
            if kind not in PLAIN:
                added.type_name = f".inference.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("inference.ModelConfig")
    return text_format.Parse(text, message_factory.GetMessageClass(found)())


def batching_parameters(text):
    """Parse text as TensorFlow Serving's BatchingParameters, which its package lacks."""
    file = descriptor_pb2.FileDescriptorProto(
        name="session_bundle_config.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.append(wrappers.DESCRIPTOR.name)
    message = file.message_type.add(name="BatchingParameters")
    numbers = {
        "max_batch_size": 1,
        "batch_timeout_micros": 2,
        "max_enqueued_batches": 3,
        "num_batch_threads": 4,
        "enable_large_batch_splitting": 8,
        "max_execution_batch_size": 9,
    }
    for name, number in numbers.items():
        wrapper = "BoolValue" if name.startswith("enable") else "Int64Value"
        kind = f".google.protobuf.{wrapper}"
        message.field.add(name=name, number=number, label=1, type=11, type_name=kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    found = pool.FindMessageTypeByName("tensorflow.serving.BatchingParameters")
    return text_format.Parse(text, message_factory.GetMessageClass(found)())


def test_docker_has_the_version_and_a_configuration_that_the_server_reads(version):
    version("1")
    place = deployed(version("12"))
    config = text_format.Parse(
        (place / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    (model,) = config.model_config_list.config
    assert (model.name, model.model_platform) == ("photos", "tensorflow")
    assert os.listdir(place / model.base_path.lstrip("/")) == ["12"]
    assert versions.compare_manifest(place / "models" / "photos" / "12") == []
    batching = batching_parameters((place / "batching.config").read_text())
    # With splitting, a request must fit into the queue; warmup requests are not larger than this.
    rows = batching.max_execution_batch_size.value * batching.max_enqueued_batches.value
    assert batching.enable_large_batch_splitting.value
    assert 100 <= batching.max_batch_size.value <= rows


def test_the_dockerfile_copies_what_is_there_and_does_not_run_as_root(version):
    place = deployed(version())
    dockerfile = (place / "Dockerfile").read_text()
    lines = dockerfile.replace("\\\n", "").splitlines()
    steps = [line.split() for line in lines if line and not line.startswith("#")]
    assert steps[:2] == [
        ["ARG", "TF_SERVING_VERSION=2.21.0"],
        ["FROM", "tensorflow/serving:${TF_SERVING_VERSION}"],
    ]
    copied = {word for step in steps if step[0] == "COPY" for word in step[2:-1]}
    assert copied == {
        "models",
        "models.config",
        "batching.config",
        "monitoring.config",
        "healthcheck.sh",
    }
    assert copied < set(os.listdir(place))
    assert ["USER", "1000:1000"] in steps
    entry = json.loads(
        next(line for line in lines if line.startswith("ENTRYPOINT"))[len("ENTRYPOINT") :]
    )
    files = {word.partition("=")[2] for word in entry if "file" in word}
    assert files == {
        "/serving/models.config",
        "/serving/batching.config",
        "/serving/monitoring.config",
    }
    health = re.search(r"HEALTHCHECK .*?CMD (\[.*\])", dockerfile.replace("\\\n", ""))
    assert json.loads(health[1]) == ["/bin/bash", "/serving/healthcheck.sh"]


def test_compose_opens_the_ports_to_this_machine_only(version):
    (server,) = yaml.safe_load((deployed(version()) / "compose.yaml").read_text())[
        "services"
    ].values()
    assert server["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    assert (server["read_only"], server["cap_drop"]) == (True, ["ALL"])


@pytest.mark.parametrize("size", [10, 5 * 2**20])
def test_the_memory_grows_with_the_version(version, size):
    base = version()
    (base / "1" / "variables").write_bytes(b"0" * size)
    versions.write_manifest(base / "1")
    (server,) = yaml.safe_load((deployed(base) / "compose.yaml").read_text())["services"].values()
    service = yaml.safe_load(
        (deployed(base, "kserve", "kserve") / "inferenceservice.yaml").read_text()
    )
    pod, here = service["spec"]["predictor"]["model"]["resources"], server["deploy"]["resources"]
    weights = 11 if size > 10 else 1
    assert here["limits"] == {"memory": f"{4096 + weights}m"}
    assert here["reservations"] == {"memory": f"{1024 + weights}m"}
    assert pod["limits"]["memory"] == f"{4096 + weights}Mi"
    assert pod["requests"]["memory"] == f"{1024 + weights}Mi"


def test_the_server_has_metrics_where_the_readme_says(version):
    place = deployed(version())
    monitoring = (place / "monitoring.config").read_text()
    path = re.fullmatch(r'prometheus_config { enable: true path: "(/\S+)" }\n', monitoring)[1]
    assert f"`http://localhost:8501{path}`" in (place / "README.md").read_text()
    assert '"--rest_api_port=8501"' in (place / "Dockerfile").read_text()


@pytest.mark.parametrize(("state", "code"), [("AVAILABLE", 0), ("LOADING", 1), (None, 1)])
def test_the_health_check_asks_for_the_state_of_the_model(version, state, code):
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = json.dumps(
                {"model_version_status": [{"version": "1", "state": state}]}, indent=1
            )
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args):
            pass

    script = deployed(version()) / "healthcheck.sh"
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    if state is None:
        server.shutdown()
        server.server_close()
    done = subprocess.run(["bash", script, str(server.server_port)], capture_output=True)
    server.shutdown()
    server.server_close()
    thread.join()
    assert done.returncode == code
    assert asked == ["/v1/models/photos"] * (state is not None)


def test_kserve_has_an_inference_service_for_the_storage(version):
    place = deployed(version("3"), "kserve")
    service = yaml.safe_load((place / "inferenceservice.yaml").read_text())
    model = service["spec"]["predictor"]["model"]
    assert (service["apiVersion"], service["kind"]) == (
        "serving.kserve.io/v1beta1",
        "InferenceService",
    )
    assert service["metadata"] == {"name": "photos"}
    assert model["storageUri"] == URI
    assert (model["runtimeVersion"], model["protocolVersion"]) == ("2.21.0", "v1")
    assert model["modelFormat"] == {"name": "tensorflow", "version": "2"}
    assert f"aws s3 sync 3 {URI}/3\n" in (place / "README.md").read_text()
    assert sorted(os.listdir(place)) == ["README.md", "inferenceservice.yaml", "request.json"]


@pytest.mark.parametrize("name", ["image", "text"])
def test_the_request_is_answered(made, tmp_path, name):
    place = deploy(made(name), tmp_path / "out", to="docker")
    (row,) = json.loads((place / "request.json").read_text())["instances"]
    raw = base64.b64decode(row["b64"]) if name == "image" else row.encode()
    ((answer),) = ask(place / "models" / name / "1", [("serving_default", {"inputs": [raw]})])
    assert answer["status"] == [""]


@pytest.mark.parametrize(
    ("facts", "row"),
    [
        ({"modality": "text"}, "a gentle, funny film"),
        ({"modality": "clip", "shape": [3]}, ["image"] * 3),
        (
            {"modality": "text", "inputs": ["question", "context"]},
            {"question": "an example of the question", "context": "an example of the context"},
        ),
    ],
    ids=["text", "clip", "texts"],
)
def test_the_request_has_the_inputs_of_the_model(version, facts, row):
    (found,) = json.loads((deployed(version(**facts)) / "request.json").read_text())["instances"]
    if isinstance(row, list):
        found = ["image" if one.keys() == {"b64"} else one for one in found]
    assert found == row


@pytest.mark.parametrize("to", ["docker", "kserve"])
def test_the_commands_of_the_readme_are_about_files_that_are_there(version, to):
    place = deployed(version(), to)
    readme = (place / "README.md").read_text()
    blocks = re.findall(r"^```bash\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    assert "curl" in "".join(blocks)
    for block in blocks:
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
        named = re.findall(r"(?:@|-f )(\w+\.\w+)", block)
        assert [name for name in named if not (place / name).exists()] == []
    assert "| `serving_default` | Predict | `inputs` string [n]" in readme


ODD = [
    "",
    " ",
    "a b",
    'a"b',
    "a'b",
    "a\nb",
    "a$(id)",
    "${HOME}",
    "-rf",
    "..",
    "a/b",
    "a:b",
    "a`id`",
    "é",
    "a" * 64,
]


@given(st.text(max_size=9) | st.sampled_from(ODD))
@example("a\n")
def test_a_name_is_safe_everywhere_or_refused(tmp_path_factory, name):
    base = tmp_path_factory.mktemp("deploy") / "serving" / "photos"
    (base / "1" / "assets.extra").mkdir(parents=True)
    (base / "1" / "assets.extra" / "kft.json").write_text(json.dumps(FACTS))
    versions.write_manifest(base / "1")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name, re.ASCII):
        assert deployed(base, name=name).is_dir()
        return
    for to in ("docker", "kserve"):
        with pytest.raises(InputError, match=r"`name=.*letters") as caught:
            deployed(base, to, name=name)
        assert str(caught.value).isprintable()
    assert os.listdir(base.parents[1]) == ["serving"]


@pytest.mark.parametrize(
    "name", [one for one in ODD if one.strip(" .") and "/" not in one and len(one) < 64]
)
def test_a_directory_with_an_odd_name_needs_another_for_the_model(version, name):
    base = version(base=name)
    with pytest.raises(InputError, match="cannot name a model: pass a `name` of 1 to 63") as caught:
        deployed(base)
    assert str(caught.value).isprintable()
    place = deployed(base, name="photos")
    for path in contents(place):
        assert name == "é" or path.is_dir() or name not in path.read_text()


@pytest.mark.parametrize("name", ["1", "1.0", "true", "null", "0x10", "1e3", "on", "A.b_c-"])
def test_a_name_that_yaml_would_read_as_another_value_stays_text(version, name):
    place = deployed(version(), name=name)
    config = text_format.Parse(
        (place / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    assert config.model_config_list.config[0].name == name
    if re.fullmatch("[a-z]+", name):
        place = deployed(version(base="more"), "kserve", "kserve", name=name)
        service = yaml.safe_load((place / "inferenceservice.yaml").read_text())
        assert service["metadata"]["name"] == name


@pytest.mark.parametrize("name", ["My_Photos", "1st", "photos-"])
def test_a_name_that_kserve_refuses_is_refused_with_one_that_it_takes(version, name):
    with pytest.raises(InputError, match=r"pass a `name` such as (my-photos|photos)\."):
        deployed(version(), "kserve", name=name)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "photos",
        "s3://",
        "s3://a b",
        "s3://a\nkind: x",
        "s3://a'$(id)",
        "git://a/b",
        "https://host/photos",  # KServe reads a file from there
        "hf://org/photos",  # and a repository
        "s3://bucket/photos/1",  # a version
        "s3://a`id`",
        3,
    ],
)
def test_a_storage_that_kserve_cannot_read_is_refused(version, uri):
    base = version()
    with pytest.raises(InputError, match="`storage_uri="):
        deploy(base, base.parents[1] / "out", to="kserve", storage_uri=uri)
    assert not (base.parents[1] / "out").exists()


@pytest.mark.parametrize(
    "facts",
    [
        {"modality": "image`$(id)`"},
        {"modality": ["text"]},
        {"packages": {"tensorflow": "latest\nRUN id"}},
        {"packages": {}},
        {"inputs": ["a b"]},
        {"inputs": ["`id`"]},
        {"inputs": []},
        {"shape": [10**9]},
        {"shape": [3, 3]},
        {"shape": [float("inf")]},
        {"tensors": "four\n"},
        {"tensors": [4]},
        {"answers": {"outputs": {"a|b": {"dtype": "string", "rank": 1}}}},
        {"features": {"features`": 2}},
        {"format": 99},
    ],
    ids=str,
)  # fmt: skip
def test_a_description_that_is_none_is_refused(version, facts):
    base = version(**facts)
    with pytest.raises(InputError, match=r"kft\.json cannot be read") as caught:
        deployed(base)
    assert str(caught.value).isprintable()
    assert not (base.parents[1] / "out").exists()


def test_a_version_that_is_not_as_it_was_written_is_refused(version):
    base = version()
    (base / "1" / "saved_model.pb").write_bytes(b"other")
    with pytest.raises(InputError, match=r"cannot be deployed: .*SHA-256"):
        deployed(base)


def test_a_link_in_a_version_is_not_followed(version, tmp_path):
    base = version()
    (tmp_path / "secret").write_text("secret")
    (base / "1" / "assets").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="is a link"):
        deployed(base)


def test_other_formats_and_numbers_are_refused(version):
    with pytest.raises(
        InputError, match=r"an onnx export, but TensorFlow Serving loads SavedModels"
    ):
        deployed(version(kind="onnx"))
    with pytest.raises(InputError, match="rename it to one, such as 1"):
        deployed(version("+7", base="more"))


def test_a_directory_with_files_is_refused_before_anything_is_written(version, tmp_path):
    base = version()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".mine").touch()
    before = contents(tmp_path)
    for output in (
        "out",
        "out/.mine",
        "out/.mine/below",
        "serving/photos/2",
        "serving/photos/1/a",
        "serving/photos",
    ):
        with pytest.raises(InputError, match="`output="):
            deployed(base, output=output)
    assert contents(tmp_path) == before
    (tmp_path / "out" / ".mine").unlink()
    deployed(base)
    with pytest.raises(InputError, match="not overwritten"):
        deployed(base)
    outside = {path for path in contents(tmp_path) if not path.is_relative_to(tmp_path / "out")}
    assert outside == before.keys() - {tmp_path / "out", tmp_path / "out" / ".mine"}


def test_nothing_is_left_after_an_error(tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(InputError, match="cannot be written to"):
        write(tmp_path / "new", {"a": "b"}, {"a/b": tmp_path / "source"})
    assert os.listdir(tmp_path) == ["source"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "docker", "--storage-uri", URI], "--storage-uri is for --to kserve, but --to docker"),
        (["--to", "kserve"], "--to kserve needs --storage-uri"),
        (["--to", "docker", "--name", "a b"], "--name 'a b': pass a --name of"),
        (["--to", "triton"], "--to triton cannot serve this version: Triton loads no SavedModels."),
        (["--to", "sagemaker"], "'docker', 'kserve', 'triton'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_about_options(version, cli, words, said):
    base = version()
    code, out, err = cli("deploy", base, "--output", base.parents[1] / "out", *words)
    assert (code, out) == (2, "")
    assert said in err.replace("`", "")
    assert err.count("\n") == 1


@pytest.fixture
def onnx_version(version):
    """Return a function that writes a version with a model in ONNX that returns its input."""

    def make(name="image", sizes=("n", 2, 3), **facts):
        tensors = [
            helper.make_tensor_value_info(one, TensorProto.FLOAT, sizes)
            for one in (name, "Identity:0")
        ]
        node = helper.make_node("Identity", [name], ["Identity:0"])
        graph = helper.make_graph([node], "graph", tensors[:1], tensors[1:])
        base = version(kind="onnx", classes=["a", 'b"'], **facts)
        (base / "1" / "saved_model.pb").unlink()
        save_model(helper.make_model(graph), base / "1" / "model.onnx")
        versions.write_manifest(base / "1")
        return base

    return make


def test_triton_has_a_model_repository_with_the_tensors_of_the_model(onnx_version):
    base = onnx_version()
    place = deployed(base, "triton")
    repository = place / "models" / "photos"
    config = model_config((repository / "config.pbtxt").read_text())
    (given,), (answered,) = config.input, config.output
    assert (config.name, config.backend) == ("photos", "onnxruntime")
    assert (given.name, answered.name) == ("image", "Identity:0")
    assert list(given.dims) == list(answered.dims) == [2, 3]
    assert config.max_batch_size > 1
    assert os.listdir(repository / "1") == ["model.onnx"]
    assert (repository / "1/model.onnx").read_bytes() == (base / "1/model.onnx").read_bytes()
    (sent,) = json.loads((place / "request.json").read_text())["inputs"]
    assert (sent["name"], sent["shape"], sent["datatype"]) == ("image", [1, 2, 3], "FP32")
    assert len(sent["data"]) == 6
    assert json.loads((place / "classes.json").read_text()) == ["a", 'b"']


@pytest.mark.parametrize("name", ['a"\n', "a b", "", "`id`", "é", "a" * 101])
def test_a_tensor_whose_name_could_break_out_is_refused(onnx_version, name):
    with pytest.raises(InputError, match=r"the ONNX tensor") as caught:
        deployed(onnx_version(name), "triton")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("sizes", [(1, 2), ("n", "m"), ("n",), ("n", 2**30), ()])
def test_a_tensor_that_is_no_batch_of_fixed_sizes_is_refused(onnx_version, sizes):
    with pytest.raises(InputError, match="the ONNX tensor 'image'"):
        deployed(onnx_version(sizes=sizes), "triton")


def test_what_triton_cannot_load_is_refused_with_a_way_out(onnx_version):
    base = onnx_version(modality="text")
    with pytest.raises(InputError, match=r"tokenizer .* to='docker'"):
        deployed(base, "triton")
    (base / "1" / "model.onnx").write_bytes(b"other")
    facts = FACTS | {"kind": "onnx"}
    (base / "1" / "assets.extra" / "kft.json").write_text(json.dumps(facts))
    versions.write_manifest(base / "1")
    with pytest.raises(InputError, match=r"model\.onnx` cannot be read"):
        deployed(base, "triton")


def test_the_command_lists_the_files(version, cli, tmp_path):
    for to, words in {"docker": (), "kserve": ("--storage-uri", URI)}.items():
        base = version(base=to)
        code, out, err = cli("deploy", base, "--to", to, "--output", tmp_path / "out" / to, *words)
        assert (code, out) == (0, f"{tmp_path / 'out' / to}\n")
        listed = {line.split()[0] for line in err.splitlines()}
        assert listed == {str(path) for path in (tmp_path / "out" / to).iterdir()}


@pytest.mark.parametrize("to", ["docker", "triton"])
def test_no_framework_is_imported(version, onnx_version, tmp_path, to):
    base = onnx_version() if to == "triton" else version()
    code = (
        "import sys; from kft.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('tensorflow', 'keras', 'torch', 'jax', 'pandas') if m in sys.modules])"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "deploy",
        base,
        "--to",
        to,
        "--output",
        tmp_path / "out",
    ]
    done = subprocess.run(command, text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "out" / "README.md").is_file()


def test_a_version_on_its_own_is_deployed(version, tmp_path):
    version("2")
    place = deploy(version("1") / "1", tmp_path / "out", to="docker", name="mine")
    assert (place / "models" / "mine" / "1" / "saved_model.pb").is_file()
    assert "for version 1." in (place / "README.md").read_text()
    shutil.rmtree(place)
