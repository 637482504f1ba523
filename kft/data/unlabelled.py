"""Inputs without labels, to predict: files, folders, patterns, tables and standard input, as a stream."""

from __future__ import annotations

import codecs
import glob
import io
import itertools
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from kft.data.bad import BadExamples
from kft.data.encodings import LONGEST, checked_encoding, is_unicode, text_of
from kft.data.files import checked_root, shown
from kft.data.folder_walk import nothing_below
from kft.data.image_files import MAX_PIXELS
from kft.data.modality import modality_named
from kft.data.patterns import matched
from kft.data.source_hooks import ReadFile, SourceHooks
from kft.data.table import SUFFIXES
from kft.data.table_column import stream_column
from kft.errors import InputError
from kft.regular_files import read_regular, why

__all__ = ["Raw", "Unlabelled", "chunks"]

STDIN = "-"
_AT_ONCE = 1024  # images whose headers are read in parallel
_LISTED = 100  # bad ones after which nobody looks for more
T = TypeVar("T")


@dataclass(frozen=True)
class Raw:
    """One input.

    Attributes:
        name: What to call it beside its answer: its path, or the text itself.
        value: The path of an image, or a text.
        place: Where it comes from, for messages.
        reason: Why it cannot be used; empty if it can, as far as anybody has looked.
    """

    name: str
    value: str
    place: str
    reason: str = ""


