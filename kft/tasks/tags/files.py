"""Readers of CoNLL files, and of JSON with texts and entities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kft.data.columns import RowNames
from kft.data.files import shown
from kft.data.json_examples import read_json_lines as json_lines
from kft.data.json_examples import read_json_list as json_list
from kft.data.source_hooks import ReadFile
from kft.data.text_lines import text_lines
from kft.data.values import kind_of
from kft.errors import InputError
from kft.printing import how_many
from kft.tasks.tags.annotated import text_and_entities

__all__ = ["READERS", "joined", "read_conll", "read_json", "read_json_lines"]

_DOCUMENT = "-DOCSTART-"
_UNIVERSAL = {".conllu": 3}  # the column of the tag (UPOS); in other files it is the last


def read_conll(path: Path, encoding: str) -> ReadFile:
    """Read a CoNLL file: a word per line, its tag in the last column, and a blank line after a text.

    Columns are separated by tabs if the line has one, else by white space. Lines with `-DOCSTART-`,
    which begin a document, are skipped. In a .conllu file, the word is the second column and the tag
    the fourth (UPOS), comments begin with `#`, and multiword tokens are skipped.

    Args:
        path: The file.
        encoding: Its encoding if it has no byte order mark.

    Raises:
        InputError: If it cannot be read, or has too many texts.
    """
    names = RowNames("line")
    found = ReadFile([], [], names, {})
    column = _UNIVERSAL.get(path.suffix.lower())
    words: list[str] = []
    tags: list[str] = []
    begins, reason = 0, ""

    def end() -> None:
        if words or reason:
            if reason:
                found.reasons[len(found.inputs)] = reason
            found.inputs.append(" ".join(words))
            found.labels.append(list(tags))
            names.numbers.append(begins)
        words.clear()
        tags.clear()

    for number, line in text_lines(path, encoding):
        fields = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or fields[0] == _DOCUMENT:
            end()
            reason = ""
            continue
        if column is not None and (line.startswith("#") or not fields[0].isdigit()):
            continue
        begins = begins if words or reason else number
        word, tag = _word_and_tag(fields, column)
        if word is None or not tag:
            why = (
                f"line {number} has {how_many(len(fields), 'column')}: expected a word and its tag"
            )
            reason = reason or why
            continue
        words.append(word)
        tags.append(tag)
    end()
    if not found.inputs:
        raise InputError(
            f"{shown(path.name)} has no words: expected a word and its tag on each line, and a blank "
            "line after each text."
        )
    return found


def read_json_lines(path: Path, encoding: str) -> ReadFile:
    """Read JSON lines: `{"text": "Ada was here", "entities": [[0, 3, "PER"]]}`.

    An entity is `[start, end, type]`, or a dict with these keys; positions are characters from 0, and
    the end is exclusive. Lines may have `"words"` and `"tags"`, lists of strings, instead, or be those of
    an annotation tool, see `kft.tasks.tags.annotated.text_and_entities`.

    Args:
        path: The file.
        encoding: Its encoding if it has no byte order mark.

    Raises:
        InputError: If it cannot be read.
    """
    return json_lines(path, encoding, _of_object)


def read_json(path: Path, encoding: str) -> ReadFile:
    """Read a JSON list of the same objects, as Label Studio exports it.

    Args:
        path: The file.
        encoding: Its encoding if it has no byte order mark.

    Raises:
        InputError: If it cannot be read, or is not a list.
    """
    return json_list(path, encoding, _of_object)


def joined(words: Any) -> str:
    """Join words by spaces into a text.

    Raises:
        InputError: If a word is not a string, is blank, or contains a space.
    """
    for word in words:
        if not isinstance(word, str) or len(word.split(" ")) != 1 or not word.strip():
            raise InputError(f"{kind_of(word)} is not a word: pass lists of words without spaces.")
    return " ".join(words)


def _of_object(value: dict[str, Any]) -> tuple[str, Any, str]:
    if "words" in value or "tags" in value:
        words, tags = value.get("words"), value.get("tags")
        if not isinstance(words, list) or not isinstance(tags, list):
            return "", [], '"words" and "tags" have to be lists of strings'
        try:
            return joined(words), tags, ""
        except InputError as error:
            return "", [], str(error)
    return text_and_entities(value)


def _word_and_tag(fields: list[str], column: int | None) -> tuple[str | None, str]:
    if column is not None:
        return (fields[1], fields[column].strip()) if len(fields) > column else (None, "")
    if len(fields) < 2:
        return None, ""
    word = "".join(fields[0].split(" "))  # between tabs, a word may contain spaces
    return (word or None), fields[-1].strip()


_CONLL = (".conll", ".conllu", ".conll2003", ".bio", ".iob", ".iob2", ".bioes")
READERS = {
    **dict.fromkeys(_CONLL, read_conll),
    **dict.fromkeys((".jsonl", ".ndjson"), read_json_lines),
    ".json": read_json,
}
