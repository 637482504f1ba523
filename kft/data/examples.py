"""`Examples`: labelled examples with random access, what folders, tables and arrays become."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kft.data.content import content_digest
from kft.data.files import open_regular, shown, why
from kft.data.threads import map_in_threads
from kft.errors import InputError

__all__ = ["Examples", "Skipped"]


@dataclass(frozen=True)
class Skipped:
    """An example that was left out, and why.

    Args:
        name: The file, or the row of a table.
        reason: What is wrong with it.
    """

    name: str
    reason: str


@dataclass(frozen=True, repr=False, eq=False)
class Examples:
    """Labelled examples that can be taken in any order.

    Args:
        kind: `"image_files"` (paths), `"image_bytes"` (encoded images), `"texts"` (strings) or
            `"arrays"` (numbers).
        inputs: The examples, first axis first; strings and bytes in an object array, numbers
            possibly in a memmap.
        targets: int64 `[n]` (single label), float32 `[n, k]` of 0 and 1 (multi-label), float32
            `[n]` or `[n, d]` (regression).
        classes: The class names in the order of the targets, None for regression.
        source: What to call the data in a message, such as `folder data/flowers`.
        skipped: What was left out, where the person asked for bad examples to be skipped.

    Example:

    ```python
    texts = np.array(["good", "bad"], dtype=object)
    examples = Examples("texts", texts, np.array([1, 0]), ("neg", "pos"), "arrays")
    examples.counts()  # {"neg": 1, "pos": 1}
    ```
    """

    kind: str
    inputs: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...] | None
    source: str
    skipped: tuple[Skipped, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        classes = "" if self.classes is None else f", {len(self.classes)} classes"
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"<Examples: {len(self)} {self.kind}{classes}{skipped} from {self.source}>"

    def take(self, indices: Sequence[int] | np.ndarray) -> "Examples":
        """The examples at `indices`, in that order."""
        indices = np.asarray(indices, dtype=np.int64)
        taken = replace(self, inputs=self.inputs[indices], targets=self.targets[indices])
        if "digests" in self.__dict__:  # content already read: not a second time for a part of it
            taken.__dict__["digests"] = self.digests[indices]
        return taken

    def counts(self) -> dict[str, int]:
        """How many examples each class has; empty for regression."""
        if self.classes is None:
            return {}
        if self.targets.ndim == 2:
            numbers = (self.targets > 0).sum(axis=0)
        else:
            numbers = np.bincount(self.targets, minlength=len(self.classes))
        return {name: int(number) for name, number in zip(self.classes, numbers, strict=True)}

    @cached_property
    def digests(self) -> np.ndarray:
        """SHA-256 of the content of each input, files by their bytes: `bytes`, `[n]`."""
        hash_one = _file_digest if self.kind == "image_files" else content_digest
        result = np.empty(len(self.inputs), dtype=object)
        result[:] = map_in_threads(hash_one, self.inputs)
        return result

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the content of inputs, targets and classes, wherever files lie."""
        whole = hashlib.sha256()
        is_numeric = self.kind == "arrays" and self.inputs.dtype != object
        header = (
            self.kind,
            self.inputs.shape[1:] if is_numeric else (),
            str(self.inputs.dtype) if is_numeric else "",
            None if self.classes is None else tuple(map(str, self.classes)),
            content_digest(self.targets),
        )
        whole.update(content_digest(header))
        for digest in self.digests:
            whole.update(digest)
        return whole.hexdigest()


def _file_digest(path: object) -> bytes:
    try:
        with open_regular(str(path), sys.maxsize) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputError(f"{shown(str(path))}: {why(error)}") from error
