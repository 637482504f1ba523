"""Predictions of detection: boxes in pixels of the original images, in files and drawings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from PIL import Image

from kft.tasks.boxes.drawing import Drawn, drawn, opened
from kft.tasks.boxes.labels import counted
from kft.tasks.masks.files import sizes_of
from kft.tasks.predictions.base import Predictions, line, plain
from kft.tasks.predictions.drawn import figures
from kft.tasks.predictions.files import PredictionFile
from kft.tasks.predictions.folder import PictureFolder, picture_writer

_SIDE = 448


@dataclass(frozen=True)
class Box:
    """A detected object.

    Attributes:
        label: Its class.
        score: Its score, from 0 to 1.
        left: The left side in pixels of the original image; the upper left corner is (0, 0).
        top: The upper side.
        right: The right side.
        bottom: The lower side.
    """

    label: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, eq=False, repr=False)
class BoxPredictions(Predictions):
    """The boxes of each image; an answer, `predictions[0]`, is a tuple of `Box`, the best first.

    Args:
        inputs: The name of each image: its path, if it has one.
        found: Left, top, right and bottom as fractions of the image, score and class number, `[n, m,
            6]`, padded with rows of score 0.
        classes: Names of the classes.
        colours: The colour in which each class is drawn, uint8 `[k, 3]`.
        size: Height and width of images whose size is unknown.
        images: The images themselves, on which boxes are drawn. Defaults to none.
    """

    like: ClassVar[Mapping[str, Any]] = {"boxes": [asdict(Box("", 0.0, 0.0, 0.0, 0.0, 0.0))]}

    found: np.ndarray
    classes: tuple[str, ...]
    colours: np.ndarray
    size: tuple[int, int]
    images: Sequence[Any] = ()
    _sizes: tuple[tuple[int, int], ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        known = sizes_of(self.images) if len(self.images) else [None] * len(self.inputs)
        object.__setattr__(self, "_sizes", tuple(one or self.size for one in known))

    def with_inputs(self, values: Sequence[Any]) -> Self:
        """Return the same answers in pixels of the raw images."""
        return replace(self, images=values)

    def columns(self) -> dict[str, list[Any]]:
        """Return `input` and `boxes`, dicts of `label`, `score`, `left`, `top`, `right` and `bottom`."""
        return {"input": list(self.inputs), "boxes": [list(map(asdict, boxes)) for boxes in self]}

    @property
    def labels(self) -> list[str]:
        """The number of boxes of each class, in words."""
        return [self._counted(rows) for rows in self.found]

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the printed table: the number of boxes of each class per image."""
        pairs = zip(self.inputs, self.labels, strict=True)
        return ["input", "boxes"], [
            [self.shown("input", name), line(listed)] for name, listed in pairs
        ]

    def writer(self, path: str | os.PathLike) -> PictureFolder | PredictionFile:
        """Return a writer of drawings to a folder, or of boxes to a file if the path has an ending."""
        return picture_writer(path)

    def write(self, path: str | os.PathLike) -> Path:
        """Write a PNG file per image with its boxes drawn on it, or one file of boxes.

        Args:
            path: A new or empty folder, or a file that ends in .csv, .tsv, .jsonl or .parquet.

        Returns:
            The path.

        Raises:
            InputError: If the folder is not empty, or the file has another ending.
        """
        return super().write(path)

    def pictures(self) -> Iterator[tuple[str, Image.Image]]:
        """Yield the name of each image, and the image with its boxes."""
        for place, name in enumerate(self.inputs):
            yield name, self._drawn(place, None)

    def _at(self, index: int) -> tuple[Box, ...]:
        rows = self.found[index]
        rows = rows[rows[:, 4] > 0]
        height, width = self._sizes[index]
        corners = rows[:, :4] * np.array([width, height, width, height], np.float32)
        return tuple(
            Box(self.classes[int(kind)], score, *sides)
            for sides, score, kind in zip(
                map(plain, corners), plain(rows[:, 4]), rows[:, 5], strict=True
            )
        )

    def _drawn(self, place: int, side: int | None) -> Image.Image:
        image = opened(self.images[place], side) if len(self.images) else None
        if image is None:
            image = Image.new("RGB", self._sizes[place][::-1], "white")
        rows = self.found[place]
        lines = []
        for row in rows[rows[:, 4] > 0][::-1]:  # the best on top
            kind = int(row[5])
            red, green, blue = self.colours[kind].tolist()
            lines.append(Drawn(row[:4], (red, green, blue), f"{self.classes[kind]} {row[4]:.2f}"))
        return drawn(image, lines)

    def _counted(self, rows: np.ndarray) -> str:
        return counted(rows[rows[:, 4] > 0, 5].astype(np.int64), self.classes)

    def _repr_html_(self) -> str:
        return figures(self.inputs, lambda place: self._drawn(place, _SIDE))
