"""Messages between processes as bytes that run no code: JSON, and arrays as safetensors."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import InputError, Interrupted, KftError, NonFiniteLossError
from kft.runs.reading import parse_json

LARGEST = 64 * 2**20  # bytes of a message, unless it contains a model's state
_DEEPEST = 256  # twice the limit of files, since each level adds a tag
_ERRORS: dict[str, type[BaseException]] = {
    kind.__name__: kind for kind in (InputError, Interrupted, NonFiniteLossError, KftError)
}


def encode(value: Any) -> bytes:
    """Encode a value as bytes.

    Args:
        value: Dicts, lists and tuples of plain values, paths, NumPy arrays and NumPy numbers.

    Raises:
        TypeError: If it contains anything else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save

    arrays: list[np.ndarray] = []
    text = json.dumps(_tagged(value, arrays)).encode()
    content = struct.pack("<Q", len(text)) + text
    if not arrays:
        return content
    named = {str(place): np.asarray(array, order="C") for place, array in enumerate(arrays)}
    try:
        return content + save(named)
    except SafetensorError as error:
        raise TypeError(f"an array cannot be sent to another process: {error}") from error


def decode(content: bytes) -> Any:
    """Decode the value that was passed to `encode`.

    Raises:
        KftError: If the bytes do not come from `encode`.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        (length,) = struct.unpack_from("<Q", content)
        tagged = parse_json(content[8 : 8 + length], deepest=_DEEPEST)
        rest = content[8 + length :]
        return _untagged(tagged, load(rest) if rest else {})
    except (
        struct.error,
        SafetensorError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ) as error:
        raise KftError(
            f"Another process sent an invalid message ({str(error)[:100]}): is another program using "
            "the address where the processes meet?"
        ) from error


def outcome_of(result: Any, error: BaseException | None) -> dict[str, Any]:
    """Return the result or the exception of a function as a value to send."""
    if error is None:
        return {"result": result}
    known = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS), None)
    text = str(error) if known else f"{type(error).__name__} in process 0: {error}"
    text = text.encode("utf-8", "replace").decode()
    return {"error": known or "KftError", "said": text}


def result_of(outcome: Any) -> Any:
    """Return the result, or raise the exception, that was passed to `outcome_of`."""
    if isinstance(outcome, dict) and outcome.keys() == {"result"}:
        return outcome["result"]
    if isinstance(outcome, dict) and outcome.keys() == {"error", "said"}:
        raise _ERRORS.get(str(outcome["error"]), KftError)(str(outcome["said"]))
    raise KftError("Another process sent neither a result nor an error.")


def check_size(size: int, most: int) -> None:
    """Raise `KftError` for a message larger than any that kft sends."""
    if not 0 <= size <= most:
        raise KftError(
            f"A message between the processes has {size:,} bytes, but at most {most:,} are expected."
        )


def _tagged(value: Any, arrays: list[np.ndarray]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return ["array", len(arrays) - 1]
    if isinstance(value, Path):
        return ["path", os.fsencode(value).decode("latin-1")]  # a name may not be valid Unicode
    if isinstance(value, Mapping):
        items = [[_tagged(k, arrays), _tagged(v, arrays)] for k, v in value.items()]
        return ["dict", items]
    if isinstance(value, (list, tuple)):
        name = "list" if isinstance(value, list) else "tuple"
        return [name, [_tagged(one, arrays) for one in value]]
    raise TypeError(f"a {type(value).__name__} cannot be sent to another process")


def _untagged(tagged: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(tagged, list):
        return tagged
    name, content = tagged
    if name == "array":
        return arrays[str(content)]
    if name == "path":
        return Path(os.fsdecode(content.encode("latin-1")))
    if name == "dict":
        return {_untagged(k, arrays): _untagged(v, arrays) for k, v in content}
    values = [_untagged(one, arrays) for one in content]
    return {"list": list, "tuple": tuple}[name](values)
