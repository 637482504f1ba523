"""Folders of predicted pictures as PNG files, written batch by batch and atomically."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from PIL import Image

from kft.arguments import path_of
from kft.errors import InputError
from kft.tasks.predictions.files import PredictionFile, place_of

__all__ = ["PictureFolder", "picture_writer"]


class Pictured(Protocol):
    """Predictions that can be written as pictures."""

    def pictures(self) -> Iterator[tuple[str, Image.Image]]:
        """Yield the name of each input and its picture."""


class PictureFolder:
    """Write pictures batch by batch to a folder of PNG files that appears when it is complete.

    Until then they are in a hidden folder next to it, which is removed if the block ends with an error.

    Args:
        path: A new or empty folder.

    Raises:
        InputError: If it is not empty, or is a file.

    Attributes:
        path: The folder.
        count: The number of pictures written so far.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path, self.count = path_of("path", path, "a new folder, such as 'answers'"), 0
        self._target = place_of(self.path)
        if os.path.exists(self.path) and (not os.path.isdir(self.path) or any(self.path.iterdir())):
            raise InputError(
                f"`{self.path}` is there already: pass a new or empty folder for pictures, or a file "
                "that ends in .csv, .tsv, .jsonl or .parquet for numbers."
            )
        self._hidden = self._target.with_name(f".kft-{secrets.token_hex(8)}.partial")
        self._names: dict[str, int] = {}

    def add(self, predictions: Pictured) -> None:
        """Write the pictures of the next batch."""
        for name, picture in predictions.pictures():
            picture.save(self._hidden / self._name(name), "PNG")
            self.count += 1

    def _name(self, name: str) -> str:
        """Return a file name that is not used yet, numbered if several images have the same name."""
        stem = Path(name).stem.replace(" ", "_") or "image"
        times = self._names[stem] = self._names.get(stem, 0) + 1
        return f"{stem}.png" if times == 1 else self._name(f"{stem}-{times}.png")

    def __enter__(self) -> Self:
        self._hidden.mkdir(parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._hidden.replace(self._target)
        finally:
            shutil.rmtree(self._hidden, ignore_errors=True)


def picture_writer(path: str | os.PathLike) -> PictureFolder | PredictionFile:
    """Return a writer of pictures to a folder, or of columns to a file if the path has an ending."""
    given = path_of(
        "path", path, "a new folder, such as 'answers', or a file, such as 'answers.csv'"
    )
    return PredictionFile(given) if given.suffix else PictureFolder(given)
