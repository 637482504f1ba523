"""Code and commands to serve and query a version: Docker, `models.config`, REST, gRPC, TensorFlow."""

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from kft.answers import Answers, Tensor
from kft.export import client_code as code
from kft.export import promises

FOLDER = "clients"  # next to the versions; its name is not a version number
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

# The files that `--clients` writes, and their purposes.
_PURPOSES = {
    "serve.sh": "starts TensorFlow Serving in Docker",
    "models.config": "serves it next to other models, by --model_config_file",
    "rest_client.py": "queries it over REST: python rest_client.py INPUT...",
    "grpc_client.py": "queries it over gRPC, with tensorflow-serving-api",
    "tensorflow_client.py": "runs it in Python, without a server",
}


def files(version: str | os.PathLike, name: str | None = None) -> dict[str, str]:
    """Return files that serve and query a version, name to content.

    Args:
        version: The version directory, `base_dir/N`.
        name: The server's name of the model. Defaults to the name of `base_dir`.
    """
    version = Path(version).absolute()
    facts = promises.read_facts(version)
    described = promises.Description.from_json(facts)  # checks the names that become code here
    answers, modality = described.answers, facts["modality"]
    names = described.inputs
    words = {
        "base": version.parent,
        "name": name or version.parent.name,
        "version": version,
        "shown": _printed({name: _of_arrays(name, answers) for name in answers.shown}),
        "rest_answer": _printed({name: _of_rest(name, answers) for name in answers.shown}),
        "metavar": "FILE" if modality != "text" else " ".join(names).upper(),
        "frames": next(iter(described.shape), 0),
    }
    check = code.COMPLETE.format(count=len(names), names=" and ".join(names))
    asked = code.ARGUMENTS_OF_A_REQUEST + check * (len(names) > 1)
    alone = code.ARGUMENTS + check * (len(names) > 1)
    is_text = modality == "text"
    rest_imports = code.REST_IMPORTS if is_text else code.REST_IMPORTS_OF_FILES
    plain_imports = code.PLAIN_IMPORTS_OF_TEXTS if is_text else code.PLAIN_IMPORTS
    inputs = _read("inputs", _inputs(names, modality), modality)
    rest_inputs = _read("instances", _instances(names, modality), modality)
    url = 'URL = "http://localhost:8501/v1/models/{name}:predict"\n'
    address = 'ADDRESS = "localhost:8500"\n'
    clips = [code.CLIP_FRAMES] if modality == "clip" else []

    def program(imports: str, *steps: str) -> str:
        parts = [imports, *clips, *steps]
        return "\n\n".join(part.format(**words) for part in parts)

    return {
        "serve.sh": _DOCKER.format(**words),
        "models.config": _CONFIG.format(**words),
        "rest_client.py": program(rest_imports, url + asked + rest_inputs + code.REST),
        "grpc_client.py": program(code.GRPC_IMPORTS, address + asked + inputs + code.GRPC),
        "tensorflow_client.py": program(plain_imports, alone + inputs + code.PLAIN),
    }


def _read(target: str, read: str, modality: str) -> str:
    """Return the template of a step that assigns the content of a request."""
    if modality == "text":
        return f"{target} = {_escaped(read)}\n"
    return code.FILES.replace("{target}", target).replace("{code}", _escaped(read))


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _inputs(names: Sequence[str], modality: str) -> str:
    """Return code that makes the inputs of a request from a client's arguments, one row after another."""
    if modality == "clip":
        return f'{{"{names[0]}": [frames(path) for path in options.inputs]}}'
    if modality == "image":
        return f'{{"{names[0]}": [open(path, "rb").read() for path in options.inputs]}}'
    each = (f'"{name}": {_column(place, len(names))}' for place, name in enumerate(names))
    return f"{{{', '.join(each)}}}"


def _instances(names: Sequence[str], modality: str) -> str:
    """Return code that makes the rows of a REST request from a client's arguments."""
    if modality == "clip":
        row = '[{"b64": base64.b64encode(one).decode()} for one in frames(path)]'
        return f"[{row} for path in options.inputs]"
    if modality == "image":
        row = '{"b64": base64.b64encode(open(path, "rb").read()).decode()}'
        return f"[{row} for path in options.inputs]"
    if len(names) == 1:
        return "options.inputs"
    columns = ", ".join(_column(place, len(names)) for place in range(len(names)))
    return f"[dict(zip({list(names)}, row)) for row in zip({columns})]"


