"""CSV, TSV and Parquet tables with a text or path column and a label column."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.bad import BadExamples
from kft.data.columns import Columns, RowNames
from kft.data.delimited import read_delimited
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.folder import check_images
from kft.data.image_files import MAX_PIXELS
from kft.data.labels import (
    SEPARATOR,
    class_targets,
    multi_label_targets,
    refuse_other_separators,
    refuse_rows_of_bits,
)
from kft.data.parquet import read_parquet
from kft.data.values import class_name, is_missing, is_number, kind_of, text_value
from kft.errors import InputError

__all__ = ["SUFFIXES", "in_column", "read_table"]

SUFFIXES = (".csv", ".tsv", ".parquet")
_LARGEST = float(np.finfo(np.float32).max)


def read_table(
    path: str | os.PathLike[str],
    *,
    task: str,
    modality: str,
    classes: Sequence[str] | None = None,
    text_column: str = "text",
    path_column: str = "path",
    label_column: str | Sequence[str] = "label",
    encoding: str = "utf-8",
    on_bad_example: str = "error",
    max_pixels: int = MAX_PIXELS,
) -> Examples:
    """Read a table whose first line names its columns.

    Args:
        path: A .csv, .tsv or .parquet file.
        task: `"single_label"`, `"multi_label"` (labels separated by `|`, or lists in Parquet) or
            `"regression"`.
        modality: `"text"` reads `text_column`, `"image"` reads `path_column`, relative to the
            table's folder.
        classes: The classes of the training; without them, the sorted labels that occur.
        text_column: Column of the texts.
        path_column: Column of the image paths.
        label_column: Column of the labels; for regression also several columns.
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
    label_columns = [label_column] if isinstance(label_column, str) else list(label_column)
    if len(label_columns) != 1 and task != "regression":
        raise InputError(
            f"label_column={label_column!r}, but {task} has one label column: name one"
        )
    input_column = text_column if modality == "text" else path_column
    table = _read(path, [input_column, *label_columns], task, encoding, source, modality)
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
    if task == "multi_label":
        cells = [one for one in table.values[1] if isinstance(one, str)]
        refuse_other_separators(cells, source)
        refuse_rows_of_bits([cell.split(SEPARATOR) for cell in cells], source)
    labels = []
    for index, row in enumerate(zip(*table.values[1:], strict=True)):
        label, reason = _label(row, task, encoding, label_columns)
        labels.append(label)
        if reason:
            reasons.setdefault(index, reason)
    for index in sorted(reasons):
        bad.add(table.names[index], reasons[index])
    skipped = bad.settle()
    kept = [index for index in range(len(inputs)) if index not in reasons]
    if not kept:
        raise InputError(
            f"{source} has no usable row: expected columns {input_column!r} and {label_column!r}, "
            "filled"
        )
    targets, known = _targets([labels[n] for n in kept], table.names, kept, task, source, classes)
    if task == "regression" and len(label_columns) == 1:
        targets = targets[:, 0]
    values = np.empty(len(kept), dtype=object)
    values[:] = [inputs[index] for index in kept]
    return Examples(
        "texts" if modality == "text" else "image_files", values, targets, known, source, skipped
    )


def _read(
    path: Path, wanted: list[str], task: str, encoding: str, source: str, modality: str
) -> Columns:
    if path.suffix.lower() == ".parquet":
        return read_parquet(path, wanted, task=task, source=source, modality=modality)
    return read_delimited(path, wanted, encoding=encoding, source=source, modality=modality)


def _path(folder: Path, value: Any) -> str:
    return str(folder / value) if isinstance(value, str) else ""


def in_column(reason: str, column: str, encoding: str) -> str:
    """Say of a reason why a value cannot be used in which column of a table it stands."""
    if reason in ("no text", "empty text"):
        return f"no value in column {column!r}"
    if reason == "no label":
        return f"no label in column {column!r}"
    if reason.startswith(f"not {encoding}"):
        return f"not {encoding} in column {column!r}: pass encoding=... or convert the file"
    return f"{reason}, in column {column!r}"


def _label(row: tuple[Any, ...], task: str, encoding: str, columns: list[str]) -> tuple[Any, str]:
    """The label of a row and an empty string, or None and what is wrong with it."""
    if task == "regression":
        numbers = [_number(value, column) for value, column in zip(row, columns, strict=True)]
        reason = next((reason for _, reason in numbers if reason), "")
        return [number for number, _ in numbers], reason
    value = row[0]
    if task == "single_label" or is_missing(value):
        name, reason = class_name(value, encoding)
        return name, in_column(reason, columns[0], encoding) if reason else ""
    # An empty cell, or list, is an example that has none of the labels.
    is_cell = isinstance(value, str)
    parts = [part for part in value.split(SEPARATOR) if part.strip()] if is_cell else value
    names = [class_name(part, encoding) for part in parts]
    reason = next((reason for _, reason in names if reason), "")
    return sorted({name for name, _ in names}), in_column(reason, columns[0], encoding) if (
        reason
    ) else ""


def _number(value: Any, column: str) -> tuple[float, str]:
    """A number and an empty string, or NaN and what is wrong with it."""
    where = f"in column {column!r}, where regression needs"
    if is_missing(value) or value == "":
        return math.nan, f"no value {where} a number"
    if isinstance(value, str):
        try:
            number = float(value.replace("_", "no"))  # Python reads 1_000 as a thousand
        except ValueError:
            point = " with a decimal point" if "," in value else ""
            return math.nan, f"{value[:40]!r} {where} a number{point}"
    elif is_number(value):
        number = float(value)
    else:
        return math.nan, f"{kind_of(value)} {where} a number"
    if not abs(number) <= _LARGEST:
        return math.nan, f"{str(value)[:40]} {where} a finite number of float32"
    return number, ""


def _targets(
    labels: list[Any],
    names: RowNames,
    kept: list[int],
    task: str,
    source: str,
    classes: Sequence[str] | None,
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    if task == "regression":
        return np.array(labels, dtype=np.float32), None
    named = RowNames(names.kind)
    named.numbers.extend(names.numbers[index] for index in kept)
    if task == "multi_label":
        return multi_label_targets(labels, named, source, classes)
    return class_targets(labels, named, source, classes)
