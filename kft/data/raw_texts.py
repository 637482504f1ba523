"""Texts without labels, in the forms that `predict` accepts, and the error for bad inputs."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from kft.data.sequences import as_rows
from kft.data.source_hooks import SourceHooks
from kft.data.values import text_value
from kft.errors import InputError

__all__ = ["raw_texts", "refuse_inputs"]

_SHOWN = 5
_DATA = (".csv", ".tsv", ".parquet", ".txt", ".json", ".jsonl")


def raw_texts(raw: Any, hooks: SourceHooks | None = None) -> list[str]:
    """Return texts in order.

    Blank texts are accepted, as by a server.

    Args:
        raw: A text, or a list or column of them; bytes are UTF-8.
        hooks: Converts the values to texts. Defaults to no conversion.

    Raises:
        InputError: A value is missing or not a text; the message names it.
    """
    if isinstance(raw, os.PathLike):
        raise InputError(f"{raw!r} is a path, but texts are expected: pass path.read_text()")
    if isinstance(raw, str) and _is_file(raw):
        raise InputError(
            f"{raw!r:.200} is the name of a file, but texts are expected: pass those in it, or pass [name] if the "
            "name is the text"
        )
    hooks = hooks or SourceHooks()
    raw = hooks.as_inputs(raw)
    rows = as_rows([raw] if isinstance(raw, str | bytes) else raw, "raw")
    each = rows.tolist() if isinstance(rows, np.ndarray) else rows
    found = [text_value(hooks.as_input(one)) for one in each]
    found = [(text, reason or hooks.input_problem(text)) for text, reason in found]
    reasons = {index: reason for index, (_, reason) in enumerate(found) if reason}
    refuse_inputs({index: reason for index, reason in reasons.items() if reason != "empty text"})
    return [text for text, _ in found]


def _is_file(text: str) -> bool:
    """Return whether a text is the name of an existing file of data."""
    return text.lower().endswith(_DATA) and os.path.isfile(text)


def refuse_inputs(
    reasons: dict[int, str], names: dict[int, str] | None = None, expected: str = ""
) -> None:
    """Raise an error if some inputs cannot be used.

    Args:
        reasons: Why inputs cannot be used, by index.
        names: Names of some of them. Defaults to their indices.
        expected: A sentence on what can be passed.

    Raises:
        InputError: There are reasons; the message lists the first.
    """
    if not reasons:
        return
    listed = sorted(reasons.items())
    lines = [
        f"{(names or {}).get(index, f'input {index}')}: {reason}"
        for index, reason in listed[:_SHOWN]
    ]
    if len(listed) > _SHOWN:
        lines.append(f"and {len(listed) - _SHOWN} more")
    text = f"{'; '.join(lines)}. Correct these inputs or leave them out. {expected}"
    raise InputError(text.rstrip())
