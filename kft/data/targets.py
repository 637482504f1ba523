"""`TargetKind`: everything that reading, splitting and batching data ask of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from kft.data.gaps import filled_numbers
from kft.data.names import checked_names
from kft.data.ragged import as_objects, objects_not_finite
from kft.data.raw_labels import LabelForm, RawLabels, ReadTargets, Targets
from kft.data.source_hooks import SourceHooks
from kft.data.target_bounds import Bounds
from kft.data.trees import mapped
from kft.data.values import is_missing
from kft.errors import InputError

__all__ = ["TargetKind"]

_SHOWN = 40  # characters of a label


class TargetKind(SourceHooks):
    """What a task's labels look like, how they become targets, and what else data need to know.

    `kft.tasks.Task` is one. Each method has a default that suits any task whose label for an example
    is an arbitrary Python value or array, so that your own task overrides only what is special about
    it: often `targets`, to check what was read, and `collate`, where targets differ in shape.

    Targets are trees: an array `[n, ...]` or a dict of trees. Labels of different shapes are arrays
    in an object array `[n]`.

    Example:

    ```python
    class Boxes(TargetKind):
        name = "boxes"

        def collate(self, rows, inputs):
            longest = max(map(len, rows))
            padded = np.full((len(rows), longest, 4), -1.0, "float32")
            for place, boxes in enumerate(rows):
                padded[place, : len(boxes)] = boxes
            return padded
    ```
    """

    name: ClassVar[str] = "any"
    takes_folders: ClassVar[bool] = False  # whose sub-folders name the label of each file
    takes_columns: ClassVar[bool] = False  # of a table, several for one label
    reads_inputs: ClassVar[bool] = True  # of a batch, in `collate`
    # Whether the targets of a batch are masks `[n, height, width]` that images are augmented with.
    moves_with_images: ClassVar[bool] = False

    # From labels to targets.

    @property
    def parts(self) -> Mapping[str, TargetKind]:
        """The kinds of the parts that a label consists of, by name; empty for one part.

        Each part has an array, a column or a feature of its own: `y={"boxes": ..., "kinds": ...}`.
        """
        return {}

    def refusal(self, form: LabelForm) -> str:
        """Return what is expected in place of a column or feature that cannot hold labels.

        Args:
            form: What the column or feature holds.

        Returns:
            An empty string if it can hold them, which is the default.
        """
        return ""

    def targets(self, raw: Any, classes: Any = None) -> ReadTargets:
        """Turn labels into targets.

        By default numbers of one shape become one array `[n, ...]`, and anything else an object
        array, in which lists of numbers are arrays. A missing label, NaN and infinity make a bad
        example.

        Args:
            raw: `RawLabels`, or a dict of them with the names of `parts`.
            classes: The classes of the training; None to take those of the data.

        Raises:
            InputError: If the labels as a whole are not of this kind.
        """
        if not isinstance(raw, RawLabels):
            return self._targets_of_parts(raw, classes)
        numbers, reasons = filled_numbers(raw.values)
        rows = numbers if numbers is not None else as_objects(raw.values)
        if numbers is None:
            reasons = {
                **objects_not_finite(rows),
                **{n: raw.said("no label") for n, row in enumerate(rows) if is_missing(row)},
            }
        return ReadTargets(
            reasons, lambda kept: Targets(rows if kept is None else rows[kept], classes)
        )

    def _targets_of_parts(self, raw: Mapping[str, RawLabels], classes: Any) -> ReadTargets:
        known = classes or {}
        read = {name: kind.targets(raw[name], known.get(name)) for name, kind in self.parts.items()}
        reasons: dict[int, str] = {}
        for name, one in read.items():
            for index, reason in one.reasons.items():
                reasons.setdefault(index, f"{name}: {reason}")

        def of(kept: np.ndarray | None) -> Targets:
            found = {name: one.of(kept) for name, one in read.items()}
            return Targets(
                {name: one.rows for name, one in found.items()},
                {name: one.classes for name, one in found.items()},
            )

        return ReadTargets(reasons, of)

    def renumbered(self, rows: Any, old: Any, new: Any, source: str) -> Any:
        """Return targets that were read without knowing the training, by its classes.

        Args:
            rows: The targets.
            old: The classes that they are numbered by.
            new: The classes of the training.
            source: What to call the data in a message.

        Raises:
            InputError: If a class was not seen in training.
        """
        if old is None or old == new:
            return rows
        raise InputError(
            f"{source} has the classes {old!r:.100}, but the training {new!r:.100}: read the data "
            "with classes=..."
        )

    # What the examples are split, balanced and described by.

    def strata(self, rows: Any) -> np.ndarray | None:
        """Return a number for each example, int `[n]`; a split takes its share of each number.

        None, the default, splits the examples as they come.
        """
        return None

    def stratum_name(self, stratum: int, classes: Any) -> str | None:
        """Return what to call a stratum of which both parts of a split must have examples.

        None, the default, lets a rare one be in the training part alone.
        """
        return None

    def balanced(self, rows: Any) -> np.ndarray | None:
        """Return the class number of each example, int `[n]`, to balance; None refuses that."""
        return None

    def counts(self, rows: Any, classes: Any) -> dict[str, Any]:
        """Return how many examples each class has; empty where there are no classes."""
        return {}

    def describe(self, rows: Any, classes: Any) -> dict[str, Any]:
        """Return what a page says of the targets, as JSON values.

        Returns:
            `counts` of each class or None, and `values`, the `least`, `mean` and `most`, or None.
        """
        return {"counts": self.counts(rows, classes) or None, "values": None}

    def label(self, row: Any, classes: Any) -> str:
        """Return one example's target in words."""
        plain = mapped(lambda one: np.asarray(one).tolist(), row)
        said = " ".join(str(plain).split())
        return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."

    # What a recipe and its model ask.

    def width_for(self, rows: Any, classes: Any) -> int | None:
        """Return the number of outputs that a head needs for these data; None if they do not tell.

        Args:
            rows: The targets, None of a stream.
            classes: The classes.
        """
        return None

    def checked_classes(self, classes: Any, what: str) -> Any:
        """Return class names that a person passed, checked and cleaned.

        Args:
            classes: A list of names.
            what: What to call them in a message.

        Raises:
            InputError: If they are not names, or one comes twice.
        """
        return checked_names(classes, what)

    def agreed_classes(self, classes: Any, source: str) -> Any:
        """Return the classes of a recipe for data with these classes.

        Args:
            classes: Those of the data or of the recipe; None if neither names them.
            source: What to call the data in a message.

        Raises:
            InputError: If the task has others, or none.
        """
        return tuple(classes) if isinstance(classes, list) else classes

    def adopted(self, other: TargetKind, source: str) -> Self:
        """Return this kind for targets that were read as another kind, if that fits.

        Raises:
            InputError: If neither kind is a special case of the other.
        """
        if not isinstance(self, type(other)) and not isinstance(other, type(self)):
            raise InputError(
                f"{source} was read for the task {other.name!r}, but this one is {self.name!r}: read "
                "the data with the recipe that trains on them"
            )
        return self

    # Batches.

    def soft(self, rows: Any, classes: Any) -> Any:
        """Return targets that MixUp and CutMix can mix: float rows `[n, ...]`.

        Raises:
            InputError: If the task has no such targets, which is the default.
        """
        raise InputError(
            f"MixUp and CutMix mix targets, but those of the task {self.name!r} cannot be mixed: "
            "leave them out, or define soft(rows, classes) of the task"
        )

    def collate(self, rows: Any, inputs: Any) -> Any:
        """Return the targets of a batch: cut, padded, aligned with its inputs.

        Args:
            rows: The targets of the batch's examples.
            inputs: What the model takes for them. A stage that trains on kept features loads them
                again for this, each epoch: set `reads_inputs` to False if `collate` does without.

        Returns:
            Arrays `(batch, ...)` of numbers; by default the rows as they are.
        """
        return rows

    @property
    def collates(self) -> bool:
        """Whether batches differ from the rows, and so perhaps in shape from each other."""
        return type(self).collate is not TargetKind.collate

    # Streams.

    def is_batch(self, targets: Any) -> bool | None:
        """Return whether what a stream yields as targets is a batch of them.

        Args:
            targets: A `tf.TensorSpec`, or a dict of them.

        Returns:
            None, the default, where the targets alone do not tell.
        """
        return None

    def streamed(self, targets: Any, where: str) -> list[tuple[TargetKind, Any]]:
        """Return the parts of a stream's targets, each with its kind.

        Args:
            targets: The targets of a batch.
            where: What to call the stream in a message.
        """
        return [(self, targets)]

    def bounds(self, shape: tuple[int | None, ...], where: str) -> Bounds | None:
        """Return what the numbers of a stream's targets lie within; None for no check.

        Args:
            shape: The shape of the targets of a batch; None for an axis that is not known.
            where: What to call the batch in a message.

        Raises:
            InputError: If targets of this shape do not fit the task.
        """
        return None
