"""KServe: an InferenceService that serves the versions in a storage on Kubernetes."""

from __future__ import annotations

import re
import shlex
from typing import Any

import yaml

from kft.arguments import in_words, shown
from kft.errors import InputError
from kft.export.deployment import readme
from kft.export.deployment.model import MEBIBYTE, SavedModel
from kft.export.deployment.request import request

PURPOSES = {
    "README.md": "all commands, and the model's inputs and outputs",
    "inferenceservice.yaml": "the InferenceService",
    "request.json": "a request with one row",
}

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)  # as KServe checks it
# Those that name directories: https takes a file, hf a repository and oci an image.
_SCHEMES = ("s3", "gs", "pvc", "hdfs", "webhdfs")
_AZURE = re.compile(r"https://[a-z0-9]+\.blob\.core\.windows\.net/.+", re.ASCII)
_URI = re.compile(r"([a-z0-9]+)://[A-Za-z0-9._~/%@:+=,?&-]+", re.ASCII)

_README = """\
{head}
## Put the version into the storage

The cluster copies {uri} whenever a pod starts, and serves the highest numbered version in it. So put the
version into a directory named {number}, with no others next to it: after a restart, a pod would serve a higher one.

{upload}

A private storage needs credentials: a secret and a service account that refers to it, which is named in
`inferenceservice.yaml` as `serviceAccountName`, next to `model`
([KServe's page](https://kserve.github.io/website/docs/model-serving/storage/overview)). Without them, the log
of the container `storage-initializer` says that access was denied.

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

The pod becomes ready when the server opens its port, after it has loaded the model and answered the version's
warmup requests. TensorFlow Serving reports metrics for Prometheus only with a file that says so. KServe expects
them at `/metrics` of port 8080: put the line

```
prometheus_config {{ enable: true path: "/metrics" }}
```

into a ConfigMap, mount it by `volumes` of the predictor and `volumeMounts` of `model`, and name its file in the
`args` of `model` as `--monitoring_config_file=PATH`
([KServe's page](https://kserve.github.io/website/docs/model-serving/predictive-inference/observability/prometheus-metrics)).

## Query it

Set `INGRESS_HOST` and `INGRESS_PORT` to the
[address of the cluster's gateway](https://kserve.github.io/website/docs/getting-started/predictive-first-isvc).

```bash
SERVICE_HOSTNAME=$(kubectl get inferenceservice {name} -o jsonpath='{{.status.url}}' | cut -d / -f 3)
curl --header "Host: $SERVICE_HOSTNAME" --header "Content-Type: application/json" \\
  --data @request.json "http://$INGRESS_HOST:$INGRESS_PORT/v1/models/{name}:predict"
```

{interface}
## Before others use it

- Whoever reaches the gateway can query the model: authentication is up to the gateway.
- For a newer export, upload it to another directory, run `kft deploy` with that, and apply its file. To go
  back, apply the old file again.
- Requests of several clients are not batched, unlike with `--to docker`.
"""


def check_storage(uri: Any) -> str:
    """Return the place of the versions in a storage.

    Raises:
        InputError: If KServe cannot read it.
    """
    found = _URI.fullmatch(uri) if isinstance(uri, str) else None
    if found is None or not (found[1] in _SCHEMES or _AZURE.fullmatch(uri)):
        raise InputError(
            f"`storage_uri={shown(uri)}`: pass a directory as KServe reads it, such as 's3://bucket/photos', with "
            f"one of {in_words(_SCHEMES)}, or of Azure's blob storage, and without spaces and quotes."
        )
    place = uri.rstrip("/")
    if place.rpartition("/")[2].isdigit():
        raise InputError(
            f"`storage_uri={shown(uri)}` ends like a version: pass the directory that contains the version's, "
            f"such as {shown(place.rpartition('/')[0])}."
        )
    return place


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
        "size": f"the {version.size / MEBIBYTE:,.0f} MiB",
        "head": readme.head(model.version, "KServe"),
        "interface": readme.interface(model),
    }
    return {
        "README.md": _README.format(**words),
        "inferenceservice.yaml": yaml.safe_dump(_service(model, storage_uri), sort_keys=False),
        "request.json": request(model),
    }


def _service(model: SavedModel, storage_uri: str) -> dict[str, Any]:
    least, most = model.memory
    served = {
        "modelFormat": {"name": "tensorflow", "version": "2"},
        "runtime": "kserve-tensorflow-serving",
        "runtimeVersion": model.image_tag,
        "protocolVersion": "v1",
        "storageUri": storage_uri,
        "resources": {
            "requests": {"cpu": "1", "memory": f"{least}Mi"},
            "limits": {"cpu": "4", "memory": f"{most}Mi"},
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
