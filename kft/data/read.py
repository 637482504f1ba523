"""`read`: whatever a person passes as data, to `Examples` or a `Stream`."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kft.arguments import check_whole
from kft.arguments import shown as shown_value
from kft.data.arrays import read_arrays
from kft.data.bad import BadExamples
from kft.data.encodings import checked_encoding
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.folder import read_folder
from kft.data.image_files import MAX_PIXELS
from kft.data.kinds import kind_named
from kft.data.streams import Stream, is_stream, read_stream
from kft.data.table import SUFFIXES, read_table
from kft.data.targets import TargetKind
from kft.data.tfds import is_prepared, read_tfds
from kft.errors import InputError
from kft.regular_files import problem

__all__ = ["read"]

_TFDS_NAME = re.compile(r"[a-z]\w*(/\w[\w.-]*)?(:(\d+|\*)(\.(\d+|\*)){2})?")
_EXPECTED = (
    "a folder with one sub-folder per class, a .csv, .tsv or .parquet file, (x, y) arrays, a TFDS name "
    "or prepared TFDS directory, a tf.data.Dataset or a keras.utils.PyDataset"
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
) -> Examples | Stream:
    """Read labelled data.

    Args:
        source: A folder with one sub-folder per class; a .csv, .tsv or .parquet file; `(x, y)`; a TFDS
            name or the directory of a prepared TFDS; a `tf.data.Dataset`; a
            `keras.utils.PyDataset`. `Examples` and
            `Stream` pass through.
        task: What the labels are: a `kft.tasks.Task`, another `kft.data.targets.TargetKind`, or the
            short name of one, see `kft.data.kinds.kind_named`.
        modality: `"image"` or `"text"`.
        classes: The classes of the training, for data to validate or test with: another label is
            then an error. A dict of them where `task` has parts.
        text_column: Column of a table, or feature of a TFDS, with the texts.
        path_column: Column of a table with paths of images, relative to the table.
        label_column: Column of a table, or feature of a TFDS, with the labels, several columns for
            numbers. Of a task with parts the default stands for columns that are called like the
            parts; a dict names others.
        encoding: Of text files.
        on_bad_example: `"error"`, or `"skip"` to leave out what cannot be used; `Examples.skipped`
            lists it.
        max_pixels: The largest image accepted, width times height.
        split: Split of a TFDS, such as "train" (the default) or "train[:80%]".
        steps_per_epoch: Batches that an epoch takes of a stream. Defaults to all of them, which one that
            never ends does not have.

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
    task = kind_named(task)
    if modality not in ("image", "text"):
        raise InputError(f"modality={modality!r}, but 'image' or 'text' is expected")
    encoding = checked_encoding(encoding)
    _check_columns(text_column, path_column, label_column)
    BadExamples("data", on_bad_example)  # checks the word
    check_whole("max_pixels", max_pixels, "pixels")
    if split is not None and not isinstance(split, str):
        raise InputError(f"split={shown_value(split)}, but text such as 'train[:80%]' is expected")
    if classes is not None:
        classes = task.checked_classes(classes, "classes")
    if isinstance(source, Examples):
        return source.read_for(task, classes)
    if isinstance(source, Stream) or is_stream(source):
        if not isinstance(source, Stream):
            source = read_stream(source, task=task, classes=classes)
        if steps_per_epoch is None:
            return source
        check_whole("steps_per_epoch", steps_per_epoch, "steps")
        return replace(source, steps=steps_per_epoch, batches=steps_per_epoch)
    if steps_per_epoch is not None:
        raise InputError(
            f"`steps_per_epoch={shown_value(steps_per_epoch)}` is for a tf.data.Dataset or a PyDataset, "
            "of which an epoch may take a part: leave it out."
        )
    if isinstance(source, str | os.PathLike):
        path = _path(source)
        is_folder = os.path.isdir(path)
        if is_folder and not is_prepared(path):
            _refuse_split(split, source)
            if not task.takes_folders:
                raise InputError(
                    f"folder {shown(source)}: a folder per class gives one label per example, but "
                    f"task={task.name!r}: write a table with a path and a label column"
                )
            return read_folder(
                path,
                task=task,
                modality=modality,
                classes=classes,
                encoding=encoding,
                on_bad_example=on_bad_example,
                max_pixels=max_pixels,
            )
        # How large a file may be depends on what it is.
        reason = "" if is_folder else problem(path, sys.maxsize)
        if reason not in ("", "no such file"):
            raise InputError(f"{shown(source)}: {reason}; data are {_EXPECTED}")
        if not is_folder and not reason:
            _refuse_split(split, source)
            if path.suffix.lower() not in SUFFIXES:
                raise InputError(
                    f"{shown(source)} is a {path.suffix or 'suffixless'} file, but data are {_EXPECTED}"
                )
            return read_table(
                path,
                task=task,
                modality=modality,
                classes=classes,
                text_column=text_column,
                path_column=path_column,
                label_column=label_column,
                encoding=encoding,
                on_bad_example=on_bad_example,
                max_pixels=max_pixels,
            )
        if is_folder or _may_be_tfds(source):
            return read_tfds(
                str(source),
                task=task,
                modality=modality,
                classes=classes,
                text_column=text_column,
                label_column=label_column,
                on_bad_example=on_bad_example,
                max_pixels=max_pixels,
                split=split or "train",
            )
        raise _missing(source)
    _refuse_split(split, type(source).__name__)
    if isinstance(source, tuple) and len(source) == 2:
        return read_arrays(
            *source,
            task=task,
            modality=modality,
            classes=classes,
            on_bad_example=on_bad_example,
            max_pixels=max_pixels,
        )
    if isinstance(source, list) or hasattr(source, "shape"):
        raise InputError(f"data of type {type(source).__name__} have no labels: pass (x, y)")
    raise InputError(f"data of type {type(source).__name__}, but data are {_EXPECTED}")


def _check_columns(text_column: Any, path_column: Any, label_column: Any) -> None:
    for name, value in (("text_column", text_column), ("path_column", path_column)):
        if not isinstance(value, str):
            raise InputError(f"{name}={shown_value(value)}: pass the name of a column")
    each = label_column.values() if isinstance(label_column, Mapping) else [label_column]
    if not all(map(_are_columns, each)):
        raise InputError(
            f"label_column={shown_value(label_column)}: pass the name of a column, a list of names, or "
            "a dict of these for several tasks"
        )


def _are_columns(value: Any) -> bool:
    if isinstance(value, str):
        return True
    is_list = isinstance(value, list | tuple) and len(value) > 0
    return is_list and all(isinstance(name, str) for name in value)


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
