"""Predictions of segmentation: masks, in files and drawn over their images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from kft.tasks.masks.colours import drawn
from kft.tasks.masks.files import sizes_of
from kft.tasks.predictions.base import Predictions, line, plain
from kft.tasks.predictions.drawn import figures
from kft.tasks.predictions.files import PredictionFile
from kft.tasks.predictions.folder import PictureFolder, picture_writer

_SIDE = 224
_SHOWN = 3  # classes of an image in a table


@dataclass(frozen=True, eq=False, repr=False)
class MaskPredictions(Predictions):
    """The mask of each image; an answer, `predictions[0]`, is an array of class numbers.

    Args:
        inputs: The name of each image: its path, if it has one.
        masks: Class numbers, uint8 `[n, height, width]`, in the model's image size.
        classes: Names of the classes.
        colours: The colour in which each class is drawn, uint8 `[k, 3]`.
    """

    masks: np.ndarray
    classes: tuple[str, ...]
    colours: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """The fraction of the pixels of each class, `[n, k]`."""
        k, (n, height, width) = len(self.classes), self.masks.shape
        cells = self.masks.astype(np.int64) + k * np.arange(n)[:, None, None]
        return np.bincount(cells.ravel(), minlength=n * k).reshape(n, k) / (height * width)

    def columns(self) -> dict[str, list[Any]]:
        """Return `input`, and for each class `area_<name>`, its fraction of the image."""
        areas = {
            f"area_{name}": plain(column)
            for name, column in zip(self.classes, self.shares.T, strict=True)
        }
        return {"input": list(self.inputs), **areas}

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the printed table: the largest classes of each image."""
        rows = []
        for name, shares in zip(self.inputs, self.shares, strict=True):
            order = [n for n in np.argsort(-shares, kind="stable")[:_SHOWN] if shares[n]]
            listed = ", ".join(f"{self.classes[n]} {shares[n]:.0%}" for n in order)
            rows.append([self.shown("input", name), line(listed)])
        return ["input", "largest classes"], rows

    def writer(self, path: str | os.PathLike) -> PictureFolder | PredictionFile:
        """Return a writer of masks to a folder, or of areas to a file if the path has an ending."""
        return picture_writer(path)

    def write(self, path: str | os.PathLike) -> Path:
        """Write a PNG file of class numbers per image, or one file of areas.

        A mask has the size of its image, if that is a file that can be read, otherwise the model's
        image size. Its palette holds the colours of the classes.

        Args:
            path: A new or empty folder, or a file that ends in .csv, .tsv, .jsonl or .parquet.

        Returns:
            The path.

        Raises:
            InputError: If the folder is not empty, or the file has another ending.
        """
        return super().write(path)

    def pictures(self) -> Iterator[tuple[str, Image.Image]]:
        """Yield the name of each image and its mask as a picture."""
        palette = self.colours.tobytes()
        for name, mask, size in zip(self.inputs, self.masks, sizes_of(self.inputs), strict=True):
            image = Image.fromarray(mask)
            if size is not None:
                image = image.resize(size[::-1], Image.Resampling.NEAREST)
            image.putpalette(palette)
            yield name, image

    def _at(self, index: int) -> np.ndarray:
        return self.masks[index]

    def _repr_html_(self) -> str:
        keys = "".join(
            f'<span style="background:rgb({",".join(map(str, colour))});padding:0 .6em;margin-left:1em">'
            f"</span> {escape(name)}"
            for name, colour in zip(self.classes, self.colours.tolist(), strict=True)
        )
        return figures(self.inputs, self._over, below=f"<p>{keys}</p>")

    def _over(self, place: int) -> Image.Image:
        """Return a mask as a picture, drawn over its image if that is a file."""
        name = self.inputs[place]
        picture = Image.fromarray(drawn(self.masks[place], self.colours))
        if sizes_of([name])[0] is not None:
            with Image.open(name) as image:
                under = ImageOps.exif_transpose(image).convert("RGB")
            under.thumbnail((_SIDE, _SIDE))
            picture = Image.blend(under, picture.resize(under.size, Image.Resampling.NEAREST), 0.5)
        return picture
