"""What a kind of labels may say of the sources that they come from: inputs and files of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from kft.data.columns import RowNames

__all__ = ["ReadFile", "SourceHooks"]


@dataclass(frozen=True)
class ReadFile:
    """What a file holds: inputs, and a label for each.

    Args:
        inputs: The inputs.
        labels: Their labels, as `TargetKind.targets` takes them.
        names: What to call each example in a message, such as "line 3".
        reasons: By index why an example cannot be used, as far as it is known.
    """

    inputs: list[Any]
    labels: list[Any]
    names: RowNames
    reasons: dict[int, str]


class SourceHooks:
    """The hooks between a source of data and the labels; `kft.data.targets.TargetKind` has the others."""

    example_classes: ClassVar[tuple[str, ...] | None] = (
        None  # to plan a model whose data are unknown
    )
    has_labels: ClassVar[bool] = True  # whether a table or a TFDS needs labels beside the inputs

    @property
    def files(self) -> Mapping[str, Callable[[Path, str], ReadFile]]:
        """Suffix of a file, such as ".conll", to what reads it, given its path and its encoding.

        These come before the tables that every task reads. A folder is read as all such files in it,
        unless its sub-folders name labels. Empty by default.
        """
        return {}

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

    def for_classes(self, classes: Any) -> Self:
        """Return this kind for data whose classes are known, which may decide its outputs.

        Args:
            classes: The classes as `agreed_classes` returned them; None where there are none.
        """
        return self
