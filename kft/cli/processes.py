"""Running a command in several processes together."""

from __future__ import annotations

import os
import sys

import typer

from kft.distribution.launch import launch, launched
from kft.import_path import import_environment, python


def start(processes: int) -> None:
    """Run the current command in several processes, and exit with their exit code.

    In one of those processes it returns at once, and the command continues.

    Args:
        processes: The number of processes.
    """
    if not launched():
        command = python("-m", "kft", *sys.argv[1:])
        raise typer.Exit(launch(command, processes, {**os.environ, **import_environment()}))
