"""Answers that are pictures as a folder of PNG files, whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from PIL import Image

from kft.errors import InputError

__all__ = ["PictureFolder"]


class Pictured(Protocol):
    """Answers that can be written as pictures."""

    def pictures(self) -> Iterator[tuple[str, Image.Image]]:
        """Yield the name of each input, and its picture."""


class PictureFolder:
    """Take pictures batch by batch, and let a folder of PNG files appear when all of them are there.

    Until then they lie in a hidden folder beside it, which is removed if the block ends with an error.

    Args:
        path: The folder; one that exists must be empty.

    Raises:
        InputError: If it holds something, or is a file.

    Attributes:
        path: The folder.
        count: How many pictures it has got.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path, self.count = Path(path), 0
        self._target = Path(os.path.realpath(self.path))
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
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
        """A name that no picture has yet: of two images called alike the second gets a number."""
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
        if kind is None:
            self._hidden.replace(self._target)
        else:
            shutil.rmtree(self._hidden, ignore_errors=True)
