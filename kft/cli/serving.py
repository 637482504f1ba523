"""`kft serve`: a page on this machine for trying a finished run."""

from __future__ import annotations

from typing import Annotated

import typer

from kft.cli import options as o
from kft.cli.open_run import RunRecipe, RunTask, open_recipe
from kft.cli.startup import waiting
from kft.local_server.port import hold
from kft.runs.places import check_run


def serve(
    run: o.RunDir,
    recipe: RunRecipe = None,
    task: RunTask = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")
    ] = 8000,
) -> None:
    """Serve a local page for trying a run.

    Drop files or type texts there to see the answers.

    It listens on 127.0.0.1 alone and is for trying a model; `kft export` is for servers.

    kft serve runs/photos

    curl --data-binary @a.jpg http://127.0.0.1:8000/answer
    """
    check_run(run)
    with hold(port) as bound:  # a port in use is refused before the run is loaded, which takes long
        opened = open_recipe(run, recipe, task)
        from kft.local_server import LocalServer

        with waiting("Answering an example ..."):
            server = LocalServer(opened, str(run), bound)
        typer.echo(f"{run}: {server.url} (Ctrl+C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("Stopped.")
