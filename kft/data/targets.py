"""`TargetKind`: everything about a task that reading, splitting and batching of data need."""

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
    """The kind of a task's targets: how labels are checked, converted, split and batched.

    `kft.tasks.Task` is a subclass. Each method has a default that suits any task whose labels are
    arbitrary Python values or arrays, so that your own task overrides only what is special about
    it: often `targets`, to check labels, and `collate`, if targets differ in shape.

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
    takes_folders: ClassVar[bool] = False  # whether sub-folders can name the labels of their files
    takes_columns: ClassVar[bool] = False  # whether several columns of a table can hold one label
    reads_inputs: ClassVar[bool] = True  # whether `collate` needs the inputs of the batch
    # Which kind of targets is augmented with the images: "masks" `[n, height, width]`, or "boxes"
    # `[n, m, 5]` as in `kft.data.augment.ImageAugmentation`.
    moves_with_images: ClassVar[str | None] = None

    # From labels to targets.

    @property
    def parts(self) -> Mapping[str, TargetKind]:
        """The kinds of the parts that a label consists of, by name; empty if there are no parts.

        Each part has its own array, column or feature: `y={"boxes": ..., "kinds": ...}`.
        """
        return {}

    def refusal(self, form: LabelForm) -> str:
        """Return why a column or feature cannot hold labels, for messages.

        Args:
            form: The type of the column or feature.

        Returns:
            The expected type and the way out; an empty string, the default, if it can hold labels.
        """
        return ""

    def targets(self, raw: Any, classes: Any = None) -> ReadTargets:
        """Convert labels to targets.

        By default numbers of one shape become one array `[n, ...]`, and anything else an object
        array, in which lists of numbers are arrays. An example is bad if its label is missing, or has
        NaN or infinity.

        Args:
            raw: `RawLabels`, or a dict of them by the names of `parts`.
            classes: The classes of the training; None for those of the data.

        Raises:
            InputError: The labels as a whole are not of this kind.
        """
        if not isinstance(raw, RawLabels):
            return self._targets_of_parts(raw, classes)
        numbers, reasons = filled_numbers(raw.values)
        rows = numbers if numbers is not None else as_objects(raw.values)
        if numbers is None:
            reasons = {
                **objects_not_finite(rows),
                **{n: raw.with_column("no label") for n, row in enumerate(rows) if is_missing(row)},
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
        """Renumber targets, which were read by their own classes, by the classes of the training.

        Args:
            rows: The targets.
            old: The classes that they are numbered by.
            new: The classes of the training.
            source: The name of the data in messages.

        Raises:
            InputError: A class was not seen in training.
        """
        if old is None or old == new:
            return rows
        raise InputError(
            f"{source} has the classes {old!r:.100}, but the training {new!r:.100}: read the data "
            "with classes=..."
        )

    # Splitting, balancing and describing examples.

    def strata(self, rows: Any) -> np.ndarray | None:
        """Return the stratum of each example, int `[n]`, by which a split is stratified.

        None, the default, does not stratify.
        """
        return None

    def stratum_name(self, stratum: int, classes: Any) -> str | None:
        """Return the name of a stratum if both parts of a split must have examples of it.

        None, the default, allows a rare stratum to be in the training part only.
        """
        return None

    def balanced(self, rows: Any) -> np.ndarray | None:
        """Return the class number of each example, int `[n]`, for balancing; None to refuse it."""
        return None

    def counts(self, rows: Any, classes: Any) -> dict[str, Any]:
        """Return the number of examples per class; empty if there are no classes."""
        return {}

    def describe(self, rows: Any, classes: Any) -> dict[str, Any]:
        """Return a description of the targets for the page of a run, as JSON values.

        Returns:
            `counts` per class or None, and `values`, the `least`, `mean` and `most`, or None.
        """
        return {"counts": self.counts(rows, classes) or None, "values": None}

    def label(self, row: Any, classes: Any) -> str:
        """Return one example's target in words."""
        plain = mapped(lambda one: np.asarray(one).tolist(), row)
        text = " ".join(str(plain).split())
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

    # Building the recipe and its model.

    def width_for(self, rows: Any, classes: Any) -> int | None:
        """Return the number of outputs that a head needs for these data; None if unknown.

        Args:
            rows: The targets; None for a stream.
            classes: The classes.
        """
        return None

    def checked_classes(self, classes: Any, what: str) -> Any:
        """Check and clean class names.

        Args:
            classes: A list of names.
            what: The name of the list in messages.

        Raises:
            InputError: They are not names, or one is repeated.
        """
        return checked_names(classes, what)

    def agreed_classes(self, classes: Any, source: str) -> Any:
        """Return the classes of a recipe for data with these classes.

        Args:
            classes: The classes of the data or of the recipe; None if neither names them.
            source: The name of the data in messages.

        Raises:
            InputError: The task has other classes, or none.
        """
        return tuple(classes) if isinstance(classes, list) else classes

    def adopted(self, other: TargetKind, source: str) -> Self:
        """Return this kind for targets that were read as another, compatible kind.

        Raises:
            InputError: Neither kind is a subclass of the other.
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
            InputError: Targets of the task cannot be mixed, which is the default.
        """
        raise InputError(
            f"MixUp and CutMix mix targets, but those of the task {self.name!r} cannot be mixed: "
            "leave them out, or define soft(rows, classes) of the task"
        )

    def collate(self, rows: Any, inputs: Any) -> Any:
        """Return the targets of a batch: truncated, padded, aligned with its inputs.

        Args:
            rows: The targets of the batch's examples.
            inputs: The model's inputs for them. A stage that trains on cached features reloads them in
                each epoch only for this: set `reads_inputs` to False if `collate` does not need them.

        Returns:
            Arrays `(batch, ...)` of numbers; by default the rows unchanged.
        """
        return rows

    @property
    def collates(self) -> bool:
        """Whether `collate` is overridden, so that the shapes of batches may differ."""
        return type(self).collate is not TargetKind.collate

    # Streams.

    def is_batch(self, targets: Any) -> bool | None:
        """Return whether the targets of a stream's elements are batches.

        Args:
            targets: A `tf.TensorSpec`, or a dict of them.

        Returns:
            None, the default, if the targets alone do not decide.
        """
        return None

    def streamed(self, targets: Any, where: str) -> list[tuple[TargetKind, Any]]:
        """Return the parts of a stream's targets, each with its kind.

        Args:
            targets: The targets of a batch.
            where: The name of the stream in messages.
        """
        return [(self, targets)]

    def bounds(self, shape: tuple[int | None, ...], where: str) -> Bounds | None:
        """Return the range that a stream's targets must lie in; None for no check.

        Args:
            shape: The shape of the targets of a batch; None for an axis of unknown length.
            where: The name of the batch in messages.

        Raises:
            InputError: Targets of this shape do not suit the task.
        """
        return None
