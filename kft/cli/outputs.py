"""Files that a command writes, checked before the work whose results they are for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kft.arguments import in_words, shortened
from kft.errors import InputError

# The endings of answer files, as in kft.tasks.predictions.files, which imports Keras.
ANSWERS = (".csv", ".tsv", ".jsonl", ".parquet")
FIGURES = (".png", ".svg", ".pdf", ".jpg")


def check_output(option: str, path: Path | None, endings: Sequence[str] = ()) -> None:
    """Refuse a file that cannot be written.

    Args:
        option: The option that names it, such as `--plot`.
        path: The file, None if the option was not passed.
        endings: The allowed endings; empty for any.

    Raises:
        InputError: If the ending is not allowed, the path is not a file, or the directory cannot be
            written to.
    """
    if path is None:
        return
    if endings and path.suffix.lower() not in endings:
        raise InputError(
            f"{option} {path}: the extension determines the format: pass a file that ends in "
            f"{in_words(endings)}."
        )
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{option} {path}: that is not a file; pass the path of one.")
        known = next(one for one in (path, *path.resolve().parents) if one.exists())
    except (OSError, ValueError, RuntimeError) as error:  # too long, or a link to itself
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{option} {shortened(str(path))}: {reason}; pass the path of a file."
        ) from error
    if known != path and not known.is_dir():
        raise InputError(f"{option} {path}: {known} is not a directory; pass another path.")
    if not os.access(known, os.W_OK):
        raise InputError(f"{option} {path}: {known} cannot be written to; pass another path.")


def check_one_outcome(json: bool, output: Path | None) -> None:
    """Refuse to both print and write answers.

    Args:
        json: Whether `--json` was passed.
        output: The value of `--output`.

    Raises:
        InputError: If both were passed.
    """
    if json and output is not None:
        raise InputError("--json prints the answers and --output writes them: pass one of the two.")


def save_figure(drawn: Any, path: Path) -> None:
    """Write a figure to a file whose ending sets the format; its directory is created if needed.

    Raises:
        InputError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the figure cannot be written ({error}).") from error
