"""What a kind of labels may say of the sources that they come from: inputs and files of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    from kft.data.bad import BadExamples

__all__ = ["ReadFile", "SourceHooks"]


@dataclass(frozen=True)
class ReadFile:
    """What a file holds: inputs, and a label for each.

    Args:
        inputs: The inputs.
        labels: Their labels, as `TargetKind.targets` takes them.
        names: What to call each example in a message, such as "line 3".
        reasons: By index why an example cannot be used, as far as it is known.
        numbered: The names that class numbers stand for, where the source has them.
    """

    inputs: list[Any]
    labels: list[Any]
    names: Sequence[str]
    reasons: dict[int, str]
    numbered: tuple[str, ...] | None = None


class SourceHooks:
    """The hooks between a source of data and the labels; `kft.data.targets.TargetKind` has the others."""

    example_classes: ClassVar[tuple[str, ...] | None] = (
        None  # to plan a model whose data are unknown
    )
    input_parts: ClassVar[tuple[str, ...]] = ()
    """Names of the texts that an input consists of, see `kft.data.parts`; empty for a single one."""
    has_labels: ClassVar[bool] = True  # whether a table or a TFDS needs labels beside the inputs

    @property
    def files(self) -> Mapping[str, Callable[[Path, str], ReadFile]]:
        """Suffix of a file, such as ".conll", to what reads it, given its path and its encoding.

        These come before the tables that every task reads. A folder is read as all such files in it,
        unless its sub-folders name labels. Empty by default.
        """
        return {}

    @property
    def folder(self) -> Callable[[Path, BadExamples], ReadFile] | None:
        """What reads a folder of images, given its path and where bad files are noted.

        None, the default, for a folder with one sub-folder per class. The inputs are paths.
        """
        return None

    def for_images(self, size: tuple[int, int]) -> Self:
        """Return this kind for a model that takes images of this height and width.

        Args:
            size: Height and width.
        """
        return self

    def inputs_and_labels(self, source: Any) -> tuple[Any, Any] | None:
        """Return the inputs and the labels of data in memory that are not arrays or lists `(x, y)`.

        Args:
            source: What a person passed as data.

        Returns:
            A list of each; None, the default, for data that are to be read as `(x, y)`.
        """
        return None

    def as_input(self, value: Any) -> Any:
        """Return an input in memory as the reader takes it; by default as it is.

        Args:
            value: What a person passed for one example.

        Raises:
            InputError: If it is something that this kind of labels does not go with.
        """
        return value

    def as_inputs(self, values: Any) -> Any:
        """Return inputs in memory as one sequence of them; by default as they are.

        Args:
            values: What a person passed for all examples, or for a single one to be answered.
        """
        return values

    def input_problem(self, text: str) -> str:
        """Return why a text cannot be answered; an empty string if it can, which is the default.

        Args:
            text: The text.
        """
        return ""

    def groups(self, inputs: Any, rows: Any) -> np.ndarray | None:
        """Return what examples belong to, `[n]`; a split keeps those of one group on one side.

        None, the default, keeps only inputs with the same content together.

        Args:
            inputs: The inputs of the examples.
            rows: Their targets.
        """
        return None

    def of_piece(self, row: Any, first: int, end: int) -> Any:
        """Return the target of a piece of a long text, by default that of the whole.

        Args:
            row: The target of the whole text.
            first: The byte of the text's last part at which the piece begins.
            end: The byte after its last one.
        """
        return row

    def for_classes(self, classes: Any) -> Self:
        """Return this kind for data whose classes are known, which may decide its outputs.

        Args:
            classes: The classes as `agreed_classes` returned them; None where there are none.
        """
        return self
