"""CSV, TSV and Parquet tables with a text or path column and a label column."""

import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.bad import BadExamples
from kft.data.examples import Examples
from kft.data.folder import check_images
from kft.data.image_files import MAX_PIXELS
from kft.data.labels import class_targets, clean, multi_label_targets
from kft.errors import InputError

__all__ = ["SUFFIXES", "read_table"]

SUFFIXES = (".csv", ".tsv", ".parquet")
_SEPARATOR = "|"


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
        task: `"single_label"`, `"multi_label"` (labels separated by `|`) or `"regression"`.
        modality: `"text"` reads `text_column`, `"image"` reads `path_column`, relative to the
            table's folder.
        classes: The classes of the training; without them, the sorted labels that occur.
        text_column: Column of the texts.
        path_column: Column of the image paths.
        label_column: Column of the labels; for regression also several columns.
        encoding: Of a .csv or .tsv file.
        on_bad_example: `"error"`, or `"skip"` to leave out rows that cannot be used.
        max_pixels: The largest image accepted, width times height.

    Returns:
        `Examples` of kind `"texts"` or `"image_files"`, in the order of the rows.

    Raises:
        InputError: A column is missing, the encoding is mixed, labels are missing or were not seen
            in training.
    """
    path = Path(path)
    source = path.name
    bad = BadExamples(source, on_bad_example)
    label_columns = [label_column] if isinstance(label_column, str) else list(label_column)
    if len(label_columns) != 1 and task != "regression":
        raise InputError(
            f"label_column={label_column!r}, but {task} has one label column: name one"
        )
    input_column = text_column if modality == "text" else path_column
    columns, names = _columns(path, [input_column, *label_columns], encoding, source, modality)
    inputs = ["" if value is None else str(value) for value in columns[0]]
    reasons: dict[int, str] = {}
    for index, value in enumerate(inputs):
        if not value.strip():
            reasons[index] = f"no value in column {input_column!r}"
        elif _undecodable(value):
            reasons[index] = (
                f"not {encoding} in column {input_column!r}: pass encoding=... or convert the file"
            )
    if modality == "image":
        inputs = [str(path.parent / value) for value in inputs]
        usable = [index for index in range(len(inputs)) if index not in reasons]
        missing = {
            index: f"no such file: {inputs[index]}"
            for index in usable
            if not os.path.isfile(inputs[index])
        }
        reasons |= missing
        usable = [index for index in usable if index not in missing]
        for index, reason in check_images([inputs[index] for index in usable], max_pixels).items():
            reasons[usable[index]] = f"{inputs[usable[index]]}: {reason}"
    labels = [_label(row, task, encoding, label_columns) for row in zip(*columns[1:], strict=True)]
    for index, (_, reason) in enumerate(labels):
        if reason:
            reasons.setdefault(index, reason)
    for index in sorted(reasons):
        bad.add(names[index], reasons[index])
    skipped = bad.settle()
    kept = [index for index in range(len(inputs)) if index not in reasons]
    if not kept:
        raise InputError(
            f"{source} has no usable row: expected columns {input_column!r} and {label_column!r}, "
            "filled"
        )
    kept_labels: list[Any] = [labels[index][0] for index in kept]
    kept_names = [names[index] for index in kept]
    known: tuple[str, ...] | None = None
    if task == "regression":
        targets = np.array(kept_labels, dtype=np.float32)
        targets = targets[:, 0] if len(label_columns) == 1 else targets
    elif task == "multi_label":
        targets, known = multi_label_targets(kept_labels, kept_names, source, classes)
    else:
        targets, known = class_targets(kept_labels, kept_names, source, classes)
    values = np.empty(len(kept), dtype=object)
    values[:] = [inputs[index] for index in kept]
    return Examples(
        "texts" if modality == "text" else "image_files", values, targets, known, source, skipped
    )


def _undecodable(value: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in value) if not value.isascii() else False


def _label(row: tuple[Any, ...], task: str, encoding: str, columns: list[str]) -> tuple[Any, str]:
    """The label of a row and an empty string, or None and what is wrong with it."""
    if task == "regression":
        numbers = []
        for value, column in zip(row, columns, strict=True):
            try:
                number = float(value)
            except (TypeError, ValueError):
                shown = "no value" if value is None or value == "" else repr(value)
                return None, f"{shown} in column {column!r}, where regression needs a number"
            if not math.isfinite(number):
                return None, f"{value} in column {column!r}, where regression needs a finite number"
            numbers.append(number)
        return numbers, ""
    value = row[0]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None, f"no label in column {columns[0]!r}"
    label = clean(str(value))
    if _undecodable(label):
        return (
            None,
            f"not {encoding} in column {columns[0]!r}: pass encoding=... or convert the file",
        )
    if task == "multi_label":  # an empty cell is an example that has none of the labels
        return sorted({clean(one) for one in label.split(_SEPARATOR)} - {""}), ""
    return (label, "") if label else (None, f"no label in column {columns[0]!r}")


def _columns(
    path: Path, wanted: list[str], encoding: str, source: str, modality: str
) -> tuple[list[list[Any]], list[str]]:
    """The wanted columns, and what to call each row in a message."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        try:
            header = pyarrow.parquet.read_schema(path).names
            _check_columns(header, wanted, source, modality)
            table = pyarrow.parquet.read_table(path, columns=wanted)
        except pyarrow.ArrowException as error:
            raise InputError(
                f"{source} is no readable Parquet file ({error}): write it again"
            ) from error
        columns = [table.column(name).to_pylist() for name in wanted]
        return columns, [f"row {number + 1}" for number in range(len(columns[0]))]
    rows, lines = _read_rows(path, encoding, "\t" if suffix == ".tsv" else ",")
    if not rows:
        raise InputError(
            f"{source} is empty: expected a first line that names the columns, such as {wanted}"
        )
    header = [name.strip() for name in rows[0]]
    _check_columns(header, wanted, source, modality)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"line {line} of {source} has {len(row)} fields, but the first line names "
                f"{len(header)} columns: "
                'put fields that contain the separator or a line break in "double quotes"'
            )
    positions = [header.index(name) for name in wanted]
    return [[row[position] for row in rows[1:]] for position in positions], [
        f"line {line}" for line in lines[1:]
    ]


