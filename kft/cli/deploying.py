"""`kft deploy`: files that deploy an exported version to a server."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Target(StrEnum):
    """What serves the version."""

    docker = "docker"
    kserve = "kserve"
    triton = "triton"


def deploy(
    versions_dir: Annotated[
        Path,
        typer.Argument(
            metavar="VERSIONS_DIR",
            help="The directory of the versions, of which the newest is deployed, or one version.",
            show_default=False,
        ),
    ],
    to: Annotated[
        Target,
        typer.Option(
            help="TensorFlow Serving in Docker, KServe on Kubernetes, or Triton for ONNX exports."
        ),
    ],
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The directory to write to, new or empty.")
    ],
    name: Annotated[
        str | None,
        typer.Option(
            help="The server's name of the model. Default: the name of the directory of the versions."
        ),
    ] = None,
    storage_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="For kserve, where the cluster finds the versions, such as s3://bucket/photos.",
        ),
    ] = None,
) -> None:
    """Write the files that deploy an exported version.

    Nothing is started: the README.md among them has the commands.

    kft deploy serving/photos --to docker --output deploy/photos

    kft deploy serving/photos --to kserve --storage-uri s3://bucket/photos --output deploy/photos
    """
    from kft.export import deployment

    place = deployment.deploy(versions_dir, output, to=to.value, name=name, storage_uri=storage_uri)
    typer.echo(str(place))
    typer.echo(deployment.listed(place, to.value), err=True)
