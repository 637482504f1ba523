"""Files that deploy an exported version to a server, made from the version's description.

Nothing here imports Keras or TensorFlow, and no file of the version is executed.
"""

from __future__ import annotations

import os
from pathlib import Path

from kft.arguments import check_choice, path_of
from kft.errors import InputError
from kft.export.deployment import docker, kserve
from kft.export.deployment.model import DeployedModel
from kft.export.deployment.output import check_output, write

TARGETS = ("docker", "kserve")
_PURPOSES = {"docker": docker.PURPOSES, "kserve": kserve.PURPOSES}


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
    server's configuration and a health check. `"kserve"` writes an InferenceService for Kubernetes. Both
    write a request that fits the model's inputs, and a `README.md` with all commands.

    Args:
        versions_dir: The directory of the versions, of which the newest is deployed, or one version.
        output: The directory to write to, new or empty.
        to: `"docker"` or `"kserve"`.
        name: The server's name of the model. Defaults to the name of the directory of the versions.
        storage_uri: For `"kserve"`, where the cluster finds the versions, such as
            `"s3://bucket/photos"`.

    Returns:
        The directory with the files.

    Raises:
        InputError: If an argument is wrong, the version is damaged, it is not one for TensorFlow Serving, or
            `output` holds files.

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
            else f"`storage_uri` goes with to='kserve', but to={to!r}: leave it out."
        )
    example = "a directory of versions, such as 'serving/photos'"
    model = DeployedModel.read(path_of("versions_dir", versions_dir, example), name)
    place = path_of("output", output, "a new directory, such as 'deploy/photos'")
    if to == "kserve":
        files = kserve.files(model, kserve.check_storage(storage_uri))
        folders: dict[str, Path] = {}
    else:
        files, folders = docker.files(model), docker.folders(model)
    check_output(place, model.path)
    write(place, files, folders)
    return place


def listed(directory: Path, to: str) -> str:
    """Return the paths of a deployment's files with their purposes, one a line.

    Args:
        directory: The directory that `deploy` returned.
        to: As for `deploy`.
    """
    paths = {str(directory / name): purpose for name, purpose in _PURPOSES[to].items()}
    width = max(map(len, paths))
    return "\n".join(f"{path:{width}}  {purpose}" for path, purpose in paths.items())
