"""Reading columns of Parquet files in batches, within bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kft.data.arrow_types import form, is_text, plain
from kft.data.columns import MOST_BYTES, MOST_ROWS, Columns, RowNames, check_columns, open_table
from kft.data.label_columns import LabelColumns
from kft.data.modality import modality_named
from kft.errors import InputError

__all__ = ["read_parquet", "stream_parquet"]

_ROWS = 4096  # per batch
_STREAMED_ROWS = 256  # per batch, when values are not kept
_BOMB = 64 * 2**20  # bytes above which the compression ratio is checked
_MOST_COMPRESSED = 200  # the largest ratio; real texts reach some 20
_LONG = 1000  # characters above which repeated texts are shared
_LONGEST_NAME = 10_000  # characters of a label in a list


def read_parquet(
    path: Path,
    input_column: str,
    labels: Sequence[LabelColumns],
    *,
    source: str,
    modality: str,
    others: Mapping[str, str],
) -> Columns:
    """Read columns of a Parquet file.

    A repeated long text is held once, as in the file, so that a small file takes little memory.

    Args:
        path: The file.
        input_column: The column of the inputs.
        labels: The columns of the labels.
        source: The name of the file in messages.
        modality: `"image"`, `"text"` or `"clip"`.
        others: Other requested columns, by the arguments that name them.

    Returns:
        The columns, that of the inputs first: strings (undecodable bytes as surrogates), numbers,
        None, or lists of these.

    Raises:
        InputError: The file is not Parquet, damaged or encrypted, lacks a column, or a column has
            another type than the task needs.
    """
    wanted = [input_column, *(name for one in labels for name in one.names), *others.values()]
    with _opened(path, input_column, labels, source, modality, others) as parquet:
        found = Columns([[] for _ in wanted], RowNames("row"))
        read = _Strings(source)
        for batch in parquet.iter_batches(_ROWS, columns=list(dict.fromkeys(wanted))):
            for values, name in zip(found.values, wanted, strict=True):
                column = batch.column(batch.schema.names.index(name))
                values += read.values(column, name)
    found.names.numbers.extend(range(1, len(found.values[0]) + 1))
    return found


def stream_parquet(
    path: Path, column: str, *, source: str, modality: str
) -> Callable[[], Iterator[Any]]:
    """Check the column of the inputs in a Parquet file, and return a function that yields its values.

    Args:
        path: The file.
        column: The column.
        source: The name of the file in messages.
        modality: `"image"`, `"text"` or `"clip"`.

    Returns:
        A function that starts from the beginning on each call, with one batch in memory at a time.

    Raises:
        InputError: As for `read_parquet`, or the file has no rows.
    """
    with _opened(path, column, (), source, modality) as parquet:
        if not parquet.metadata.num_rows:
            raise InputError(f"{source} has no rows")

    def read() -> Iterator[Any]:
        with _opened(path, column, (), source, modality) as parquet:
            for batch in parquet.iter_batches(_STREAMED_ROWS, columns=[column]):
                yield from _Strings(source).values(batch.column(0), column)

    return read


@contextlib.contextmanager
def _opened(
    path: Path,
    input_column: str,
    labels: Sequence[LabelColumns],
    source: str,
    modality: str,
    others: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """Open a file, check its columns, and turn errors of Arrow into an `InputError` of one line."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_table(path, source) as file:
            parquet = pq.ParquetFile(file)
            wanted = [input_column, *(name for one in labels for name in one.names)]
            check_columns(parquet.schema_arrow.names, wanted, source, modality, others=others)
            wanted += (others or {}).values()
            _check_types(parquet.schema_arrow, input_column, labels, source, modality)
            leaves = _leaves(parquet, wanted)
            _check_size(parquet, leaves, source)
            strings = [leaf.path for leaf in leaves.values() if leaf.physical_type == "BYTE_ARRAY"]
            file.seek(0)
            yield pq.ParquetFile(file, read_dictionary=strings, pre_buffer=False)
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise InputError(
            f"{source} is not a readable Parquet file ({first}): write it again, without encryption"
        ) from error


