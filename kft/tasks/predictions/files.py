"""Files of predictions in CSV, TSV, JSON lines or Parquet, written batch by batch and atomically."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kft.arguments import in_words, path_of
from kft.data.files import written
from kft.errors import InputError
from kft.printing import without_formula

if TYPE_CHECKING:
    from kft.tasks.predictions.base import Predictions

__all__ = ["ENDINGS", "PredictionFile", "place_of"]


class PredictionFile:
    """Write predictions batch by batch to a file that appears when it is complete.

    Until then they are in a hidden file in the same directory. If the block ends with an error, that
    file is removed, and an existing file of this name stays unchanged.

    Args:
        path: A file that ends in .csv, .tsv, .jsonl or .parquet; its directory is created if missing.

    Raises:
        InputError: If it has another ending.

    Attributes:
        path: The file.
        count: The number of predictions written so far.

    Example:

    ```python
    with PredictionFile("answers.parquet") as file:
        for batch in batches:
            file.add(recipe.predict(batch))
    ```
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = path_of("path", path, "a file, such as 'answers.csv'")
        self.count = 0
        if self.path.suffix.lower() not in ENDINGS:
            raise InputError(
                f"`{self.path}`: the extension determines the format: pass a file that ends in "
                f"{in_words(ENDINGS)}."
            )
        self._target = place_of(self.path)
        self._hidden = self._target.with_name(f".kft-{secrets.token_hex(8)}.partial")
        self._writer: _Csv | _JsonLines | _Parquet | None = None

    def add(self, predictions: Predictions) -> None:
        """Append predictions.

        Args:
            predictions: The next batch, with the same columns.
        """
        columns = predictions.columns()
        if self._writer is None:
            like = {name: [cell] for name, cell in predictions.like.items() if name in columns}
            self._writer = _WRITERS[self.path.suffix.lower()](self._hidden, {**columns, **like})
        self._writer.write(columns)
        self.count += len(predictions)

    def __enter__(self) -> Self:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
                if kind is None:
                    self._keep()
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._hidden.unlink()

    def _keep(self) -> None:
        with self._hidden.open("rb") as file:
            os.fsync(file.fileno())
        if os.path.exists(self._target):
            shutil.copymode(self._target, self._hidden)
        self._hidden.replace(self._target)


def place_of(path: Path) -> Path:
    """Return where a path leads, so that a symbolic link stays a link.

    Raises:
        InputError: No file can have this name there.
    """
    with written(path):
        target = Path(os.path.realpath(path))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            target.lstat()
    return target


class _Csv:
    delimiter = ","

    def __init__(self, path: Path, columns: dict[str, list]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, delimiter=self.delimiter, lineterminator="\n")
        self._rows.writerow(columns)

    def write(self, columns: dict[str, list]) -> None:
        cells = ([_in_text(cell) for cell in values] for values in columns.values())
        self._rows.writerows(zip(*cells, strict=True))

    def close(self) -> None:
        self._file.close()


class _Tsv(_Csv):
    delimiter = "\t"


class _JsonLines:
    def __init__(self, path: Path, columns: dict[str, list]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")

    def write(self, columns: dict[str, list]) -> None:
        for row in zip(*columns.values(), strict=True):
            content = {name: _in_json(cell) for name, cell in zip(columns, row, strict=True)}
            self._file.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, columns: dict[str, list]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = pa.schema(
            (name, _parquet_type(values[0] if values else "")) for name, values in columns.items()
        )
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, columns: dict[str, list]) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pydict(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


_WRITERS: dict[str, type[_Csv] | type[_JsonLines] | type[_Parquet]] = {
    ".csv": _Csv,
    ".tsv": _Tsv,
    ".jsonl": _JsonLines,
    ".parquet": _Parquet,
}
ENDINGS = tuple(_WRITERS)


def _parquet_type(cell: Any) -> Any:
    """Return the Parquet type of a column from its first cell; empty lists are taken as numbers."""
    import pyarrow as pa

    if isinstance(cell, list):
        return pa.list_(_parquet_type(cell[0] if cell else 0.0))
    if isinstance(cell, dict):
        return pa.struct([(name, _parquet_type(one)) for name, one in cell.items()])
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float32()}
    return kinds.get(type(cell), pa.string())


def _in_text(cell: Any) -> Any:
    """Return a cell for a text file: lists as JSON, and text that cannot run as a formula."""
    return json.dumps(_in_json(cell)) if isinstance(cell, list) else without_formula(cell)


def _in_json(cell: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, with None."""
    if isinstance(cell, list):
        return [_in_json(one) for one in cell]
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
