"""CSV, TSV and Parquet tables with a text or path column and a label column."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.bad import BadExamples
from kft.data.columns import Columns, in_column
from kft.data.delimited import read_delimited
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.image_files import MAX_PIXELS
from kft.data.images import check_images
from kft.data.label_columns import LabelColumns, label_columns, parts_of
from kft.data.parquet import read_parquet
from kft.data.raw_labels import RawLabels
from kft.data.targets import TargetKind
from kft.data.values import text_value
from kft.errors import InputError

__all__ = ["SUFFIXES", "read_table"]

SUFFIXES = (".csv", ".tsv", ".parquet")


def read_table(
    path: str | os.PathLike[str],
    *,
    task: TargetKind,
    modality: str,
    classes: Any = None,
    text_column: str = "text",
    path_column: str = "path",
    label_column: str | Sequence[str] | Mapping[str, Any] = "label",
    encoding: str = "utf-8",
    on_bad_example: str = "error",
    max_pixels: int = MAX_PIXELS,
) -> Examples:
    """Read a table whose first line names its columns.

    Args:
        path: A .csv, .tsv or .parquet file.
        task: What the labels are; several names of a label are separated by `|`, or lists in
            Parquet.
        modality: `"text"` reads `text_column`, `"image"` reads `path_column`, relative to the
            table's folder.
        classes: The classes of the training; without them, the sorted labels that occur.
        text_column: Column of the texts.
        path_column: Column of the image paths.
        label_column: Column of the labels; for numbers also several columns, and a dict of columns
            where `task` has parts, for which the default stands for columns called like them.
        encoding: Of a .csv or .tsv file without a byte order mark.
        on_bad_example: `"error"`, or `"skip"` to leave out rows that cannot be used.
        max_pixels: The largest image accepted, width times height.

    Returns:
        `Examples` of kind `"texts"` or `"image_files"`, in the order of the rows.

    Raises:
        InputError: A column is missing, doubled, or holds something else, the encoding is mixed,
            labels are missing or were not seen in training.
    """
    path = Path(path)
    source = shown(path.name)
    bad = BadExamples(source, on_bad_example)
    labels = label_columns(task, label_column)
    input_column = text_column if modality == "text" else path_column
    table = _read(path, input_column, labels, encoding, source, modality)
    reasons = dict(table.reasons)
    inputs: list[str] = []
    for index, value in enumerate(table.values[0]):
        text, reason = text_value(value, encoding)
        inputs.append(text if modality == "text" else _path(path.parent, value))
        if reason:
            reasons.setdefault(index, in_column(reason, input_column, encoding))
    if modality == "image":
        usable = [index for index in range(len(inputs)) if index not in reasons]
        for index, reason in check_images([inputs[index] for index in usable], max_pixels).items():
            reasons[usable[index]] = f"{shown(inputs[usable[index]])}: {reason}"
    targets = task.targets(_raw(table, labels, encoding, source), classes)
    for index, reason in targets.reasons.items():
        reasons.setdefault(index, reason)
    for index in sorted(reasons):
        bad.add(table.names[index], reasons[index])
    skipped = bad.settle()
    kept = np.setdiff1d(np.arange(len(inputs)), list(reasons))
    if not len(kept):
        expected = " and ".join(repr(name) for one in labels for name in one.names)
        raise InputError(
            f"{source} has no usable row: expected columns {input_column!r} and {expected}, filled"
        )
    of_kept = targets.of(kept)
    values = np.empty(len(kept), dtype=object)
    values[:] = [inputs[index] for index in kept]
    kind = "texts" if modality == "text" else "image_files"
    return Examples(kind, values, of_kept.rows, of_kept.classes, source, skipped, task=task)


def _read(
    path: Path,
    input_column: str,
    labels: Sequence[LabelColumns],
    encoding: str,
    source: str,
    modality: str,
) -> Columns:
    if path.suffix.lower() == ".parquet":
        return read_parquet(path, input_column, labels, source=source, modality=modality)
    wanted = [input_column, *(name for one in labels for name in one.names)]
    return read_delimited(path, wanted, encoding=encoding, source=source, modality=modality)


def _raw(table: Columns, labels: Sequence[LabelColumns], encoding: str, source: str) -> Any:
    """The labels as `TargetKind.targets` takes them."""
    columns = iter(table.values[1:])
    raw = []
    for one in labels:
        values = [next(columns) for _ in one.names]
        rows = values[0] if len(values) == 1 else list(zip(*values, strict=True))
        raw.append(RawLabels(rows, table.names, source, columns=one.names, encoding=encoding))
    return parts_of(labels, raw)


def _path(folder: Path, value: Any) -> str:
    return str(folder / value) if isinstance(value, str) else ""
