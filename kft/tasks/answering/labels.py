"""Conversion of answers to byte positions in their context."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kft.arguments import shown
from kft.data.encodings import is_unicode
from kft.data.parts import SEPARATOR, as_piece
from kft.data.raw_labels import RawLabels
from kft.data.values import is_missing, is_number, kind_of
from kft.errors import InputError
from kft.tasks.tags.labels import byte_places, is_within_letter

__all__ = [
    "ANSWERS",
    "IMPOSSIBLE",
    "NO_ANSWER",
    "answers_of",
    "context_of",
    "is_answerable",
    "located",
    "problem_of",
    "row_of_piece",
]

NO_ANSWER = (-1, -1)
ANSWERS, IMPOSSIBLE = "answers", "is_impossible"  # keys of a dict that may have no answer

_KEYS = (("text", "answer"), ("answer_start", "start"))  # keys of a dict: the answer, and its start
_EXPECTED = "pass a text, (start, text), or a list of these"
_MOST_ANSWERS = 1000


def located(raw: RawLabels) -> tuple[list[np.ndarray], dict[int, str]]:
    """Return the accepted answers to each question, and why some examples cannot be used.

    A label is a text, `(start, text)`, a dict with `text` and optionally `answer_start`, or a list of
    these; an empty list means that the context has no answer. Starts are characters of the context.

    Args:
        raw: The labels, with the questions and contexts as their `inputs`.

    Returns:
        For each example int32 `[1 + answers, 2]`, the first byte and the byte after the last in the
        context: of the answer to train on, or -1 and -1 without one, then of all accepted answers.

    Raises:
        InputError: If the questions are not known.
    """
    if raw.inputs is None:
        raise InputError(
            f"{raw.source} has answers, but not the questions and contexts that they belong to: pass "
            "(pairs, answers), a SQuAD file, JSON lines or a table."
        )
    rows: list[np.ndarray] = []
    reasons = {}
    for index, (text, value) in enumerate(zip(raw.inputs, raw.values, strict=True)):
        try:
            if not isinstance(text, str) or problem_of(text):
                raise _UnusableError(problem_of(text) if isinstance(text, str) else "no question")
            if not is_unicode(text):
                raise _UnusableError("a text that is not Unicode")
            rows.append(_row(text.partition(SEPARATOR)[2], value))
        except _UnusableError as error:
            rows.append(np.array([NO_ANSWER], np.int32))
            reasons[index] = raw.with_column(str(error))
    return rows, reasons


def problem_of(text: str) -> str:
    """Return why a text is not a question with its context; an empty string if it is."""
    question, separator, context = text.partition(SEPARATOR)
    if not question.strip():
        return "no question"
    if not separator:
        return "no context: pass (question, context), or a text whose first line is the question"
    return "" if context.strip() else "no context"


def is_answerable(row: np.ndarray) -> bool:
    """Return whether the context has an answer."""
    return len(row) > 1


def answers_of(row: np.ndarray, context: str) -> list[str]:
    """Return the texts of the accepted answers of a row.

    Args:
        row: A row that `located` returned.
        context: The whole context.
    """
    content = context.encode()
    return [content[first:end].decode() for first, end in row[1:]]


def row_of_piece(row: np.ndarray, first: int, end: int) -> np.ndarray:
    """Return the row of a piece of a context, which trains on the answer if the piece contains it all.

    Args:
        row: The row of the whole context.
        first: The first byte of the piece.
        end: The byte after its last one.
    """
    made = row.copy()
    is_inside = first <= row[0, 0] and row[0, 1] <= end
    made[0] = row[0] - first if is_inside else NO_ANSWER
    return made


class _UnusableError(ValueError):
    """The label of one question cannot be used."""


def _row(context: str, value: Any) -> np.ndarray:
    several = _several(value)
    if len(several) > _MOST_ANSWERS:
        raise _UnusableError(
            f"{len(several):,} answers, but at most {_MOST_ANSWERS:,} are compared"
        )
    found = [_span(context, *one) for one in several]
    edges = sorted({edge for start, text in found for edge in (start, start + len(text))})
    at = dict(zip(edges, byte_places(context, edges), strict=True))
    places = [(at[start], at[start + len(text)]) for start, text in found]
    return np.array([(places or [NO_ANSWER])[0], *places], np.int32)


def _several(value: Any) -> list[tuple[int | None, str]]:
    """Return the accepted answers, each with its start or None."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping) and IMPOSSIBLE in value:
        return _agreed(value[IMPOSSIBLE], value.get(ANSWERS))
    if is_missing(value) or (isinstance(value, str) and not value.strip()):
        raise _UnusableError(
            "no answer: an empty list, in JSON or Parquet, says that the context has none"
        )
    if isinstance(value, str | Mapping) or _is_placed(value):
        return _told(value)
    if not isinstance(value, list | tuple):
        raise _UnusableError(f"{kind_of(value)} is not an answer: {_EXPECTED}")
    return [one for each in value for one in _told(each)]


