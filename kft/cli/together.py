"""A command that several processes carry out together."""

from __future__ import annotations

import sys

import typer

from kft.launch import launch, launched


def start(processes: int) -> None:
    """Run this very command in several processes and end with their exit code.

    In one of those processes it returns at once, and the command goes on.

    Args:
        processes: How many.
    """
    if not launched():
        command = [sys.executable, "-c", "from kft.cli import main; main()", *sys.argv[1:]]
        raise typer.Exit(launch(command, processes))
