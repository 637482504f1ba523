"""A model's weights as a safetensors file: written, and checked against the model before they are read."""

from __future__ import annotations

import contextlib
import hashlib
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import keras
import numpy as np

from kft.errors import InputError
from kft.model.outlines import without_values
from kft.runs.files import set_default_mode
from kft.runs.places import RECIPE
from kft.runs.reading import opened, parse_json

if TYPE_CHECKING:
    from kft.family.hooks import Family

_LARGEST_FILE = 2**40
_LARGEST_HEADER = 16 * 2**20  # some hundred bytes per weight
_DTYPES = {
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "I16": ("int16", 2),
    "U16": ("uint16", 2),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I32": ("int32", 4),
    "U32": ("uint32", 4),
    "F32": ("float32", 4),
    "I64": ("int64", 8),
    "U64": ("uint64", 8),
    "F64": ("float64", 8),
}

_Header = dict[str, tuple[str, tuple[int, ...]]]  # by name: dtype and shape


def save_weights(weights: Sequence[keras.Variable], path: Path) -> str:
    """Write weights, such as all those of a model.

    Args:
        weights: The weights.
        path: The file.

    Returns:
        The file's SHA-256.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    values = [np.asarray(keras.ops.convert_to_numpy(weight), order="C") for weight in weights]
    try:
        save_file(dict(zip(_names(weights), values, strict=True)), path)
    except SafetensorError as error:
        raise OSError(str(error)) from error  # only the disk can fail here
    set_default_mode(path)  # safetensors makes files that only their owner may read
    return digest(path)


def check_outline(build: Callable[[], Family], path: Path, *, may_fail: bool) -> None:
    """Check that a recipe's model matches the weights in a file, before it takes memory.

    Args:
        build: Builds the recipe. It is called once to learn which weights the model would have.
        path: The file.
        may_fail: Whether to ignore an error of `build`: a recipe that is not kft's own may read
            weights as it builds its model, and here they have no values.

    Raises:
        InputError: If the file is damaged, or its weights differ.
    """
    with _open(path) as file:
        found = _read_header(file, path)

    def compare() -> None:
        try:
            model = build().model
        except Exception:
            if may_fail:
                return
            raise
        _compare(found, model.weights, path, RECIPE)

    without_values(compare)


def load_weights(
    weights: Sequence[keras.Variable], path: Path, sha256: str, described: str = RECIPE
) -> None:
    """Load saved weights from a file.

    Args:
        weights: The weights, in the order in which they were saved.
        path: The file.
        sha256: The digest that `save_weights` returned.
        described: The file next to it that describes the model, for messages.

    Raises:
        InputError: If the file is missing or damaged, or belongs to another model.
    """
    from safetensors import SafetensorError, safe_open

    with _open(path) as file:
        _compare(_read_header(file, path), weights, path, described)
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:  # type: ignore[arg-type]
            raise InputError(
                f"`{path}` is not what was saved (SHA-256 differs): restore it from a copy."
            )
    try:
        with safe_open(path, framework="numpy") as saved:
            for weight, name in zip(weights, _names(weights), strict=True):
                weight.assign(saved.get_tensor(name))
    except SafetensorError as error:
        raise _damaged(path, error) from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names(weights: Sequence[keras.Variable]) -> list[str]:
    """Return names by position and weight: layer names depend on what else a process has built."""
    return [f"{index:05d}:{weight.name}" for index, weight in enumerate(weights)]


@contextlib.contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        with opened(path, _LARGEST_FILE, within=path.parent) as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(
            f"`{path.parent}` has no {path.name}: restore the file from a copy."
        ) from error
    except OSError as error:
        raise _damaged(path, error) from error


def _read_header(file: BinaryIO, path: Path) -> _Header:
    """Read which weights a file has, and check that its size matches."""
    try:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _LARGEST_HEADER:
            raise ValueError(f"a header of {length:,} bytes")
        entries = parse_json(file.read(length))
        entries.pop("__metadata__", None)
        header = {name: _entry(entry) for name, entry in entries.items()}
    except (struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, error) from error
    sizes = dict(_DTYPES.values())
    expected = 8 + length + sum(sizes[dtype] * math.prod(shape) for dtype, shape in header.values())
    size = file.seek(0, 2)
    if size != expected:
        raise InputError(
            f"`{path}` has {size:,} bytes, but its header describes {expected:,}: restore it from a "
            "copy."
        )
    return header


def _entry(entry: Any) -> tuple[str, tuple[int, ...]]:
    dtype, shape = _DTYPES[entry["dtype"]][0], tuple(entry["shape"])
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"a weight of the shape {shape}")
    return dtype, shape


def _compare(found: _Header, weights: Sequence[keras.Variable], path: Path, described: str) -> None:
    expected = {
        name: (keras.backend.standardize_dtype(weight.dtype), tuple(weight.shape))
        for name, weight in zip(_names(weights), weights, strict=True)
    }
    for name in sorted(found.keys() | expected):
        in_file, in_model = found.get(name), expected.get(name)
        if in_file is None or in_model is None or not _suits(in_file, in_model):
            raise InputError(
                f"`{path}` does not fit the model that {path.parent / described} describes: "
                f"weight {name:.200} is {_said(in_file)} in the file, {_said(in_model)} in the model."
            )


def _suits(one: tuple[str, tuple[int, ...]], other: tuple[str, tuple[int, ...]]) -> bool:
    """Return whether values of one dtype and shape can be loaded into a weight of another.

    Positions (KerasHub's `position_ids`) are int32 on one backend and int64 on another.
    """
    are_floating = all("float" in dtype for dtype, _ in (one, other))
    are_positions = all(dtype in ("int32", "int64") for dtype, _ in (one, other))
    return one[1] == other[1] and (one[0] == other[0] or are_floating or are_positions)


def _said(weight: tuple[str, tuple[int, ...]] | None) -> str:
    return "missing" if weight is None else f"{weight[0]} {weight[1]}"


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"`{path}` cannot be read ({str(error)[:200]}): restore it from a copy.")
