"""Safe reading of untrusted YAML: plain values only, bounded in size and depth."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

import yaml

from kft.errors import InputError
from kft.regular_files import read_regular

LARGEST = 256 * 1024  # bytes of a file or text; a stage has about a hundred
DEEPEST = 20  # nested lists and mappings
_LONGEST_NUMBER = 300  # characters


def read_yaml(
    path: str | os.PathLike[str], what: str = "YAML file", *, number_keys: bool = False
) -> Any:
    """Read a YAML file.

    Args:
        path: The file.
        what: What messages call the file, such as "stages file".
        number_keys: As for `parse_yaml`.

    Returns:
        Dictionaries, lists, texts, numbers, booleans and None.

    Raises:
        InputError: If there is no such regular file, it is too large, or it is not plain YAML.
    """
    named = f"the {what} {os.fspath(path)!r}"
    try:
        content = _read(path, named)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"Cannot read {named}: {detail}.") from error
    return parse_yaml(text, named, number_keys=number_keys)


def parse_yaml(text: str, named: str, *, number_keys: bool = False) -> Any:
    """Convert YAML text to plain values.

    Scalars are those of YAML 1.2's core schema: `1e-3` is a number, and `yes`, `1:30`, `1_000` and
    `2024-01-01` are text. Anchors, aliases, tags and repeated keys are refused.

    Args:
        text: The YAML text.
        named: What messages call it.
        number_keys: Whether integers are valid keys; by default only text is.

    Returns:
        Dictionaries, lists, texts, numbers, booleans and None.

    Raises:
        InputError: If the text is too long, or it is not plain YAML.
    """
    if len(text) > LARGEST:
        raise InputError(f"{named} has {len(text):,} characters: at most {LARGEST:,} are read.")
    try:
        node = yaml.compose(text, _Loader)
        return None if node is None else _value(node, str | int if number_keys else str)
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        at = f" (line {place.line + 1}, column {place.column + 1})" if place else ""
        detail = ", ".join(part for part in (error.context, error.problem) if part)
        raise InputError(f"{named} is not plain YAML: {detail}{at}.") from error
    except yaml.YAMLError as error:
        detail = " ".join(str(error).split())
        raise InputError(f"{named} is not plain YAML: {detail}.") from error


def in_one_line(value: Any) -> str:
    """Return plain values as YAML in one line, as `--set NAME=VALUE` reads them.

    Args:
        value: Dictionaries, lists, texts, numbers, booleans and None.
    """
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


def _read(path: str | os.PathLike[str], named: str) -> bytes:
    try:
        return read_regular(path, LARGEST)
    except OSError as error:
        if error.errno == errno.EISDIR:  # raised for everything that is not a regular file
            wrong = "is not a regular file: pass the path of a YAML file."
        elif error.errno == errno.EFBIG:
            wrong = f"has more than {LARGEST:,} bytes: pass a YAML file."
        else:
            raise
        raise InputError(f"{named} {wrong}") from error


class _Loader(yaml.SafeLoader):
    """A loader that refuses anchors, aliases and tags, and limits the depth."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's own; filled below

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse("anchors and aliases are not supported, write the value out", event)
        if event.tag is not None:
            self._refuse(f"the tag {event.tag!r} is not supported, leave it out", event)
        if self._depth == DEEPEST:
            self._refuse(f"more than {DEEPEST} lists and mappings inside one another", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refuse(self, problem: str, event: Any) -> None:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


_NULL, _BOOL, _INT, _FLOAT = (f"tag:yaml.org,2002:{n}" for n in ("null", "bool", "int", "float"))
_NUMBER = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
for _tag, _pattern, _first in (
    (_NULL, r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    (_BOOL, r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    (_INT, r"[-+]?[0-9]+", list("-+0123456789")),
    (_FLOAT, _NUMBER + r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})\\Z", re.ASCII), _first)


def _value(node: Any, keys: Any) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(one, keys) for one in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, keys)
    text = node.value
    if node.tag in (_INT, _FLOAT) and len(text) > _LONGEST_NUMBER:
        _refuse_node(node, f"a number of {len(text):,} characters")
    if node.tag == _INT:
        return int(text)
    if node.tag == _FLOAT:
        return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    if node.tag == _BOOL:
        return text.lower() == "true"
    return None if node.tag == _NULL else text


def _mapping(node: Any, keys: Any) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = _value(key_node, keys)
        if not isinstance(key, keys) or isinstance(key, bool):
            _refuse_node(key_node, f"the key {key!r} is not text")
        if key in found:
            _refuse_node(key_node, f"the key {key!r} is repeated here")
        found[key] = _value(value_node, keys)
    return found


def _refuse_node(node: Any, problem: str) -> None:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