class Unlabelled:
    """Inputs to predict, read while they are asked for, so that they need not fit into the memory.

    Args:
        sources: Each one an image, a .txt file with one text, a folder that is searched with all
            that is below it, a pattern such as `"photos/**/*.jpg"`, a .csv, .tsv or .parquet file,
            one of `hooks.files`, or `"-"` for standard input: one text per line, or one path of an image.
        modality: `"image"` or `"text"`.
        texts: Texts themselves.
        text_column: Column of a table with the texts.
        path_column: Column of a table with paths of images.
        image_root: Folder that paths of images in a table are relative to. Defaults to that of the table.
        encoding: Of text files.
        max_pixels: The largest image accepted, width times height.
        hooks: What else may be read, and what a text must be: a task. Defaults to nothing.

    Raises:
        InputError: If a source is not there, is something else, or has no inputs.

    Example:

    ```python
    for chunk in chunks(Unlabelled(["photos/"], modality="image"), 32):
        ...
    ```
    """

    def __init__(
        self,
        sources: Sequence[str],
        *,
        modality: str,
        texts: Sequence[str] = (),
        text_column: str = "text",
        path_column: str = "path",
        image_root: str | os.PathLike[str] | None = None,
        encoding: str = "utf-8",
        max_pixels: int = MAX_PIXELS,
        hooks: SourceHooks | None = None,
    ) -> None:
        self.modality, self.max_pixels = modality_named(modality), max_pixels
        self.encoding = checked_encoding(encoding)
        self._column = text_column if self.modality.is_text else path_column
        self._hooks = hooks or SourceHooks()
        self._root = None if image_root is None else checked_root(image_root)
        self._files: list[Path] = []
        self._parts: list[Callable[[], Iterator[Raw]]] = []
        self.is_endless = STDIN in sources
        if list(sources).count(STDIN) > 1:
            raise InputError("standard input can be read once only: pass `-` once")
        for source in sources:
            self._add(source)
        self._parts.append(lambda: (self._told(text, "--text", "", Path()) for text in texts))

    def __iter__(self) -> Iterator[Raw]:
        return itertools.chain.from_iterable(part() for part in self._parts)

    def reads(self, path: str | os.PathLike) -> bool:
        """Whether a file is one of those that were named, or matched by a pattern."""
        target = os.path.realpath(path)
        return any(os.path.realpath(file) == target for file in self._files)

    def survey(self, on_bad_example: str = "error") -> int | None:
        """Look at all inputs before the first of them is predicted.

        Args:
            on_bad_example: `"error"` looks at the header of each image too, `"skip"` only counts.

        Returns:
            How many there are, None with standard input, of which nothing is read yet.

        Raises:
            InputError: If some cannot be used and that is an error; the message lists them.
        """
        bad = BadExamples("the input", on_bad_example)
        if self.is_endless:
            return None
        count = 0
        for chunk in chunks(self, 1 if self.modality.is_text else _AT_ONCE):
            count += len(chunk)
            if on_bad_example == "error":
                for raw in self.judged(chunk):
                    if raw.reason:
                        bad.add(raw.place, raw.reason)
            if len(bad.found) > _LISTED:
                break
        bad.settle()
        return count

    def judged(self, chunk: Sequence[Raw]) -> list[Raw]:
        """Return inputs with the reasons why some cannot be used, images by their headers."""
        whole = [raw.value for raw in chunk if not raw.reason]
        reasons = iter(self.modality.inspect(whole, self.max_pixels))
        return [raw if raw.reason else replace(raw, reason=next(reasons) or "") for raw in chunk]

    def _add(self, source: str) -> None:
        path = Path(source)
        try:
            if source == STDIN:
                self._parts.append(self._lines)
            elif path.is_dir():
                self._add_folder(path)
            elif path.exists():
                self._add_file(path)
            elif glob.has_magic(source):
                self._add_pattern(source)
            else:
                hint = "; a text itself goes into --text" if self.modality.is_text else ""
                raise InputError(f"{shown(source)}: no such file or folder{hint}")
        except OSError as error:
            raise InputError(f"{shown(source)}: {why(error)}") from error

    def _add_pattern(self, pattern: str) -> None:
        for path in matched(pattern):
            (self._add_folder if path.is_dir() else self._add_file)(path)

    def _add_file(self, path: Path) -> None:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(
                f"{shown(path)}: neither a file nor a folder; to read from a pipe pass - and pipe "
                "into standard input"
            )
        self._files.append(path)
        reader = self._hooks.files.get(path.suffix.lower()) if self.modality.is_text else None
        if reader is not None:
            self._parts.append(lambda: self._own_file(path, reader))
        elif path.suffix.lower() in SUFFIXES:
            self._parts.append(self._table(path))
        else:
            self._parts.append(lambda: iter([self._file(path)]))

    def _add_folder(self, folder: Path) -> None:
        if next(self.modality.walk(folder, folder.resolve()), None) is None:
            raise nothing_below(folder, self.modality.name, self.modality.suffixes)
        self._parts.append(
            lambda: (
                Raw(named(path), "", shown(path), reason) if reason else self._file(path)
                for path, reason in self.modality.walk(folder, folder.resolve())
            )
        )

    def _file(self, path: Path) -> Raw:
        if not self.modality.is_text:
            return Raw(named(path), str(path), shown(path))
        text, reason = _read_text(path, self.encoding)
        return Raw(named(path), text, shown(path), reason or self._hooks.input_problem(text))

    def _own_file(self, path: Path, reader: Callable[[Path, str], ReadFile]) -> Iterator[Raw]:
        found = reader(path, self.encoding)
        for index, value in enumerate(found.inputs):
            place = f"{found.names[index]} of {shown(path)}"
            yield self._told(value, place, found.reasons.get(index, ""), path.parent)

    def _table(self, path: Path) -> Callable[[], Iterator[Raw]]:
        rows = stream_column(
            path, self._column, encoding=self.encoding, modality=self.modality.name
        )

        def read() -> Iterator[Raw]:
            for row, value, reason in rows():
                place = f"{row} of {shown(path)}"
                yield self._told(value, place, reason, self._root or path.parent)

        return read

    def _lines(self) -> Iterator[Raw]:
        if sys.stdin is None:
            raise InputError("standard input is closed")
        encoding = "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding
        stream = io.TextIOWrapper(
            sys.stdin.buffer, encoding, errors="surrogateescape", newline="\n"
        )
        try:
            for number in itertools.count(1):
                line = stream.readline(LONGEST)
                if not line:
                    return
                place = f"line {number} of standard input"
                if len(line) == LONGEST:
                    raise InputError(f"{place}: longer than {LONGEST:,} letters")
                value = line.rstrip("\r\n")
                if value.strip():
                    yield self._told(value, place, "", Path())
        finally:
            stream.detach()  # standard input stays open

    def _told(self, value: str, place: str, reason: str, folder: Path) -> Raw:
        """An input whose text or path is written in a table, a line or an argument."""
        if self.modality.is_text and not reason and not is_unicode(value):
            reason = f"not {self.encoding}: pass the right encoding or convert it"
        if self.modality.is_text or reason:
            reason = reason or ("" if value.strip() else "empty text")
            return Raw(value, value, place, reason or self._hooks.input_problem(value))
        path = str(folder / value)
        reason = (
            ""
            if os.path.isfile(path) or self.modality.holds(Path(path))
            else f"no such file: {shown(path)}"
        )
        return Raw(named(value), path, place, reason)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut a stream into lists of a size, of which the last may be shorter."""
    stream = iter(items)
    while chunk := list(itertools.islice(stream, size)):
        yield chunk


def named(path: str | os.PathLike) -> str:
    """Return a path that can be written to a file, whatever bytes the file system has for it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_text(path: Path, encoding: str) -> tuple[str, str]:
    """A text file's text, and why it cannot be used."""
    try:
        content = read_regular(path, 4 * LONGEST)  # no encoding has more bytes per letter
    except OSError as error:
        return "", why(error)
    return text_of(content, encoding)
