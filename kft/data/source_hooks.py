"""The hooks by which a kind of labels reads its own files and converts inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from kft.data.parts import Piece

if TYPE_CHECKING:
    from kft.data.bad import BadExamples

__all__ = ["ReadFile", "SourceHooks"]


@dataclass(frozen=True)
class ReadFile:
    """The content of a file: inputs, and a label for each.

    Args:
        inputs: The inputs.
        labels: Their labels, as `TargetKind.targets` takes them.
        names: The name of each example in messages, such as "line 3".
        reasons: Reasons already known why examples cannot be used, by index.
        numbered: The class names by number, if the source has them.
    """

    inputs: list[Any]
    labels: list[Any]
    names: Sequence[str]
    reasons: dict[int, str]
    numbered: tuple[str, ...] | None = None


class SourceHooks:
    """The hooks between a source of data and the labels; `kft.data.targets.TargetKind` has the others."""

    example_classes: ClassVar[tuple[str, ...] | None] = (
        None  # to plan a model before data are known
    )
    input_parts: ClassVar[tuple[str, ...]] = ()
    """Names of the texts that an input consists of, see `kft.data.parts`; empty for a single one."""
    joins_pieces: ClassVar[bool] = False
    """Whether the task can take long texts of words in pieces and join the answers for these."""
    has_labels: ClassVar[bool] = True  # whether a table or a TFDS needs labels besides the inputs

    @property
    def files(self) -> Mapping[str, Callable[[Path, str], ReadFile]]:
        """The readers of the task's own files by suffix, such as ".conll"; empty by default.

        A reader takes a path and an encoding, and precedes the readers of tables. A folder is read as
        all such files in it, unless its sub-folders name labels.
        """
        return {}

    @property
    def folder(self) -> Callable[[Path, BadExamples], ReadFile] | None:
        """The task's own reader of a folder of images; None, the default, for one sub-folder per class.

        It takes the path and a collector of bad files, and returns paths as inputs.
        """
        return None

    def for_images(self, size: tuple[int, int]) -> Self:
        """Return this kind for a model that takes images of this size.

        Args:
            size: (height, width).
        """
        return self

    def inputs_and_labels(self, source: Any) -> tuple[Any, Any] | None:
        """Return the inputs and labels of data in memory in the task's own form.

        Args:
            source: The data as passed.

        Returns:
            A list of each; None, the default, to read the data in the usual forms.
        """
        return None

    def as_input(self, value: Any) -> Any:
        """Convert an input in memory for the reader; unchanged by default.

        Args:
            value: The input of one example as passed.

        Raises:
            InputError: The input does not suit this kind of labels.
        """
        return value

    def as_inputs(self, values: Any) -> Any:
        """Convert inputs in memory to one sequence; unchanged by default.

        Args:
            values: The inputs of all examples as passed, or a single one for `predict`.
        """
        return values

    def input_problem(self, text: str) -> str:
        """Return why `predict` cannot take a text; an empty string, the default, if it can.

        Args:
            text: The text.
        """
        return ""

    def groups(self, inputs: Any, rows: Any) -> np.ndarray | None:
        """Return the group of each example, `[n]`, which a split does not divide.

        None, the default, keeps only inputs with identical content together.

        Args:
            inputs: The inputs of the examples.
            rows: Their targets.
        """
        return None

    def of_piece(self, row: Any, piece: Piece) -> Any:
        """Return the target of a piece of a long text; by default that of the whole text.

        Args:
            row: The target of the whole text.
            piece: The piece.
        """
        return row

    def for_classes(self, classes: Any) -> Self:
        """Return this kind for data with known classes, on which its outputs may depend.

        Args:
            classes: The classes as `agreed_classes` returned them; None if there are none.
        """
        return self
