"""The settings by which labelled data are read from any source."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from kft.arguments import check_whole, shown
from kft.data.bad import BadExamples
from kft.data.encodings import checked_encoding
from kft.data.files import checked_root
from kft.data.modality import Modality, modality_named
from kft.data.split_values import SplitBy
from kft.data.targets import TargetKind
from kft.errors import InputError

__all__ = ["ReadSettings"]

_Columns = str | Sequence[str] | Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """The arguments of `kft.data.read.read` that the readers need.

    Args:
        task: The kind of the labels.
        modality: `"image"`, `"text"` or `"clip"`.
        classes: The classes of the training, as the task represents them; None to find them in the
            data.
        text_column: Column or feature with the texts.
        path_column: Column with paths of images, relative to the table.
        label_column: Column or feature with the labels, several of them, or a dict of these.
        encoding: The encoding of text files.
        on_bad_example: `"error"` or `"skip"`.
        max_pixels: The largest image to accept, width times height.
        split: Split of a TFDS; None for its default.
        by: The groups or times for a split of the data.
        image_root: Folder that image paths in a table are relative to; None for that of the table.

    Raises:
        InputError: A value is out of its range.
    """

    task: TargetKind
    modality: str
    classes: Any
    text_column: str
    path_column: str
    label_column: _Columns
    encoding: str
    on_bad_example: str
    max_pixels: int
    split: str | None
    by: SplitBy
    image_root: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        modality_named(self.modality)
        object.__setattr__(self, "encoding", checked_encoding(self.encoding))
        self._check_columns()
        self.bad_examples("data")  # checks `on_bad_example`
        check_whole("max_pixels", self.max_pixels, "pixels")
        if self.split is not None and not isinstance(self.split, str):
            raise InputError(
                f"split={shown(self.split)}, but text such as 'train[:80%]' is expected"
            )
        if self.image_root is not None:
            checked_root(self.image_root)
        if self.classes is not None:
            object.__setattr__(self, "classes", self.task.checked_classes(self.classes, "classes"))

    @property
    def inputs(self) -> Modality:
        """The modality of the inputs."""
        return modality_named(self.modality)

    @property
    def input_column(self) -> str:
        """The column of the inputs in a table."""
        return getattr(self, self.inputs.column)

    def bad_examples(self, source: str) -> BadExamples:
        """Return a collector for the bad examples of a source.

        Args:
            source: The name of the data in messages.
        """
        return BadExamples(source, self.on_bad_example)

    def _check_columns(self) -> None:
        for name in ("text_column", "path_column"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise InputError(f"{name}={shown(value)}: pass the name of a column")
        columns = self.label_column
        each = columns.values() if isinstance(columns, Mapping) else [columns]
        if not all(map(_are_columns, each)):
            raise InputError(
                f"label_column={shown(columns)}: pass the name of a column, a list of names, or a dict "
                "of these for several tasks"
            )


def _are_columns(value: Any) -> bool:
    if isinstance(value, str):
        return True
    is_list = isinstance(value, list | tuple) and len(value) > 0
    return is_list and all(isinstance(name, str) for name in value)
