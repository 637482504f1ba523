"""TensorFlow Serving in Docker: an image with the version, its configuration and a health check."""

from __future__ import annotations

from pathlib import Path

import yaml

from kft.export.deployment import readme
from kft.export.deployment.model import SavedModel
from kft.export.deployment.request import request

PURPOSES = {
    "README.md": "all commands, and the model's inputs and outputs",
    "Dockerfile": "the image: TensorFlow Serving, the version and its configuration",
    "compose.yaml": "runs the image on this machine",
    "models.config": "which model is served: ModelServerConfig",
    "batching.config": "how requests are batched: BatchingParameters",
    "monitoring.config": "metrics for Prometheus: MonitoringConfig",
    "healthcheck.sh": "whether the model is available",
    "request.json": "a request with one row",
    "models": "the version",
}

_DOCKERFILE = """\
# The release for the TensorFlow that exported the model.
ARG TF_SERVING_VERSION={tag}
FROM tensorflow/serving:${{TF_SERVING_VERSION}}

COPY --chown=1000:1000 models /models
COPY --chown=1000:1000 models.config batching.config monitoring.config healthcheck.sh /serving/

USER 1000:1000
EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s \\
  CMD ["/bin/bash", "/serving/healthcheck.sh"]
ENTRYPOINT ["/usr/bin/tensorflow_model_server", "--port=8500", "--rest_api_port=8501", \\
  "--model_config_file=/serving/models.config", \\
  "--enable_batching=true", "--batching_parameters_file=/serving/batching.config", \\
  "--monitoring_config_file=/serving/monitoring.config"]
"""

_MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""

_BATCHING = """\
# Rows of requests that arrive within a millisecond are computed together, up to 32 at once.
max_execution_batch_size { value: 32 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 100 }
# A larger request is split; one of more rows than this is refused.
max_batch_size { value: 1024 }
enable_large_batch_splitting { value: true }
# Batches are computed by as many threads as there are cores; num_batch_threads sets another number.
"""

_METRICS = "/monitoring/prometheus/metrics"
_MONITORING = f'''prometheus_config {{ enable: true path: "{_METRICS}" }}\n'''

_HEALTHCHECK = """\
#!/bin/bash
# Succeeds if the model is available. TensorFlow Serving's image has no curl.
exec 3<>"/dev/tcp/127.0.0.1/${{1:-8501}}" || exit 1
printf 'GET /v1/models/{name} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3
grep -q '"AVAILABLE"' <&3 || exit 1
"""

_README = """\
{head}
## Start it

With Docker and Compose, in this directory:

```bash
docker compose up --build --wait
```

It returns when the model is available. `docker compose logs` shows what the server says, and
`docker compose down` ends it. The image contains the version:
`docker build --platform linux/amd64 --tag IMAGE .` builds it for a registry. TensorFlow Serving's images are
for x86-64, which Docker emulates on other processors.

Docker Hub may not have TensorFlow Serving {tag} yet, since its releases follow TensorFlow's by months
([all releases](https://hub.docker.com/r/tensorflow/serving/tags)). Then write the newest release into
`Dockerfile`. A server that lacks an op of the model refuses to load it, and its log says which.

## Query it

```bash
curl {status}
curl --data @request.json {predict}
```

`http://localhost:8501{metrics}` has the server's metrics for Prometheus, such as the number
of requests and their latency.
{own}
{interface}
## Before others use it

- The server asks for no password and does not encrypt: `compose.yaml` opens its ports, 8501 for REST and 8500
  for gRPC, to this machine only. Put a proxy that does both in front of it.
- It runs without root, without capabilities and with a read-only file system.
- `compose.yaml` limits the memory to an estimate: twice the size of the version, and 4 GiB for requests. A batch
  of large inputs needs much: lower `max_execution_batch_size` in `batching.config`, or raise the limit, if the
  server is ended for it. CPUs are not limited, since the server computes with as many threads as the machine
  has: a limit (`cpus`) slows it down unless `--tensorflow_session_parallelism` is as low.
- To serve a newer export, run `kft deploy` again into another directory, end the old container with
  `docker compose down`, since both open the same ports, and start the new one.
"""


def files(model: SavedModel) -> dict[str, str]:
    """Return the files of a deployment, name to content.

    Args:
        model: The model.
    """
    status = f"http://localhost:8501/v1/models/{model.version.name}"
    words = {
        "name": model.version.name,
        "tag": model.image_tag,
        "head": readme.head(model.version, "TensorFlow Serving in Docker"),
        "interface": readme.interface(model),
        "own": readme.own_request(model, f"{status}:predict"),
        "status": status,
        "predict": f"{status}:predict",
        "metrics": _METRICS,
    }
    return {
        "README.md": _README.format(**words),
        "Dockerfile": _DOCKERFILE.format(**words),
        "compose.yaml": yaml.safe_dump(_compose(model), sort_keys=False),
        "models.config": _MODELS.format(**words),
        "batching.config": _BATCHING,
        "monitoring.config": _MONITORING,
        "healthcheck.sh": _HEALTHCHECK.format(**words),
        "request.json": request(model),
    }


def copies(model: SavedModel) -> dict[str, Path]:
    """Return the folders of a deployment that are copies, path to source.

    Args:
        model: The model.
    """
    return {f"models/{model.version.name}/{model.version.number}": model.version.path}


def _compose(model: SavedModel) -> dict[str, object]:
    least, most = model.memory
    memory = {"limits": {"memory": f"{most}m"}, "reservations": {"memory": f"{least}m"}}
    server = {
        "build": ".",
        "platform": "linux/amd64",  # the only one of TensorFlow Serving's images
        "init": True,
        "ports": ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"],
        "restart": "unless-stopped",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "deploy": {"resources": memory},
    }
    return {"services": {"serving": server}}
