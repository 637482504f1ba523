"""Files that deploy an exported version to a server, made from the version's description.

Nothing here imports Keras or TensorFlow, and no file of the version is executed.
"""

from __future__ import annotations

import os
from pathlib import Path

from kft.arguments import check_choice, path_of
from kft.errors import InputError
from kft.export.deployment import docker, kserve, triton
from kft.export.deployment.model import SavedModel
from kft.export.deployment.onnx_model import OnnxModel
from kft.export.deployment.output import check_output, write
from kft.export.deployment.version import Version

_PURPOSES = {"docker": docker.PURPOSES, "kserve": kserve.PURPOSES, "triton": triton.PURPOSES}
TARGETS = tuple(_PURPOSES)


def deploy(
    versions_dir: str | os.PathLike,
    output: str | os.PathLike,
    *,
    to: str,
    name: str | None = None,
    storage_uri: str | None = None,
) -> Path:
    """Write the files that deploy an exported version to a server.

    `"docker"` writes a Dockerfile for TensorFlow Serving with a copy of the version, a Compose file, the
    server's configuration and a health check. `"kserve"` writes an InferenceService for Kubernetes.
    `"triton"` writes a model repository for Triton Inference Server with a copy of an ONNX export. Each has a
    request that fits the model's inputs, and a `README.md` with all commands.

    Args:
        versions_dir: The directory of the versions, of which the newest is deployed, or one version.
        output: The directory to write to, new or empty.
        to: `"docker"`, `"kserve"` or `"triton"`.
        name: The server's name of the model. Defaults to the name of the directory of the versions.
        storage_uri: For `"kserve"`, where the cluster finds the versions, such as
            `"s3://bucket/photos"`.

    Returns:
        The directory with the files.

    Raises:
        InputError: If an argument is wrong, the version is damaged or the server cannot load it, or `output`
            holds files.

    Example:

    ```python
    deploy("serving/photos", "deploy/photos", to="docker")
    ```
    """
    check_choice("to", to, TARGETS)
    if (storage_uri is not None) != (to == "kserve"):
        raise InputError(
            "to='kserve' needs `storage_uri`, where the cluster finds the versions: pass one such as "
            "'s3://bucket/photos'."
            if to == "kserve"
            else f"`storage_uri` is for to='kserve', but to={to!r} was given: leave it out."
        )
    example = "a directory of versions, such as 'serving/photos'"
    version = Version.read(path_of("versions_dir", versions_dir, example), name)
    place = path_of("output", output, "a new directory, such as 'deploy/photos'")
    copies: dict[str, Path] = {}
    if to == "docker":
        model = SavedModel.of(version)
        files, copies = docker.files(model), docker.copies(model)
    elif to == "triton":
        triton.check(version)
        onnx_model = OnnxModel.of(version)
        files, copies = triton.files(onnx_model), triton.copies(onnx_model)
    else:
        storage = kserve.check_storage(storage_uri)
        files = kserve.files(SavedModel.of(version), storage)
    check_output(place, version.path)
    write(place, files, copies)
    return place


def listed(directory: Path, to: str) -> str:
    """Return the paths of a deployment's files with their purposes, one a line.

    Args:
        directory: The directory that `deploy` returned.
        to: As for `deploy`.
    """
    paths = {
        str(directory / name): purpose
        for name, purpose in _PURPOSES[to].items()
        if (directory / name).exists()
    }
    width = max(map(len, paths))
    return "\n".join(f"{path:{width}}  {purpose}" for path, purpose in paths.items())