def _check_columns(header: list[str], wanted: list[str], source: str, modality: str) -> None:
    for name in wanted:
        if name not in header:
            argument = (
                "label_column"
                if name in wanted[1:]
                else f"{'text' if modality == 'text' else 'path'}_column"
            )
            raise InputError(
                f"{source} has no column {name!r}, only {', '.join(map(repr, header))}: name the "
                f"right one by {argument}=..."
            )


def _read_rows(path: Path, encoding: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """The rows and the line each begins on; undecodable bytes become surrogates."""
    name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        with open(path, encoding=name, errors="surrogateescape", newline="") as file:
            text = file.read()
    except (LookupError, UnicodeError) as error:
        raise InputError(
            f"{path.name} cannot be read with encoding={encoding!r} ({error}): pass the right one"
        ) from error
    if text.startswith(("\udcff\udcfe", "\udcfe\udcff")):
        raise InputError(
            f"{path.name} is UTF-16, but encoding={encoding!r} was expected: pass encoding='utf-16'"
        )
    parsed = _parse(text, delimiter, csv.QUOTE_MINIMAL)
    if delimiter == "\t" and (parsed is None or not _is_regular(parsed[0])):
        # Many writers of TSV do not quote, so that a lone quotation mark would swallow the lines
        # that follow.
        plain = _parse(text, delimiter, csv.QUOTE_NONE)
        if plain is not None and (parsed is None or _is_regular(plain[0])):
            parsed = plain
    if parsed is None:
        raise InputError(
            f"{path.name} has an unbalanced quotation mark: write one inside a quoted field twice"
        )
    return parsed


def _is_regular(rows: list[list[str]]) -> bool:
    return all(len(row) == len(rows[0]) and not any("\n" in field for field in row) for row in rows)


def _parse(text: str, delimiter: str, quoting: Any) -> tuple[list[list[str]], list[int]] | None:
    rows, lines, line = [], [], 1
    # Not str.splitlines: it also splits at form feeds and Unicode separators inside a text.
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True
    )
    try:
        for row in reader:
            if row:  # blank lines are no rows
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error:
        return None
    return rows, lines
