"""Reading CSV, TSV and Parquet tables with a text or path column and a label column."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kft.data.columns import Columns, in_column
from kft.data.delimited import read_delimited
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.label_columns import LabelColumns, label_columns, parts_of
from kft.data.parquet import read_parquet
from kft.data.raw_labels import RawLabels
from kft.data.read_settings import ReadSettings
from kft.data.usable import usable_examples
from kft.data.values import text_value

__all__ = ["SUFFIXES", "read_table"]

SUFFIXES = (".csv", ".tsv", ".parquet")


def read_table(path: str | os.PathLike[str], how: ReadSettings) -> Examples:
    """Read a table whose first line names its columns.

    Several labels of an example are separated by `|`, or are lists in Parquet.

    Args:
        path: A .csv, .tsv or .parquet file.
        how: How to read it. Paths of images are relative to the table's folder. If the task has
            parts, the default of `label_column` stands for columns named like them. Classes default
            to the sorted labels that occur.

    Returns:
        `Examples` of kind `"texts"`, `"image_files"` or `"clip_files"`, in the order of the rows.

    Raises:
        InputError: A column is missing, duplicated, or of another type, bytes do not match the
            encoding, labels are missing or were not seen in training.
    """
    path = Path(path)
    source = shown(path.name)
    bad = how.bad_examples(source)
    labels = label_columns(how.task, how.label_column, how.input_column)
    input_column = how.input_column
    table = _read(path, input_column, labels, how, source)
    columns = dict(
        zip(how.by.columns, table.values[len(table.values) - len(how.by.columns) :], strict=True)
    )
    by = how.by.values(table.names, source, columns)
    reasons = dict(table.reasons)
    root = path.parent if how.image_root is None else Path(how.image_root)
    inputs: list[str] = []
    for index, value in enumerate(table.values[0]):
        text, reason = text_value(value, how.encoding)
        inputs.append(text if how.inputs.is_text else _path(root, value))
        if reason:
            reasons.setdefault(index, in_column(reason, input_column, how.encoding))
    if not how.inputs.is_text:
        usable = [index for index in range(len(inputs)) if index not in reasons]
        found = how.inputs.check([inputs[index] for index in usable], how.max_pixels)
        missing = next((n for n, reason in found.items() if reason == "no such file"), None)
        for index, reason in found.items():
            hint = _hint(root, table.values[0][usable[index]]) if index == missing else ""
            reasons[usable[index]] = f"{shown(inputs[usable[index]])}: {reason}{hint}"
    raw = _raw(table, labels, how.encoding, source, inputs)
    used = (input_column, *(name for one in labels for name in one.names))
    expected = " and ".join(map(repr, used))
    return usable_examples(
        how.inputs.stored,
        inputs,
        how.task.targets(raw, how.classes),
        task=how.task,
        bad=bad,
        names=table.names,
        reasons=reasons,
        by=by,
        nothing=f"has no usable row: expected {'columns' if labels else 'a column'} {expected}, filled",
    )


def _read(
    path: Path, input_column: str, labels: Sequence[LabelColumns], how: ReadSettings, source: str
) -> Columns:
    if path.suffix.lower() == ".parquet":
        return read_parquet(
            path,
            input_column,
            labels,
            source=source,
            modality=how.modality,
            others=how.by.columns,
        )
    wanted = [input_column, *(name for one in labels for name in one.names)]
    return read_delimited(
        path,
        wanted,
        encoding=how.encoding,
        source=source,
        modality=how.modality,
        others=how.by.columns,
    )


def _raw(
    table: Columns,
    labels: Sequence[LabelColumns],
    encoding: str,
    source: str,
    inputs: list[str],
) -> Any:
    """Return the labels as `TargetKind.targets` takes them."""
    columns = iter(table.values[1:])
    raw = []
    for one in labels:
        values = [next(columns) for _ in one.names]
        rows = values[0] if len(values) == 1 else list(zip(*values, strict=True))
        own = RawLabels(
            rows, table.names, source, columns=one.names, encoding=encoding, inputs=inputs
        )
        raw.append(own)
    return parts_of(labels, raw, table.names, source, inputs)


def _path(folder: Path, value: Any) -> str:
    return str(folder / value) if isinstance(value, str) else ""


def _hint(root: Path, name: str) -> str:
    """Return a hint if a missing file is in a sub-folder next to the table."""
    try:
        found = [folder for folder in root.iterdir() if os.path.isfile(folder / name)]
    except OSError:
        return ""
    return f"; it lies in {shown(found[0])}: pass image_root={str(found[0])!r}" if found else ""