def _check_types(
    schema: Any, input_column: str, labels: Sequence[LabelColumns], source: str, modality: str
) -> None:
    kind = plain(schema.field(input_column).type)
    if not is_text(kind):
        expected = modality_named(modality).in_tables
        raise InputError(
            f"column {input_column!r} of {source} holds {str(kind)[:100]}, but {expected} are "
            "expected: convert the column, or name another one"
        )
    for one in labels:
        for name in one.names:
            kind = plain(schema.field(name).type)
            refusal = one.kind.refusal(replace(form(kind), alone=len(one.names) == 1))
            if refusal:
                raise InputError(
                    f"column {name!r} of {source} holds {str(kind)[:100]}, but {refusal}"
                )


def _leaves(parquet: Any, wanted: Sequence[str]) -> dict[int, Any]:
    """Return the stored columns by their number; that of a list is nested in it."""
    every = {index: parquet.schema.column(index) for index in range(len(parquet.schema))}
    return {
        index: leaf
        for index, leaf in every.items()
        if any(leaf.path == name or leaf.path.startswith(f"{name}.") for name in wanted)
    }


def _check_size(parquet: Any, leaves: dict[int, Any], source: str) -> None:
    unpacked = packed = 0
    for leaf in leaves:
        count = 0
        for group in range(parquet.metadata.num_row_groups):
            chunk = parquet.metadata.row_group(group).column(leaf)
            count += chunk.num_values
            packed += chunk.total_compressed_size
            unpacked += chunk.total_uncompressed_size
        if max(count, parquet.metadata.num_rows) > MOST_ROWS:
            raise InputError(
                f"{source} has {max(count, parquet.metadata.num_rows):,} values in a column, but at "
                f"most {MOST_ROWS:,} are read: split it"
            )
    if unpacked > MOST_BYTES or unpacked > max(_BOMB, _MOST_COMPRESSED * packed):
        raise InputError(
            f"{source} unpacks from {packed:,} to {unpacked:,} bytes, too many for a table of texts: "
            "write it again, or split it"
        )


def _innermost(column: Any) -> Iterator[Any]:
    """Yield the arrays of plain values inside lists and structures."""
    import pyarrow as pa

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if not pa.types.is_nested(column.type):
        yield column
        return
    inner = column.flatten()
    for one in inner if isinstance(inner, list) else [inner]:
        yield from _innermost(one)


class _Strings:
    """A conversion of Arrow strings to Python's that shares repeated long ones."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._long: dict[str, str] = {}
        self._characters = 0

    def values(self, column: Any, name: str) -> list[Any]:
        """Return the values of a column: strings, numbers, None, or lists of these."""
        import pyarrow as pa

        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        if pa.types.is_dictionary(column.type):
            indices, decoded = column.indices.to_pylist(), self._of_dictionary(column)
            return [None if index is None else decoded[index] for index in indices]
        if pa.types.is_nested(column.type):
            for inner in _innermost(column):
                labels = (
                    self._of_dictionary(inner).values()
                    if isinstance(inner, pa.DictionaryArray)
                    else self._decoded(inner)
                )
                if any(isinstance(label, str) and len(label) > _LONGEST_NAME for label in labels):
                    raise InputError(
                        f"column {name!r} of {self.source} has a label of more than "
                        f"{_LONGEST_NAME:,} characters"
                    )
            return column.to_pylist()
        return self._decoded(column)

    def _of_dictionary(self, column: Any) -> dict[int, Any]:
        """Return the values that a batch uses: Arrow's dictionary also has those of earlier batches."""
        used = column.indices.drop_null().unique()
        return dict(zip(used.to_pylist(), self._decoded(column.dictionary.take(used)), strict=True))

    def _decoded(self, strings: Any) -> list[Any]:
        """Return strings with surrogates for bytes that are not UTF-8, other values unchanged."""
        import pyarrow as pa

        if not is_text(strings.type) or pa.types.is_null(strings.type):
            return strings.to_pylist()
        raw = strings.cast(pa.large_binary()).to_pylist()
        return [None if value is None else self._kept(value) for value in raw]

    def _kept(self, value: bytes) -> str:
        text = value.decode("utf-8", "surrogateescape")
        if len(text) > _LONG:
            known = self._long.setdefault(text, text)
            if known is not text:
                return known
        self._characters += len(text)
        if self._characters > MOST_BYTES:
            raise InputError(f"{self.source} has more than {MOST_BYTES:,} characters: split it")
        return text