def _agreed(is_impossible: Any, answers: Any) -> list[tuple[int | None, str]]:
    """Return the accepted answers of a question that also states whether it has any."""
    if not isinstance(is_impossible, bool):
        raise _UnusableError(
            f'"{IMPOSSIBLE}" is {kind_of(is_impossible)}, but true or false is expected'
        )
    found = [] if is_impossible and is_missing(answers) else _several(answers)
    if is_impossible == bool(found):
        found_text = "there is an answer" if found else "there is no answer"
        raise _UnusableError(f'"{IMPOSSIBLE}" is {str(is_impossible).lower()}, but {found_text}')
    return found


def _told(value: Any) -> list[tuple[int | None, str]]:
    """Return one answer, or the answers of a dict of lists."""
    if isinstance(value, Mapping):
        text, start = (next((value[k] for k in keys if k in value), None) for keys in _KEYS)
        if isinstance(text, list | tuple | np.ndarray):
            starts = [None] * len(text) if start is None else start
            if not isinstance(starts, list | tuple | np.ndarray) or len(starts) != len(text):
                raise _UnusableError(f"{len(text)} answers, but the starts {shown(starts)}")
            return [one for pair in zip(starts, text, strict=True) for one in _told(pair)]
    else:
        start, text = value if _is_placed(value) else (None, value)
    if not isinstance(text, str):
        raise _UnusableError(f"{kind_of(value)} is not an answer: {_EXPECTED}")
    if not text.strip():
        raise _UnusableError("an answer without a letter")
    if start is None or is_missing(start):
        return [(None, text)]
    is_real = is_number(start) and not isinstance(start, bool | np.bool_)
    if not is_real or not (isinstance(start, int) or (math.isfinite(start) and start % 1 == 0)):
        raise _UnusableError(
            f"the answer {text!r:.60} starts at {shown(start)}, which is not a whole number"
        )
    return [(int(start), text)]


def _is_placed(value: Any) -> bool:
    """Return whether a value is a start and a text, rather than several answers."""
    is_pair = isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[1], str)
    return is_pair and not isinstance(value[0], str | Mapping | list | tuple)


def _span(context: str, start: int | None, text: str) -> tuple[int, str]:
    """Return the start of an answer and its text, without surrounding white space."""
    if start is None:
        count = context.count(text)
        if count != 1:
            found_text = "does not occur" if not count else f"occurs {count} times"
            way = "" if not count else ": say at which character it starts"
            raise _UnusableError(f"the answer {text!r:.60} {found_text} in the context{way}")
        start = context.index(text)
    found = context[start : start + len(text)] if start >= 0 else ""
    if found != text:
        raise _UnusableError(
            f"the answer {text!r:.60} is not at character {shown(start)} of the context, where "
            f"{found!r:.60} stands"
        )
    end = start + len(text)
    for edge in (start, end):
        if edge < len(context) and is_within_letter(context, edge):
            raise _UnusableError(f"the answer {text!r:.60} splits the character at {edge}")
    return start + len(text) - len(text.lstrip()), text.strip()


def context_of(text: str) -> str:
    """Return the context of a question; for a piece, that of the whole text."""
    return as_piece(text).whole.partition(SEPARATOR)[2]
