"""`read`: whatever a person passes as data, to `Examples` or a `Stream`."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kft.arguments import check_whole
from kft.arguments import shown as shown_value
from kft.data.archive_members import SUFFIXES as ARCHIVES
from kft.data.archives import is_shards, read_archives
from kft.data.arrays import read_arrays
from kft.data.columns import RowNames
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.folder import read_folder
from kft.data.frames import read_frame
from kft.data.image_files import MAX_PIXELS
from kft.data.kinds import kind_named
from kft.data.own_files import read_own_file, read_own_folder, read_text_folder
from kft.data.pairs import are_pairs, read_pairs
from kft.data.read_settings import ReadSettings
from kft.data.sequences import is_frame
from kft.data.split_values import SplitBy
from kft.data.streams import Stream, is_stream, read_stream
from kft.data.table import SUFFIXES, read_table
from kft.data.targets import TargetKind
from kft.data.tfds import is_prepared, read_tfds
from kft.errors import InputError
from kft.regular_files import problem

__all__ = ["read"]

_TFDS_NAME = re.compile(r"[a-z]\w*(/\w[\w.-]*)?(:(\d+|\*)(\.(\d+|\*)){2})?")
_EXPECTED = (
    "a folder with one sub-folder per class, a .csv, .tsv or .parquet file, a .zip or .tar archive, (x, y) "
    "arrays, a table in memory, pairs (input, label), a TFDS name or prepared TFDS directory, a "
    "tf.data.Dataset or a keras.utils.PyDataset"
)


def read(
    source: Any,
    *,
    task: TargetKind | str,
    modality: str,
    classes: Any = None,
    text_column: str = "text",
    path_column: str = "path",
    label_column: str | Sequence[str] | Mapping[str, Any] = "label",
    encoding: str = "utf-8",
    on_bad_example: str = "error",
    max_pixels: int = MAX_PIXELS,
    split: str | None = None,
    steps_per_epoch: int | None = None,
    groups: Any = None,
    order: Any = None,
    image_root: str | os.PathLike[str] | None = None,
) -> Examples | Stream:
    """Read labelled data.

    Args:
        source: A folder with one sub-folder per class; a .csv, .tsv or .parquet file; a .zip or .tar
            archive, or a folder of WebDataset's shards; `(x, y)`; a table of pandas, Polars, Arrow or
            Hugging Face, or a dict of columns; a PyTorch `Dataset`, a list or a generator of pairs
            `(input, label)`; a TFDS name or the directory of a prepared TFDS; a `tf.data.Dataset`; a
            `keras.utils.PyDataset`. `Examples` and `Stream` pass through.
        task: What the labels are: a `kft.tasks.Task`, another `kft.data.targets.TargetKind`, or the
            short name of one, see `kft.data.kinds.kind_named`.
        modality: `"image"` or `"text"`.
        classes: The classes of the training, for data to validate or test with: another label is
            then an error. A dict of them where `task` has parts.
        text_column: Column of a table, or feature of a TFDS, with the texts.
        path_column: Column of a table with paths of images, relative to the table.
        label_column: Column of a table, or feature of a TFDS, with the labels; several columns for
            numbers, or for several labels of 0 and 1, each called like its class. Of a task with parts
            the default stands for columns that are called like the parts; a dict names others.
        encoding: Of text files.
        on_bad_example: `"error"`, or `"skip"` to leave out what cannot be used; `Examples.skipped`
            lists it.
        max_pixels: The largest image accepted, width times height.
        split: Split of a TFDS, such as "train" (the default) or "train[:80%]".
        steps_per_epoch: Batches that an epoch takes of a stream. Defaults to all of them, which one that
            never ends does not have.
        groups: Column of a table, or feature of a TFDS, with what a split keeps together, such as the
            person in a photo; or a value for each example.
        order: The same with times, ISO 8601 dates or numbers: a split then takes the latest examples
            for validation. Not together with `groups`.
        image_root: Folder that paths of images in a table are relative to. Defaults to that of the table,
            or to the working directory for a table in memory.

    Returns:
        `Examples` for everything that can be taken in any order, else a `Stream`.

    Raises:
        InputError: The source is nothing of the kind, or something in it is wrong.

    Example:

    ```python
    examples = read("data/flowers", task=kft.tasks.Classification(5), modality="image")
    train, validation = split(examples, fraction=0.2, seed=0)
    ```
    """
    how = ReadSettings(
        task=kind_named(task),
        modality=modality,
        classes=classes,
        text_column=text_column,
        path_column=path_column,
        label_column=label_column,
        encoding=encoding,
        on_bad_example=on_bad_example,
        max_pixels=max_pixels,
        split=split,
        by=SplitBy(groups, order),
        image_root=image_root,
    )
    if isinstance(source, Examples):
        return _read_again(source, how)
    if isinstance(source, Stream) or is_stream(source):
        how.by.refuse("stream")
        return _stream(source, how, steps_per_epoch)
    if steps_per_epoch is not None:
        raise InputError(
            f"`steps_per_epoch={shown_value(steps_per_epoch)}` is for a tf.data.Dataset or a PyDataset, "
            "of which an epoch may take a part: leave it out."
        )
    if isinstance(source, str | os.PathLike):
        return _stored(source, how)
    _refuse_split(split, type(source).__name__)
    if is_frame(source) or isinstance(source, Mapping):
        return read_frame(source, how)
    how.by.refuse_columns(type(source).__name__)
    own = how.task.inputs_and_labels(source)
    if own is not None:
        return read_arrays(*own, how)
    if isinstance(source, tuple) and len(source) == 2:
        return read_arrays(*source, how)
    if hasattr(source, "shape"):
        raise InputError(f"data of type {type(source).__name__} have no labels: pass (x, y)")
    if are_pairs(source):
        return read_pairs(source, how)
    raise InputError(f"data of type {type(source).__name__}, but data are {_EXPECTED}")


def _read_again(examples: Examples, how: ReadSettings) -> Examples:
    """Return examples for a task, with the groups or times that were given."""
    examples = examples.read_for(how.task, how.classes)
    if not how.by:
        return examples
    how.by.refuse_columns(examples.source)
    bad = how.bad_examples(examples.source)
    names = RowNames("example", range(len(examples)))
    by = how.by.values(names, examples.source)
    for index in sorted(by.reasons):
        bad.add(names[index], by.reasons[index])
    skipped = bad.settle()
    kept = np.setdiff1d(np.arange(len(examples)), list(by.reasons))
    examples = replace(examples, groups=by.groups, order=by.order).take(kept)
    return replace(examples, skipped=(*examples.skipped, *skipped))


def _stream(source: Any, how: ReadSettings, steps_per_epoch: int | None) -> Stream:
    """Return a dataset as a `Stream`, or a `Stream` as it is, with epochs of the given length."""
    if not isinstance(source, Stream):
        source = read_stream(source, task=how.task, classes=how.classes)
    if steps_per_epoch is None:
        return source
    check_whole("steps_per_epoch", steps_per_epoch, "steps")
    return replace(source, steps=steps_per_epoch, batches=steps_per_epoch)


def _stored(source: str | os.PathLike[str], how: ReadSettings) -> Examples:
    """Read what a path or a name stands for: a folder, a table or a TFDS."""
    path = _path(source)
    is_folder = os.path.isdir(path)
    if is_folder and not is_prepared(path):
        _refuse_split(how.split, source)
        how.by.refuse_columns(f"folder {shown(source)}")
        if is_shards(path):
            return read_archives(sorted(path.glob("[!.]*")), how)
        if how.inputs.is_text and how.task.files and not how.task.takes_folders:
            return read_text_folder(path, how)
        folder = how.task.folder if how.modality == "image" else None
        return read_folder(path, how) if folder is None else read_own_folder(path, folder, how)
    # How large a file may be depends on what it is.
    reason = "" if is_folder else problem(path, sys.maxsize)
    if reason not in ("", "no such file"):
        raise InputError(f"{shown(source)}: {reason}; data are {_EXPECTED}")
    if not is_folder and not reason:
        _refuse_split(how.split, source)
        reader = how.task.files.get(path.suffix.lower()) if how.inputs.is_text else None
        if reader is not None:
            how.by.refuse_columns(shown(path.name))
            return read_own_file(path, reader, how)
        if path.name.lower().endswith(ARCHIVES):
            how.by.refuse_columns(shown(path.name))
            return read_archives([path], how)
        if path.suffix.lower() not in SUFFIXES:
            own = ", ".join(how.task.files) if how.inputs.is_text else ""
            raise InputError(
                f"{shown(source)} is a {path.suffix or 'suffixless'} file, but data are {_EXPECTED}"
                f"{own and f'; for the task {how.task.name!r} also files that end in {own}'}"
            )
        return read_table(path, how)
    if is_folder or _may_be_tfds(source):
        return read_tfds(str(source), how)
    raise _missing(source)


def check_there(source: str) -> None:
    """Refuse the path of data where nothing lies, if it cannot be the name of a TFDS either.

    Raises:
        InputError: If it is such a path.
    """
    if not os.path.lexists(_path(source)) and not _may_be_tfds(source):
        raise _missing(source)


def _may_be_tfds(source: str | os.PathLike[str]) -> bool:
    named = isinstance(source, str) and _TFDS_NAME.fullmatch(source)
    return bool(named) and _path(source).suffix not in SUFFIXES


def _missing(source: str | os.PathLike[str]) -> InputError:
    return InputError(f"{shown(source)}: no such file or folder; data are {_EXPECTED}")


def _path(source: str | os.PathLike[str]) -> Path:
    if source == "":
        raise InputError(f"the path of the data is empty; data are {_EXPECTED}")
    try:
        return Path(source)
    except TypeError as error:  # a path of bytes
        raise InputError(f"{source!r:.60} is no path of text: pass os.fsdecode(path)") from error


def _refuse_split(split: str | None, source: Any) -> None:
    if split is not None:
        raise InputError(f"split={split!r} belongs to TFDS, but {source} is none: leave it out")
