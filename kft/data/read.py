"""`read`: labelled data from any source, as `Examples` or a `Stream`."""

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
from kft.data.files import missing, shown
from kft.data.folder import read_folder
from kft.data.frames import read_frame
from kft.data.image_files import MAX_PIXELS
from kft.data.kinds import kind_named
from kft.data.other_files import labelled_way_out
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
_STORED = (
    "a folder with one sub-folder per class, a .csv, .tsv or .parquet file, a .zip or .tar archive, a TFDS "
    "name or prepared TFDS directory"
)
_EXPECTED = (
    f"{_STORED}, (x, y) arrays, a table in memory, pairs (input, label), a tf.data.Dataset or a "
    "keras.utils.PyDataset"
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
            archive, or a folder of WebDataset shards; `(x, y)`; a table of pandas, Polars, Arrow or
            Hugging Face, or a dict of columns; a PyTorch `Dataset`, a list or a generator of pairs
            `(input, label)`; a TFDS name or the directory of a prepared TFDS; a `tf.data.Dataset`; a
            `keras.utils.PyDataset`; or `Examples` or a `Stream`.
        task: The kind of the labels: a `kft.tasks.Task`, another `kft.data.targets.TargetKind`, or the
            short name of one, see `kft.data.kinds.kind_named`.
        modality: `"image"`, `"text"` or `"clip"`.
        classes: The classes of the training, for validation or test data, in which any other label is
            an error. A dict of them if `task` has parts.
        text_column: Column of a table, or feature of a TFDS, with the texts.
        path_column: Column of a table with paths of images, relative to the table.
        label_column: Column of a table, or feature of a TFDS, with the labels; several columns for
            numbers, or for multi-label targets of 0 and 1, each named like its class. If the task has
            parts, the default stands for columns named like the parts; a dict names others.
        encoding: The encoding of text files.
        on_bad_example: `"error"`, or `"skip"` to leave out bad examples, which `Examples.skipped`
            lists.
        max_pixels: The largest image to accept, width times height.
        split: Split of a TFDS, such as "train" (the default) or "train[:80%]".
        steps_per_epoch: Batches per epoch of a stream. Defaults to all of them; required if the stream
            never ends.
        groups: Column of a table, or feature of a TFDS, whose values a split keeps together, such as
            the person in a photo; or a value for each example.
        order: The same for times, ISO 8601 dates or numbers: a split then takes the latest examples
            for validation. Cannot be combined with `groups`.
        image_root: Folder that image paths in a table are relative to. Defaults to the folder of the
            table, or to the working directory for a table in memory.

    Returns:
        `Examples` for data with random access, else a `Stream`.

    Raises:
        InputError: The source is not one of these, or something in it is wrong.

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
            f"`steps_per_epoch={shown_value(steps_per_epoch)}` is only for a tf.data.Dataset or a "
            "PyDataset: leave it out."
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
    """Return examples for a task, with groups or times if these are given."""
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
    """Return a dataset or a `Stream` as a `Stream` with epochs of the given length."""
    if not isinstance(source, Stream):
        source = read_stream(source, task=how.task, classes=how.classes)
    if steps_per_epoch is None:
        return source
    check_whole("steps_per_epoch", steps_per_epoch, "steps")
    return replace(source, steps=steps_per_epoch, batches=steps_per_epoch)


def _folder(path: Path, how: ReadSettings) -> Examples:
    """Read a folder."""
    if is_shards(path):
        return read_archives(sorted(path.glob("[!.]*")), how)
    if how.inputs.is_text and how.task.files and not how.task.takes_folders:
        return read_text_folder(path, how)
    folder = how.task.folder if how.modality == "image" else None
    return read_folder(path, how) if folder is None else read_own_folder(path, folder, how)


def _stored(source: str | os.PathLike[str], how: ReadSettings) -> Examples:
    """Read the data at a path, or a TFDS by its name."""
    path = _path(source)
    is_folder = os.path.isdir(path)
    if is_folder and not is_prepared(path):
        _refuse_split(how.split, source)
        how.by.refuse_columns(f"folder {shown(source)}")
        return replace(_folder(path, how), folder=os.path.realpath(path))
    # The maximum size depends on the type of the file and is checked later.
    reason = "" if is_folder else problem(path, sys.maxsize)
    if reason not in ("", "no such file"):
        raise InputError(f"{shown(source)}: {reason}; data are {_STORED}")
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
            way = labelled_way_out(path)
            raise InputError(
                f"{shown(source)} is a {path.suffix or 'suffixless'} file, but data are {_STORED}"
                f"{own and f'; for the task {how.task.name!r} also files that end in {own}'}"
                f"{way and f': {way}'}"
            )
        return read_table(path, how)
    if is_folder or _may_be_tfds(source):
        return read_tfds(str(source), how)
    raise _missing(source)


def check_there(source: str) -> None:
    """Check that the path of data exists, or may be the name of a TFDS.

    Raises:
        InputError: Neither is the case.
    """
    if not os.path.lexists(_path(source)) and not _may_be_tfds(source):
        raise _missing(source)


def _may_be_tfds(source: str | os.PathLike[str]) -> bool:
    named = isinstance(source, str) and _TFDS_NAME.fullmatch(source)
    return bool(named) and _path(source).suffix not in SUFFIXES


def _missing(source: str | os.PathLike[str]) -> InputError:
    return InputError(f"{missing(source)}; data are {_STORED}")


def _path(source: str | os.PathLike[str]) -> Path:
    if source == "":
        raise InputError(f"the path of the data is empty; data are {_STORED}")
    try:
        return Path(os.path.expanduser(Path(source)))
    except TypeError as error:  # a path of bytes
        raise InputError(f"{source!r:.60} is not a text path: pass os.fsdecode(path)") from error


def _refuse_split(split: str | None, source: Any) -> None:
    if split is not None:
        raise InputError(f"split={split!r} is only for TFDS, not for {source}: leave it out")
