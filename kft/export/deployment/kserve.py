"""KServe: an InferenceService that serves the versions in a storage on Kubernetes."""

from __future__ import annotations

import math
import re
import shlex
from typing import Any

import yaml

from kft.arguments import in_words, shown
from kft.errors import InputError
from kft.export.deployment import readme
from kft.export.deployment.model import SavedModel
from kft.export.deployment.request import request

PURPOSES = {
    "README.md": "all commands, and the model's inputs and outputs",
    "inferenceservice.yaml": "the InferenceService",
    "request.json": "a request with one row",
}

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)  # as KServe checks it
_SCHEMES = ("s3", "gs", "pvc", "hdfs", "webhdfs", "https", "http", "oci", "hf", "file")
_URI = re.compile(r"([a-z0-9]+)://[A-Za-z0-9._~/%@:+=,?&-]+", re.ASCII)
_MEBIBYTES = 2**20

_README = """\
{head}
## Put the version into the storage

The cluster reads {uri} and serves the highest numbered version there, so the version belongs in a
folder named {number}.

{upload}

## Start it

With a cluster that has KServe:

```bash
kubectl apply -f inferenceservice.yaml
kubectl wait --for=condition=Ready inferenceservice/{name} --timeout=600s
```

`runtimeVersion` is the release of TensorFlow Serving for the TensorFlow that exported the model; KServe's
default is years older. If Docker Hub does not have it yet
([all releases](https://hub.docker.com/r/tensorflow/serving/tags)), write the newest release in its place. A
server that lacks an op of the model refuses to load it, and its log says which:

```bash
kubectl logs --selector serving.kserve.io/inferenceservice={name} --container kserve-container
```

The memory is an estimate: twice {size} of the version, and 1 to 4 GiB for requests. Watch what the server
uses, and change `resources`.

## Query it

Set `INGRESS_HOST` and `INGRESS_PORT` to the
[address of the cluster's gateway](https://kserve.github.io/website/docs/getting-started/predictive-first-isvc).

```bash
SERVICE_HOSTNAME=$(kubectl get inferenceservice {name} -o jsonpath='{{.status.url}}' | cut -d / -f 3)
curl --header "Host: $SERVICE_HOSTNAME" --header "Content-Type: application/json" \\
  --data @request.json "http://$INGRESS_HOST:$INGRESS_PORT/v1/models/{name}:predict"
```

{interface}"""


def check_storage(uri: Any) -> str:
    """Return the place of the versions in a storage.

    Raises:
        InputError: If KServe cannot read it.
    """
    found = _URI.fullmatch(uri) if isinstance(uri, str) else None
    if found is None or found[1] not in _SCHEMES:
        raise InputError(
            f"`storage_uri={shown(uri)}`: pass the place of the versions as KServe reads it, such as "
            f"'s3://bucket/photos', with one of {in_words(_SCHEMES)} and without spaces and quotes."
        )
    return uri.rstrip("/")


def files(model: SavedModel, storage_uri: str) -> dict[str, str]:
    """Return the files of a deployment, name to content.

    Args:
        model: The model.
        storage_uri: Where the cluster finds the versions.

    Raises:
        InputError: If the model's name is none for KServe.
    """
    version = model.version
    if not _NAME.fullmatch(version.name):
        similar = re.sub(r"[^a-z0-9]+", "-", version.name.lower()).strip("-")
        example = similar if _NAME.fullmatch(similar) else "photos"
        raise InputError(
            f"`name={shown(version.name)}`: KServe takes lower-case letters, digits and dashes, beginning with "
            f"a letter: pass a `name` such as {example}."
        )
    words = {
        "name": version.name,
        "number": version.number,
        "uri": f"`{storage_uri}`",
        "upload": _upload(version.number, storage_uri),
        "size": f"the {version.size / _MEBIBYTES:,.0f} MiB",
        "head": readme.head(model.version, "KServe"),
        "interface": readme.interface(model),
    }
    return {
        "README.md": _README.format(**words),
        "inferenceservice.yaml": yaml.safe_dump(_service(model, storage_uri), sort_keys=False),
        "request.json": request(model),
    }


def _service(model: SavedModel, storage_uri: str) -> dict[str, Any]:
    weights = math.ceil(2 * model.version.size / _MEBIBYTES)
    served = {
        "modelFormat": {"name": "tensorflow", "version": "2"},
        "runtime": "kserve-tensorflow-serving",
        "runtimeVersion": model.image_tag,
        "protocolVersion": "v1",
        "storageUri": storage_uri,
        "resources": {
            "requests": {"cpu": "1", "memory": f"{1024 + weights}Mi"},
            "limits": {"cpu": "4", "memory": f"{4096 + weights}Mi"},
        },
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": model.version.name},
        "spec": {"predictor": {"minReplicas": 1, "model": served}},
    }


def _upload(number: int, storage_uri: str) -> str:
    """Return the command that copies the version into the storage, or what to do if none is known."""
    scheme = storage_uri.partition("://")[0]
    commands = {"s3": "aws s3 sync", "gs": "gcloud storage rsync --recursive"}
    if scheme not in commands:
        return f"Copy the version's directory, `{number}`, there with the tools of your storage."
    command = f"{commands[scheme]} {number} {shlex.quote(f'{storage_uri}/{number}')}"
    return f"In the directory of the versions:\n\n```bash\n{command}\n```"
