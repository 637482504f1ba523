"""`Examples`: labelled examples with random access, as read from folders, tables and arrays."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from kft.data.clips.frames import frame_files
from kft.data.content import content_digest
from kft.data.files import shown
from kft.data.split_values import check_one
from kft.data.targets import TargetKind
from kft.data.threads import map_in_threads
from kft.data.trees import leaves, length, mapped, taken
from kft.errors import InputError
from kft.regular_files import open_regular, why

__all__ = ["Examples", "Skipped"]


@dataclass(frozen=True)
class Skipped:
    """An example that was left out.

    Args:
        name: The file, or the row of a table.
        reason: Why it cannot be used.
    """

    name: str
    reason: str


@dataclass(frozen=True, repr=False, eq=False)
class Examples:
    """Labelled examples with random access.

    Inputs and targets are trees: an array `[n, ...]`, or a dict of trees.

    Args:
        kind: `"image_files"` or `"clip_files"` (paths), `"image_bytes"` or `"clip_bytes"` (file
            contents; a clip may be a tuple of encoded frames), `"texts"` (strings) or `"arrays"`
            (numbers); a dict of these for a dict of inputs.
        inputs: The inputs along the first axis; strings and bytes in an object array, numbers
            possibly in a memmap.
        targets: The labels as `task` converts them: int64 `[n]` for one class, float32 `[n, k]` of 0
            and 1 for several, float32 `[n]` or `[n, d]` for numbers.
        classes: The class names in the order of the targets, or a dict of them; None if there are
            none.
        source: The name of the data in messages, such as `folder data/flowers`.
        skipped: The bad examples that were left out, if skipping them was requested.
        task: The kind of the targets: a `kft.tasks.Task`, or another `kft.data.targets.TargetKind`.
        groups: The group of each example, `[n]`, which a split does not divide; None for no groups.
        order: The time of each example, float64 `[n]`; a split validates on the latest. None for a
            random split.
        note: A sentence about the origin or the split of the data, for the plan of a fit.
        places: If these are parts of other examples, the index of each part's original, `[n]`.
            Defaults to None: these are whole examples.
        folder: The folder whose files are the examples. Defaults to None: others list them.

    Raises:
        InputError: Inputs, targets, groups and times differ in length.

    Example:

    ```python
    texts = np.array(["good", "bad"], dtype=object)
    labels, classes = np.array([1, 0]), ("neg", "pos")
    examples = Examples("texts", texts, labels, classes, "arrays", task=Classification(2))
    examples.counts()  # {"neg": 1, "pos": 1}
    ```
    """

    kind: Any
    inputs: Any
    targets: Any
    classes: Any
    source: str
    skipped: tuple[Skipped, ...] = ()
    task: TargetKind = field(kw_only=True)
    groups: np.ndarray | None = field(default=None, kw_only=True)
    order: np.ndarray | None = field(default=None, kw_only=True)
    note: str = field(default="", kw_only=True)
    places: np.ndarray | None = field(default=None, kw_only=True)
    folder: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_one(self.groups, self.order)
        lengths = {name or "inputs": len(array) for name, array in leaves(self.inputs)}
        lengths |= {f"targets {name}".strip(): len(array) for name, array in leaves(self.targets)}
        lengths |= {name: len(values) for name, values in self._split_by().items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{count} {name}" for name, count in lengths.items())
            raise InputError(f"{self.source} has {listed}: pass one of each for every example")

    def __len__(self) -> int:
        return length(self.inputs)

    def __repr__(self) -> str:
        kinds = " and ".join(dict.fromkeys(kind for _, kind in leaves(self.kind)))
        classes = "".join(
            f", {len(names)} classes{f' of {name}' if name else ''}"
            for name, names in leaves(self.classes)
            if names is not None
        )
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"<Examples: {len(self)} {kinds}{classes}{skipped} from {self.source}>"

    def take(self, indices: Sequence[int] | np.ndarray) -> "Examples":
        """Return the examples at `indices`, in that order."""
        indices = np.asarray(indices, dtype=np.int64)
        return self._changed(
            indices,
            inputs=taken(self.inputs, indices),
            targets=taken(self.targets, indices),
            **taken(self._split_by(), indices),
            places=None if self.places is None else self.places[indices],
        )

    def counts(self) -> dict[str, Any]:
        """Return the number of examples per class; empty if there are no classes."""
        return self.task.counts(self.targets, self.classes)

    def label(self, index: int) -> str:
        """Return the label of an example in words."""
        return self.task.label(taken(self.targets, index), self.classes)

    def read_for(self, task: TargetKind, classes: Any = None) -> "Examples":
        """Return the same examples for a task, with targets numbered by the given classes.

        Args:
            task: The task.
            classes: The classes of the training; None for those of the examples.

        Returns:
            The converted examples, or these if nothing differs.

        Raises:
            InputError: The targets do not suit the task, or an example has a class that was not
                seen in training.
        """
        if task != self.task:
            task = task.adopted(self.task, self.source)
        known = self.classes if classes is None or self.classes is None else classes
        if task == self.task and known == self.classes:
            return self
        targets = task.renumbered(self.targets, self.classes, known, self.source)
        return self._changed(None, targets=targets, classes=known, task=task)

    def _split_by(self) -> dict[str, np.ndarray]:
        values = {"groups": self.groups, "order": self.order}
        return {name: one for name, one in values.items() if one is not None}

    def _changed(self, indices: np.ndarray | None, **changes: Any) -> "Examples":
        changed = replace(self, **changes)
        if "digests" in self.__dict__:  # do not read the content again
            changed.__dict__["digests"] = self.digests if indices is None else self.digests[indices]
        return changed

    @cached_property
    def digests(self) -> np.ndarray:
        """The SHA-256 of each input's content, of a file's bytes: `bytes`, `[n]`."""
        each = leaves(mapped(_digests, self.kind, self.inputs))
        if not isinstance(self.inputs, dict):
            return each[0][1]
        result = np.empty(len(self), dtype=object)
        result[:] = [
            content_digest({name: digest for (name, _), digest in zip(each, row, strict=True)})
            for row in zip(*(digests for _, digests in each), strict=True)
        ]
        return result

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of inputs, targets and classes by content, whatever their paths."""
        whole = hashlib.sha256()
        described = mapped(_described, self.kind, self.inputs)
        header = (
            *(described if isinstance(described, tuple) else (described,)),
            mapped(lambda names: None if names is None else tuple(map(str, names)), self.classes),
            content_digest(self.targets),
        )
        whole.update(content_digest(header))
        for digest in self.digests:
            whole.update(digest)
        return whole.hexdigest()


def _digests(kind: str, inputs: np.ndarray) -> np.ndarray:
    result = np.empty(len(inputs), dtype=object)
    result[:] = map_in_threads(_DIGESTS.get(kind, content_digest), inputs)
    return result


def _described(kind: str, inputs: np.ndarray) -> tuple[Any, ...]:
    """Return what distinguishes inputs besides the content of their rows: kind, shape and dtype."""
    is_numeric = kind == "arrays" and inputs.dtype != object
    return (
        kind,
        inputs.shape[1:] if is_numeric else (),
        str(inputs.dtype) if is_numeric else "",
    )


def _clip_digest(path: object) -> bytes:
    """Return the digest of a clip; of a folder by its frames in order, whatever their names."""
    try:
        frames = frame_files(str(path)) if os.path.isdir(str(path)) else None
    except OSError as error:
        raise InputError(f"{shown(str(path))}: {why(error)}") from error
    return _file_digest(path) if frames is None else content_digest([*map(_file_digest, frames)])


def _file_digest(path: object) -> bytes:
    try:
        with open_regular(str(path), sys.maxsize) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputError(f"{shown(str(path))}: {why(error)}") from error


_DIGESTS = {"image_files": _file_digest, "clip_files": _clip_digest}
