"""A command that several processes carry out together."""

from __future__ import annotations

import os
import sys

import typer

from kft.distribution.launch import launch, launched
from kft.import_path import import_environment, python


def start(processes: int) -> None:
    """Run this very command in several processes and end with their exit code.

    In one of those processes it returns at once, and the command goes on.

    Args:
        processes: How many.
    """
    if not launched():
        command = python("-m", "kft", *sys.argv[1:])
        raise typer.Exit(launch(command, processes, {**os.environ, **import_environment()}))
