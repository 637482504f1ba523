"""Streaming of inputs for predictions from files, folders, patterns, tables and standard input."""

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
from kft.data.encodings import LONGEST, RIGHT_ENCODING, checked_encoding, is_unicode, text_of
from kft.data.files import checked_root, missing, shown
from kft.data.folder_walk import nothing_below
from kft.data.image_files import MAX_PIXELS
from kft.data.modality import modality_named
from kft.data.other_files import way_out
from kft.data.patterns import matched
from kft.data.source_hooks import ReadFile, SourceHooks
from kft.data.table import SUFFIXES
from kft.data.table_column import stream_column
from kft.errors import InputError
from kft.regular_files import read_regular, why

__all__ = ["Raw", "Unlabelled", "chunks"]

STDIN = "-"
_AT_ONCE = 1024  # images whose headers are checked in parallel
_LISTED = 100  # bad inputs after which the search for more ends
T = TypeVar("T")


@dataclass(frozen=True)
class Raw:
    """One input.

    Attributes:
        name: Its name next to its answer: its path, or the text itself.
        value: The path of an image, or a text.
        place: Where it comes from, for messages.
        reason: Why it cannot be used; empty if no problem is known.
    """

    name: str
    value: str
    place: str
    reason: str = ""


class Unlabelled:
    """Inputs to predict, read on demand, so that they need not fit in memory.

    Args:
        sources: Each is an image, a .txt file with one text, a folder that is searched recursively, a
            pattern such as `"photos/**/*.jpg"`, a .csv, .tsv or .parquet file, one of `hooks.files`,
            or `"-"` for standard input with one text or one image path per line.
        modality: `"image"`, `"text"` or `"clip"`.
        texts: Further texts, given directly.
        text_column: Column of a table with the texts.
        path_column: Column of a table with paths of images.
        image_root: Folder that image paths in a table are relative to. Defaults to that of the table.
        encoding: The encoding of text files.
        max_pixels: The largest image to accept, width times height.
        hooks: A task, which may read other files and check texts. Defaults to none.

    Raises:
        InputError: A source is missing, of another type, or has no inputs.

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
        self._parts.append(lambda: (self._written(text, "--text", "", Path()) for text in texts))

    def __iter__(self) -> Iterator[Raw]:
        return itertools.chain.from_iterable(part() for part in self._parts)

    def reads(self, path: str | os.PathLike) -> bool:
        """Return whether a file is one of the sources, or matched by a pattern."""
        target = os.path.realpath(path)
        return any(os.path.realpath(file) == target for file in self._files)

    def survey(self, on_bad_example: str = "error") -> int | None:
        """Check and count all inputs before the first prediction.

        Args:
            on_bad_example: `"error"` also checks the header of each image, `"skip"` only counts.

        Returns:
            The number of inputs; None with standard input, which is not read yet.

        Raises:
            InputError: Some inputs are bad and that is an error; the message lists them.
        """
        bad = BadExamples("the input", on_bad_example)
        if self.is_endless:
            return None
        count = 0
        for chunk in chunks(self, 1 if self.modality.is_text else _AT_ONCE):
            count += len(chunk)
            if on_bad_example == "error":
                for raw in self.checked(chunk):
                    if raw.reason:
                        bad.add(raw.place, raw.reason)
            if len(bad.found) > _LISTED:
                break
        bad.settle()
        return count

    def checked(self, chunk: Sequence[Raw]) -> list[Raw]:
        """Return inputs with reasons for bad ones, for which images are checked by their headers."""
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
                raise InputError(f"{missing(source)}{hint}")
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
        way = way_out(path)
        if way:
            return Raw(named(path), "", shown(path), f"a {path.suffix} file is not read: {way}")
        if not self.modality.is_text:
            return Raw(named(path), str(path), shown(path))
        text, reason = _read_text(path, self.encoding)
        return Raw(named(path), text, shown(path), reason or self._hooks.input_problem(text))

    def _own_file(self, path: Path, reader: Callable[[Path, str], ReadFile]) -> Iterator[Raw]:
        found = reader(path, self.encoding)
        for index, value in enumerate(found.inputs):
            place = f"{found.names[index]} of {shown(path)}"
            yield self._written(value, place, found.reasons.get(index, ""), path.parent)

    def _table(self, path: Path) -> Callable[[], Iterator[Raw]]:
        rows = stream_column(
            path, self._column, encoding=self.encoding, modality=self.modality.name
        )

        def read() -> Iterator[Raw]:
            for row, value, reason in rows():
                place = f"{row} of {shown(path)}"
                yield self._written(value, place, reason, self._root or path.parent)

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
                    raise InputError(f"{place}: longer than {LONGEST:,} characters")
                value = line.rstrip("\r\n")
                if value.strip() or self.modality.is_text:  # answers are in the order of the lines
                    yield self._written(value, place, "", Path())
        finally:
            stream.detach()  # standard input stays open

    def _written(self, value: str, place: str, reason: str, folder: Path) -> Raw:
        """Return the input for a text or path that is written in a table, a line or an argument."""
        if self.modality.is_text and not reason and not is_unicode(value):
            reason = f"not {self.encoding}: {RIGHT_ENCODING}"
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
    """Yield the items in lists of a size; the last one may be shorter."""
    stream = iter(items)
    while chunk := list(itertools.islice(stream, size)):
        yield chunk


def named(path: str | os.PathLike) -> str:
    """Return a path as text that can be written to a file, with undecodable bytes escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_text(path: Path, encoding: str) -> tuple[str, str]:
    """Return the text of a file, and why it cannot be used."""
    try:
        content = read_regular(path, 4 * LONGEST)  # no encoding has more bytes per character
    except OSError as error:
        return "", why(error)
    return text_of(content, encoding)
