"""`Examples`: labelled examples with random access, what folders, tables and arrays become."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kft.data.threads import map_in_threads

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
        hash_one: Callable[[object], bytes]
        if self.kind == "image_files":
            hash_one = _file_digest
        elif self.kind == "texts":
            hash_one = _text_digest
        else:
            hash_one = _bytes_digest
        result = np.empty(len(self.inputs), dtype=object)
        result[:] = map_in_threads(hash_one, self.inputs)
        return result

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the content of inputs, targets and classes, wherever files lie."""
        whole = hashlib.sha256()
        shape = self.inputs.shape[1:] if self.kind == "arrays" else ()
        numbers = str(self.inputs.dtype) if self.kind == "arrays" else ""
        header = (
            self.kind,
            shape,
            numbers,
            self.targets.shape,
            str(self.targets.dtype),
            self.classes,
        )
        whole.update(repr(header).encode("utf-8", "surrogatepass"))
        for digest in self.digests:
            whole.update(digest)
        whole.update(np.ascontiguousarray(self.targets).tobytes())
        return whole.hexdigest()


def _file_digest(path: object) -> bytes:
    with open(str(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _text_digest(text: object) -> bytes:
    return hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).digest()


def _bytes_digest(value: object) -> bytes:
    raw = value if isinstance(value, bytes) else np.ascontiguousarray(value).tobytes()
    return hashlib.sha256(raw).digest()
