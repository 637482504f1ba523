"""Readers of questions with contexts and answers: SQuAD's JSON, JSON lines and tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kft.data.columns import RowNames, open_table
from kft.data.delimited import Delimited, read_delimited
from kft.data.files import shown
from kft.data.json_examples import json_document
from kft.data.label_columns import LabelColumns
from kft.data.parquet import read_parquet
from kft.data.parts import join_parts
from kft.data.source_hooks import ReadFile
from kft.data.targets import TargetKind
from kft.data.text_lines import text_lines
from kft.data.values import is_missing, kind_of
from kft.errors import InputError
from kft.tasks.answering.labels import ANSWERS, IMPOSSIBLE

__all__ = ["INPUTS", "read_json_lines", "read_squad", "read_table"]

INPUTS = ("question", "context")
_MOST_LETTERS, _MOST_TIMES = 2**30, 200  # of contexts repeated per question, to bound memory
_ANSWERS = (("answer", ANSWERS), ("start", "answer_start"))  # the first key that exists counts


def read_squad(path: Path, encoding: str) -> ReadFile:
    """Read a file in SQuAD format, version 1 or 2.

    Args:
        path: The file.
        encoding: Its encoding if it has no byte order mark.

    Raises:
        InputError: If it cannot be read, or has another format.
    """
    source = shown(path.name)
    found = ReadFile([], [], names := [], {})
    content, size = json_document(path, encoding, source)
    questions = list(_questions(content, source))
    letters = sum(len(context) for context, _ in questions if isinstance(context, str))
    if letters > _MOST_LETTERS and letters > _MOST_TIMES * size:
        raise InputError(
            f"{source} has {size:,} bytes, but its contexts, repeated for each question, have {letters:,} "
            f"characters, more than {_MOST_TIMES} times as many: split the contexts, or ask fewer questions "
            "about each"
        )
    for number, (context, asked) in enumerate(questions, 1):
        asked = asked if isinstance(asked, Mapping) else {}
        names.append(f"question {asked.get('id', number)!s:.60}")
        _add(found, {**asked, "context": context})
    return _checked(found, source)


def read_json_lines(path: Path, encoding: str) -> ReadFile:
    """Read JSON lines: `{"question": "...", "context": "...", "answers": [{"text", "answer_start"}]}`.

    Args:
        path: The file.
        encoding: Its encoding if it has no byte order mark.

    Raises:
        InputError: If it cannot be read.
    """
    found = ReadFile([], [], names := RowNames("line"), {})
    for number, line in text_lines(path, encoding):
        if not line.strip():
            continue
        names.numbers.append(number)
        try:
            _add(found, json.loads(line))
        except (ValueError, RecursionError) as error:
            found.reasons[len(found.inputs)] = f"not JSON ({error!s:.60})"
            _add(found, {})
    return _checked(found, shown(path.name))


def read_table(path: Path, encoding: str) -> ReadFile:
    """Read a table with the columns question, context, and optionally answer and start.

    Args:
        path: A .csv, .tsv or .parquet file.
        encoding: Its encoding if it has no byte order mark.

    Raises:
        InputError: If it cannot be read, or lacks a column.
    """
    source, is_parquet = shown(path.name), path.suffix.lower() == ".parquet"
    header = _parquet_names(path, source) if is_parquet else _header(path, encoding, source)
    columns = [*INPUTS, *(one for names in _ANSWERS for one in names if one in header)]
    if is_parquet:
        wanted = LabelColumns("", TargetKind(), tuple(columns[1:]))
        table = read_parquet(path, columns[0], [wanted], source=source, modality="text", others={})
    else:
        table = read_delimited(
            path, columns, encoding=encoding, source=source, modality="text", others={}
        )
    found = ReadFile([], [], table.names, dict(table.reasons))
    for row in zip(*table.values, strict=True):
        _add(found, dict(zip(columns, row, strict=True)))
    return _checked(found, source)


def _add(found: ReadFile, row: Any) -> None:
    """Add a question with its context, and its answers if it has any."""
    index = len(found.inputs)
    row = row if isinstance(row, Mapping) else {}
    parts = [row.get(name) for name in INPUTS]
    for name, part in zip(INPUTS, parts, strict=True):
        if not isinstance(part, str) or not part.strip():
            reason = (
                f"no {name}" if is_missing(part) or part == "" else f"{kind_of(part)} is no {name}"
            )
            found.reasons.setdefault(index, reason)
    found.inputs.append("" if index in found.reasons else join_parts(parts))
    answer, start = (next((row[one] for one in names if one in row), None) for names in _ANSWERS)
    if isinstance(start, str):  # from a table
        number = re.fullmatch(r"\s*([0-9]{1,12})(?:\.0*)?\s*|\s*(?:nan)?\s*", start, re.IGNORECASE)
        if number is None:
            found.reasons.setdefault(index, f"the start {start!r:.40} is not a whole number")
        start = int(number[1]) if number is not None and number[1] else None
    label = answer if is_missing(start) else (start, answer)
    if row.get(IMPOSSIBLE) is not None:
        label = {IMPOSSIBLE: row[IMPOSSIBLE], ANSWERS: label}
    found.labels.append(label)


def _questions(content: Any, source: str) -> Iterator[tuple[Any, Any]]:
    """Yield each context with a question, both unchecked."""
    for first, article in enumerate(_listed(content, "data", source)):
        place = f"{source}, data[{first}]"
        for second, paragraph in enumerate(_listed(article, "paragraphs", place)):
            for asked in _listed(paragraph, "qas", f"{place}.paragraphs[{second}]"):
                yield paragraph.get("context"), asked


def _listed(value: Any, name: str, place: str) -> list[Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(found, list):
        raise InputError(
            f'{place} has no list "{name}": not in the form of SQuAD, {{"data": [{{"paragraphs": '
            '[{"context": "...", "qas": [{"question": "...", "answers": [...]}]}]}]}'
        )
    return found


def _header(path: Path, encoding: str, source: str) -> list[str]:
    table = Delimited(path, list(INPUTS), encoding=encoding, source=source, modality="text")
    return table.header


def _parquet_names(path: Path, source: str) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_table(path, source) as file:
        try:
            return pq.ParquetFile(file).schema_arrow.names
        except pa.ArrowException as error:
            raise InputError(f"{source} is not a Parquet file ({error!s:.80})") from error


def _checked(found: ReadFile, source: str) -> ReadFile:
    if not found.inputs:
        raise InputError(f"{source} has no questions: expected some with their contexts.")
    return found
