"""Reading tables in memory: pandas, Polars, Arrow, Hugging Face datasets, and dicts of columns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kft.data.arrays import examples_of
from kft.data.columns import MOST_BYTES, RowNames, check_columns
from kft.data.examples import Examples
from kft.data.label_columns import LabelColumns, label_columns, parts_of
from kft.data.raw_labels import LabelForm, RawLabels
from kft.data.read_settings import ReadSettings
from kft.data.sequences import Rows, as_rows, is_frame
from kft.data.values import held, is_missing, is_number
from kft.errors import InputError

__all__ = ["read_frame"]


def read_frame(frame: Any, how: ReadSettings) -> Examples:
    """Read a table in memory in the order of its rows.

    Labels are read like those of a table in a file: a number is the name of a class.

    Args:
        frame: A pandas, Polars or Arrow table, a Hugging Face dataset, or a dict of columns.
        how: How to read it. Columns are named like those of a table in a file. Images may also be
            encoded (bytes), Pillow images, or Hugging Face's dicts of `bytes` and `path`.

    Raises:
        InputError: A column is missing or duplicated, its values cannot be used, or the table is a
            dict of tables.
    """
    source = type(frame).__name__
    wanted = how.input_column
    labels = label_columns(how.task, how.label_column, how.input_column)
    used = [wanted, *(name for one in labels for name in one.names)]
    check_columns(_header(frame, source), used, source, how.modality, others=how.by.columns)
    used += how.by.columns.values()
    table = _in_memory(frame, used, source)
    columns = {name: _column(table, name, source) for name in used}
    lengths = dict.fromkeys(map(len, columns.values()))
    if len(lengths) > 1:
        listed = " and ".join(map(str, lengths))
        raise InputError(f"the columns of {source} differ in length: {listed}")
    rows = columns[wanted]
    if not len(rows):
        raise InputError(f"{source} has no rows")
    if not how.inputs.is_text:
        rows = _plain_files(rows, how.image_root)
    names = RowNames("row", range(len(rows)))
    raw = [_labels(one, frame, columns, names, rows) for one in labels]
    return examples_of(
        rows,
        parts_of(labels, raw, names, source, rows),
        how,
        names=names,
        source=source,
        columns={name: columns[column] for name, column in how.by.columns.items()},
    )


def _labels(
    wanted: LabelColumns, frame: Any, columns: Mapping[str, Rows], names: RowNames, inputs: Rows
) -> RawLabels:
    """Return the labels of one part of the task, after checking the type of their columns."""
    source = type(frame).__name__
    found = [columns[name] for name in wanted.names]
    for name, values in zip(wanted.names, found, strict=True):
        refusal = wanted.kind.refusal(replace(_form(values), alone=len(found) == 1))
        if refusal:
            raise InputError(
                f"column {name!r} of {source} holds {held(values, None)}, but {refusal}"
            )
    return RawLabels(
        found[0] if len(found) == 1 else list(zip(*found, strict=True)),
        names,
        source,
        columns=wanted.names,
        numbered=_numbered(frame, wanted.names[0]),
        inputs=inputs,
    )


def _header(frame: Any, source: str) -> list[str]:
    """Return the names of the columns."""
    if isinstance(frame, Mapping):
        if any(map(is_frame, frame.values())):
            raise InputError(
                f"{source} holds the tables {', '.join(map(repr, frame))}: pass one of them, such as "
                f"data[{next(iter(frame))!r}], and another as validation_data"
            )
        names = list(frame)
    else:
        names = list(getattr(frame, "column_names", None) or frame.columns)
    return [name for name in names if isinstance(name, str)]


def _in_memory(frame: Any, names: list[str], source: str) -> Any:
    """Convert a Hugging Face dataset to an Arrow table, without decoding images; return others unchanged."""
    if not (hasattr(frame, "with_format") and hasattr(frame, "select_columns")):
        return frame
    if not hasattr(frame, "__len__"):
        raise InputError(
            f"{source} is streamed, which has no length: load it without streaming=True"
        )
    table = frame.select_columns(list(dict.fromkeys(names))).with_format("arrow")[:]
    if table.nbytes > MOST_BYTES:
        raise InputError(
            f"{source} has {table.nbytes:,} bytes, but at most {MOST_BYTES:,} are read: take a part by "
            "select(...), or pass its to_tf_dataset(...)"
        )
    return table


def _column(frame: Any, name: str, source: str) -> Rows:
    try:
        column = frame[name]
    except Exception as error:  # other libraries may raise anything
        raise InputError(
            f"column {name!r} of {source} cannot be taken ({type(error).__name__}): pass a table of "
            "pandas, Polars or Arrow, such as frame.collect() of a lazy one"
        ) from error
    return as_rows(column, f"column {name!r} of {source}")


def _form(values: Rows) -> LabelForm:
    """Return the form of a column's values, by the first that is not missing."""
    value, depth = next((one for one in values if not is_missing(one)), ""), 0
    while isinstance(value, list | tuple | np.ndarray) and depth < 3:
        value, depth = next(iter(value), ""), depth + 1
    if isinstance(value, str | bytes):
        return LabelForm("text", depth, in_table=True)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return LabelForm("integer", depth, in_table=True)
    return LabelForm("number" if is_number(value) else "other", depth, in_table=True)


def _plain_files(rows: Rows, root: Any) -> Rows:
    """Return inputs as bytes or paths, taken from Hugging Face's dicts of both."""
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        return rows

    def plain(row: Any) -> Any:
        if isinstance(row, Mapping):
            row = row.get("bytes") or row.get("path")
        return os.path.join(root, row) if root is not None and isinstance(row, str) else row

    return [plain(row) for row in rows]


def _numbered(frame: Any, column: str) -> tuple[str, ...] | None:
    """Return the class names of a Hugging Face dataset whose labels are numbers."""
    features = getattr(frame, "features", None)
    if not isinstance(features, Mapping):
        return None
    names = getattr(features.get(column), "names", None)
    return None if names is None else tuple(names)
