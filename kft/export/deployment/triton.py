"""Triton Inference Server: a model repository with an ONNX export.

Triton has had no backend for TensorFlow since release 25.03, so it cannot load a SavedModel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

from kft.errors import InputError
from kft.export.deployment import readme
from kft.export.deployment.onnx_model import OnnxModel, OnnxTensor
from kft.export.deployment.version import Version
from kft.export.runtimes import FILES

PURPOSES = {
    "README.md": "all commands, and the model's inputs and outputs",
    "request.json": "a request with one row",
    "classes.json": "the names of the classes, in the order of the scores",
    "models": "the model repository: the version and its config.pbtxt",
}

_ZEROS = {"FP32": 0.0, "INT32": 0, "INT64": 0, "BOOL": False}
_IMAGE = "nvcr.io/nvidia/tritonserver:26.07-py3"

_CONFIG = """\
name: "{name}"
backend: "onnxruntime"
max_batch_size: 32
{inputs}{outputs}dynamic_batching {{ max_queue_delay_microseconds: 1000 }}
"""

_TENSOR = """\
{field} {{
  name: "{name}"
  data_type: TYPE_{datatype}
  dims: [ {dims} ]
}}
"""

_README = """\
{head}
## Start it

With Docker, in this directory; add `--gpus all` for GPUs:

```bash
docker run --rm -p 127.0.0.1:8000:8000 -p 127.0.0.1:8001:8001 -p 127.0.0.1:8002:8002 \\
  --mount type=bind,source="$PWD/models",target=/models,readonly \\
  {image} tritonserver --model-repository=/models
```

Newer releases are listed at [NGC](https://catalog.ngc.nvidia.com/orgs/nvidia/containers/tritonserver).

## Query it

```bash
curl --fail http://localhost:8000/v2/models/{name}/ready
curl --data @request.json http://localhost:8000/v2/models/{name}/infer
```

## Inputs and outputs

| | name | type | sizes |
| --- | --- | --- | --- |
{rows}

The first axis, n, is the batch. Images are pixels from 0 to 255, with red, green and blue in the last axis,
resized to these sizes. The outputs are the model's own: for a classifier, scores in the order of
`classes.json`. The model has no decoder, so the program that decodes files for it must refuse broken and
oversized ones.

## Before others use it

The server asks for no password and does not encrypt: its ports, 8000 for HTTP, 8001 for gRPC and 8002
for metrics (`/metrics`, for Prometheus), are opened to this machine only. Put a proxy that does both in front
of it.
"""


def check(version: Version) -> None:
    """Refuse a version that Triton cannot serve.

    Raises:
        InputError: If its inputs are texts, or it is not in ONNX.
    """
    if version.is_text:
        raise InputError(
            "to='triton', but this model takes texts, and its tokenizer cannot be part of an ONNX export: deploy a "
            "version for TensorFlow Serving with to='docker'."
        )
    if version.kind != "onnx":
        raise InputError(
            "to='triton' cannot serve this version: Triton loads no SavedModels. Export the run as ONNX (`kft "
            "export --format onnx`) into another directory and deploy that, or pass to='docker'."
        )


def files(model: OnnxModel) -> dict[str, str]:
    """Return the files of a deployment, path to content.

    Args:
        model: The model.
    """
    version = model.version
    words = {"name": version.name, "number": version.number, "image": _IMAGE}
    rows = [("input", one) for one in model.inputs] + [("output", one) for one in model.outputs]
    shown = "\n".join(
        f"| {kind} | `{one.name}` | {one.datatype} | [n, {_listed(one.sizes)}] |"
        for kind, one in rows
    )
    head = readme.head(version, "Triton Inference Server")
    classes = version.facts.get("classes")
    are_names = isinstance(classes, list) and all(isinstance(one, str) for one in classes)
    named = {"classes.json": json.dumps(classes, indent=1) + "\n"} if are_names else {}
    return {
        "README.md": _README.format(head=head, rows=shown, **words),
        "request.json": _request(model),
        **named,
        f"models/{version.name}/config.pbtxt": _CONFIG.format(
            inputs=_tensors("input", model.inputs),
            outputs=_tensors("output", model.outputs),
            **words,
        ),
    }


def copies(model: OnnxModel) -> dict[str, Path]:
    """Return the files of a deployment that are copies, path to source.

    Args:
        model: The model.
    """
    version = model.version
    place = f"models/{version.name}/{version.number}/model.onnx"  # as Triton calls it
    return {place: version.path / FILES["onnx"]}


def _tensors(field: str, tensors: Iterable[OnnxTensor]) -> str:
    return "".join(
        _TENSOR.format(field=field, name=one.name, datatype=one.datatype, dims=_listed(one.sizes))
        for one in tensors
    )


def _listed(sizes: Iterable[int]) -> str:
    return ", ".join(map(str, sizes))


def _request(model: OnnxModel) -> str:
    inputs = [
        {
            "name": one.name,
            "shape": [1, *one.sizes],
            "datatype": one.datatype,
            "data": [_ZEROS[one.datatype]] * math.prod(one.sizes),
        }
        for one in model.inputs
    ]
    return json.dumps({"inputs": inputs}) + "\n"
