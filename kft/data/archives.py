"""Reading zip and tar archives of class folders, and WebDataset shards with label files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from kft.data.archive_members import members
from kft.data.arrays import examples_of
from kft.data.columns import MOST_BYTES
from kft.data.dataset_parts import part_names
from kft.data.encodings import text_of
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.names import clean
from kft.data.raw_labels import RawLabels
from kft.data.read_settings import ReadSettings
from kft.errors import InputError

__all__ = ["is_shards", "read_archives"]

_LABELS = (".cls", ".txt")  # label files of WebDataset shards; for texts only the first


def is_shards(folder: Path) -> bool:
    """Return whether a folder holds tar files and nothing else that is not hidden."""
    try:
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return False  # reading the folder will report why
    return bool(names) and all(name.lower().endswith(".tar") for name in names)


def read_archives(paths: Sequence[Path], how: ReadSettings) -> Examples:
    """Read archives into memory, without unpacking them to disk.

    An archive holds a folder per class, like those of `kft.data.folder`, or it is a WebDataset shard:
    the label of an image `key.jpg` is in `key.cls` or `key.txt`, that of a text `key.txt` in `key.cls`.
    Labels are written as in a table.

    Args:
        paths: The archives.
        how: How to read them.

    Returns:
        `Examples` of kind `"image_bytes"` or `"texts"`, in the order of the archives.

    Raises:
        InputError: An archive is damaged or too large, files in it cannot be used, or have no label.
    """
    source = shown(paths[0].name if len(paths) == 1 else paths[0].parent.name)
    is_text, suffixes = how.inputs.is_text, how.inputs.suffixes
    wanted = suffixes | set(_LABELS[:1] if is_text else _LABELS)
    most = how.inputs.largest(how.max_pixels)
    found: dict[str, tuple[bytes, str]] = {}
    size = 0
    for path in paths:
        for name, content, reason in members(path, wanted.__contains__, most):
            size += len(content)
            if size > MOST_BYTES:
                raise InputError(f"{source} has more than {MOST_BYTES:,} bytes: pass a part of it")
            found[name if len(paths) == 1 else f"{path.name}/{name}"] = content, reason
    names = [name for name in found if _suffix(name) in suffixes]
    label_files = {_key(name): name for name in found if _suffix(name) in wanted - suffixes}
    if not names:
        raise InputError(
            f"{source} has no {how.modality} files, that is, no file that ends in "
            f"{', '.join(sorted(suffixes))}"
        )
    reasons = {index: found[name][1] for index, name in enumerate(names) if found[name][1]}
    in_files = any(_key(name) in label_files for name in names)
    labels = (
        _labels_in_files(names, label_files, found, how.encoding, reasons)
        if in_files
        else _labels_of_folders(names, source, how, reasons)
    )
    rows: list[bytes | str | None] = []
    for index, name in enumerate(names):
        content = found.pop(name)[0]
        row: bytes | str = content
        if is_text and index not in reasons:
            row, reason = text_of(content, how.encoding)
            if reason:
                reasons[index] = reason
        rows.append(None if index in reasons else row)
    raw = RawLabels(
        labels,
        names,
        source,
        columns=("cls",) if in_files else (),
        encoding=how.encoding,
        inputs=rows,
    )
    return examples_of(rows, raw, how, names=names, source=source, reasons=reasons)


def _labels_in_files(
    names: Sequence[str],
    label_files: dict[str, str],
    found: dict[str, tuple[bytes, str]],
    encoding: str,
    reasons: dict[int, str],
) -> list[str | None]:
    labels: list[str | None] = []
    for index, name in enumerate(names):
        label: str | None = None
        file = label_files.get(_key(name))
        if file is None:
            reasons.setdefault(index, f"no label: {PurePosixPath(_key(name)).name}.cls is missing")
        else:
            label, reason = text_of(found[file][0], encoding)
            reason = found[file][1] or reason
            if reason:
                reasons.setdefault(index, f"its label {PurePosixPath(file).name}: {reason}")
        labels.append(label)
    return labels


def _labels_of_folders(
    names: Sequence[str], source: str, how: ReadSettings, reasons: dict[int, str]
) -> list[str | None]:
    """Return the class folder of each file, below the parent folders that all files share."""
    if not how.task.takes_folders:
        raise InputError(
            f"{source}: a folder per class gives one label per example, but task={how.task.name!r}: "
            "write a table with a path and a label column, or labels next to the files, key.cls"
        )
    parts = [PurePosixPath(name).parts for name in names]
    shared = 0
    while min(map(len, parts)) > shared + 2 and len({part[shared] for part in parts}) == 1:
        shared += 1
    inside: dict[str, set[str]] = {}
    for part in parts:
        below = inside.setdefault(part[shared], set())
        below.update(part[shared + 1 : -1][:1])
    if len(part_names(inside)) > 1:
        raise InputError(
            f"{source}: its folders {', '.join(map(repr, sorted(inside)))} look like parts of the data, "
            "not like classes: unpack it and pass the folder"
        )
    labels: list[str | None] = []
    for index, part in enumerate(parts):
        outside = len(part) == shared + 1
        if outside:
            reasons.setdefault(index, "lies outside the class folders, so it has no label")
        labels.append(None if outside else clean(part[shared]))
    return labels


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _key(name: str) -> str:
    """Return the path up to the first dot of its name, which a file shares with its label."""
    path = PurePosixPath(name)
    return str(path.with_name(path.name.partition(".")[0]))