def _column(place: int, count: int) -> str:
    return "options.inputs" if count == 1 else f"options.inputs[{place}::{count}]"


def _printed(shown: dict[str, str]) -> str:
    """Return code for a client's output: a single output by itself, several by their names."""
    if len(shown) == 1:
        return next(iter(shown.values()))
    return "{" + ", ".join(f'"{name}": {code}' for name, code in shown.items()) + "}"


def _of_arrays(name: str, answers: Answers) -> str:
    """Return code for one output of a row, from arrays with a row for each input."""
    output, count = answers.outputs[name], _count_of(name, answers)
    value = f'outputs["{name}"][row]'
    if count is not None:
        value += f'[:outputs["{count}"][row]]'
    if output == Tensor("string", 1):
        return f"{value}.decode()"
    if output == Tensor("string", 2):
        return f"[one.decode() for one in {value}]"
    return value if output.dtype == "string" else f"{value}.tolist()"


def _of_rest(name: str, answers: Answers) -> str:
    """Return code for one output of a row, with the best score in addition to a label."""
    scores = next((one.scores for one in answers.rules.rankings if one.label == name), None)
    count = _count_of(name, answers)
    value = f'answer["{name}"]' + ("" if count is None else f'[:answer["{count}"]]')
    return value if scores is None else f'({value}, answer["{scores}"][0])'


def _count_of(name: str, answers: Answers) -> str | None:
    """Return the output with the number of boxes if this one has a value for each box, padded."""
    found = (one for one in answers.rules.detections if name in one.names and name != one.count)
    return next((one.count for one in found), None)


def write(version: str | os.PathLike, name: str | None = None) -> Path:
    """Write these files next to the versions; return their folder.

    Args:
        version: The version directory, `base_dir/N`.
        name: The server's name of the model. Defaults to the name of `base_dir`.
    """
    folder = Path(version).parent / FOLDER
    folder.mkdir(exist_ok=True)
    for file, content in files(version, name).items():
        (folder / file).write_text(content, encoding="utf-8")
    return folder


def instructions(version: str | os.PathLike) -> str:
    """Return a text that says how to serve a version and to query it once.

    Args:
        version: The version directory, `base_dir/N`.
    """
    base = Path(version).absolute().parent
    query = _example(version)
    return "\n".join(
        [
            *_facts(version),
            f"\nServe it:\n\n{files(version)['serve.sh']}",
            *([f"Query it:\n\n{query}\n"] if query else []),
            "`kft export` with --clients also writes clients for REST, gRPC and Python. All files for a server:",
            f"\nkft deploy {shlex.quote(str(base))} --to docker --output DIR",
        ]
    )


def _example(version: str | os.PathLike) -> str | None:
    """Return a shell command that sends one input to a server on this machine; None if it is too long for one."""
    facts = promises.read_facts(Path(version))
    names = promises.Description.from_json(facts).inputs
    url = shlex.quote(
        f"http://localhost:8501/v1/models/{Path(version).absolute().parent.name}:predict"
    )
    if facts["modality"] == "text":
        row = "a text" if len(names) == 1 else {name: f"a {name}" for name in names}
        return f"curl --data {shlex.quote(json.dumps({'instances': [row]}))} {url}"
    is_one_file = facts["modality"] == "image" and len(names) == 1
    return f"{code.IMAGE_QUERY} {url}" if is_one_file else None


def written(version: str | os.PathLike) -> str:
    """Return a text with the paths of the clients that were written for a version.

    Args:
        version: The version directory, `base_dir/N`.
    """
    folder = Path(version).parent / FOLDER
    paths = {str(folder / file): purpose for file, purpose in _PURPOSES.items()}
    width = max(map(len, paths))
    return "\n".join(
        [*_facts(version), *(f"{path:{width}}  {purpose}" for path, purpose in paths.items())]
    )


def _facts(version: str | os.PathLike) -> list[str]:
    """Return what a user should know about a version before querying it."""
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
    return lines
