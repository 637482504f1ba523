"""Combinations of several kinds of targets for each example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from kft.data.targets import TargetKind
from kft.errors import InputError

__all__ = ["Combined"]


class Combined(TargetKind):
    """Targets of several kinds, with rows and classes in dicts by the names of `parts`.

    Arrays are a dict, `y={"kind": [...], "age": [...]}`. Columns of a table and features of a TFDS
    have the names of the parts, unless `label_column` names others. A split is stratified by the first
    part that has strata; a rare stratum may be missing from the validation data. Nothing is balanced,
    since balancing one part would unbalance another.
    """

    name: ClassVar[str] = "several"

    def renumbered(self, rows: Any, old: Any, new: Any, source: str) -> Any:
        """Return the targets of each part, renumbered by the classes of the training."""
        known, wanted = old or {}, new or {}
        return self._each(
            lambda name, kind: kind.renumbered(
                rows[name], known.get(name), wanted.get(name), source
            )
        )

    def strata(self, rows: Any) -> np.ndarray | None:
        """Return the strata of the first part that has any."""
        found = (kind.strata(rows[name]) for name, kind in self.parts.items())
        return next((strata for strata in found if strata is not None), None)

    def counts(self, rows: Any, classes: Any) -> dict[str, Any]:
        """Return the counts of each part that has classes."""
        known = classes or {}
        counts = self._each(lambda name, kind: kind.counts(rows[name], known.get(name)))
        return {name: one for name, one in counts.items() if one}

    def describe(self, rows: Any, classes: Any) -> dict[str, Any]:
        """Return the description of each part, under `parts`."""
        known = classes or {}
        parts = self._each(lambda name, kind: kind.describe(rows[name], known.get(name)))
        return {"counts": None, "values": None, "parts": parts}

    def label(self, row: Any, classes: Any) -> str:
        """Return an example's label for each part, such as "kind: cat, age: 3"."""
        known = classes or {}
        words = self._each(lambda name, kind: kind.label(row[name], known.get(name)))
        return ", ".join(f"{name}: {one}" for name, one in words.items())

    def checked_classes(self, classes: Any, what: str) -> Any:
        """Return the class names of each part, a dict of lists, checked and cleaned."""
        if not isinstance(classes, Mapping) or not set(classes) <= set(self.parts):
            raise InputError(
                f"{what}={classes!r:.60}, but a dict of class names for {self._listed()} is expected"
            )
        return {
            name: None if classes.get(name) is None else kind.checked_classes(classes[name], what)
            for name, kind in self.parts.items()
        }

    def agreed_classes(self, classes: Any, source: str) -> Any:
        """Return the classes of each part."""
        known = {} if classes is None else self.checked_classes(classes, source)
        return self._each(
            lambda name, kind: kind.agreed_classes(known.get(name), f"{name} of {source}")
        )

    def adopted(self, other: TargetKind, source: str) -> Self:
        """Return this kind for targets with the same parts."""
        if set(other.parts) != set(self.parts):
            raise InputError(
                f"{source} has the targets {', '.join(map(repr, other.parts)) or repr(other.name)}, "
                f"but {self._listed()} are expected: read the data with the recipe that trains on "
                "them"
            )
        for name, kind in self.parts.items():
            kind.adopted(other.parts[name], f"{name} of {source}")
        return self

    def soft(self, rows: Any, classes: Any) -> Any:
        """Return the targets of each part in a form that can be mixed."""
        known = classes or {}
        return self._each(lambda name, kind: kind.soft(rows[name], known.get(name)))

    def collate(self, rows: Any, inputs: Any) -> Any:
        """Return the targets of each part for a batch."""
        return self._each(lambda name, kind: kind.collate(rows[name], inputs))

    @property
    def collates(self) -> bool:
        """Whether a part collates."""
        return any(kind.collates for kind in self.parts.values())

    @property
    def reads_inputs(self) -> bool:  # type: ignore[override]
        """Whether a part collates and needs the inputs for it."""
        return any(kind.collates and kind.reads_inputs for kind in self.parts.values())

    def is_batch(self, targets: Any) -> bool | None:
        """Return the answer of the first part that can tell."""
        parts = self.streamed(targets, "the stream")
        answers = [kind.is_batch(part) for kind, part in parts]
        return next((one for one in answers if one is not None), None)

    def streamed(self, targets: Any, where: str) -> list[tuple[TargetKind, Any]]:
        """Return the targets of each part.

        Raises:
            InputError: They are not a dict with the names of the parts.
        """
        if not isinstance(targets, Mapping) or set(targets) != set(self.parts):
            found = (
                f"a dict of {', '.join(map(repr, targets))}"
                if isinstance(targets, Mapping)
                else (type(targets).__name__)
            )
            raise InputError(
                f"the targets in {where} are {found}, but a dict of {self._listed()} is expected"
            )
        return [(kind, targets[name]) for name, kind in self.parts.items()]

    def _each(self, function: Callable[[str, TargetKind], Any]) -> dict[str, Any]:
        return {name: function(name, kind) for name, kind in self.parts.items()}

    def _listed(self) -> str:
        return " and ".join(map(repr, self.parts))
