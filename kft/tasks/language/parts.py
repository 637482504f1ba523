"""Texts in parts that count or do not: plain texts, prompts with answers, and chats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kft.arguments import shown
from kft.data.values import kind_of, text_value

__all__ = ["EXPECTED", "Parts", "Spans", "joined", "parts_of", "separated"]

EXPECTED = (
    '{"text": "..."}, {"prompt": "...", "answer": "..."}, or '
    '{"messages": [{"role": "user", "content": "..."}, ...]}'
)
Parts = list[tuple[str, bool]]  # parts of a text, and whether the model learns to write them
Spans = list[tuple[int, int]]  # characters that count: the first, and the one after the last

_ANSWERS = ("answer", "completion")
_ASSISTANT = "assistant"


def parts_of(value: Any, template: str) -> tuple[Parts, str]:
    """Return the parts of an example, and why it cannot be used, an empty string if it can.

    Args:
        value: A text, a pair of a prompt and an answer, or a dict with the keys in `EXPECTED`.
        template: The format of a chat message, with `{role}` and `{content}`.
    """
    if isinstance(value, str | bytes):
        return _checked([(value, True)])
    if isinstance(value, tuple | list) and len(value) == 2:
        return _checked([(value[0], False), (value[1], True)])
    if not isinstance(value, Mapping):
        return [], f"{kind_of(value)}, but a text or a pair (prompt, answer) is expected"
    answer = next((name for name in _ANSWERS if name in value), None)
    if "messages" in value:
        return _of_messages(value["messages"], template)
    if "prompt" in value and answer is not None:
        return _checked([(value["prompt"], False), (value[answer], True)])
    if "text" in value:
        return _checked([(value["text"], True)])
    return [], f"expected {EXPECTED}"


def joined(parts: Parts) -> tuple[str, Spans]:
    """Join parts into a text; return it and the spans of characters that count."""
    text, spans = "", []
    for part, counts in parts:
        if counts and part:
            spans.append((len(text), len(text) + len(part)))
        text += part
    return text, spans


def separated(text: str, spans: Iterable[Sequence[int]]) -> Parts:
    """Split a text into parts, of which those in the spans count; the inverse of `joined`."""
    parts, done = [], 0
    for first, end in spans:
        parts += [(text[done:first], False), (text[first:end], True)]
        done = end
    parts.append((text[done:], False))
    return [part for part in parts if part[0]]


def _of_messages(messages: Any, template: str) -> tuple[Parts, str]:
    """Return the parts of a chat; the assistant's messages count, without the text before their content."""
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        return [], '"messages" has to be a list of {"role": "...", "content": "..."}'
    before, _, after = template.partition("{content}")
    parts: list[tuple[Any, bool]] = []
    for message in messages:
        known = message if isinstance(message, Mapping) else {}
        role, content = known.get("role"), known.get("content")
        if not isinstance(role, str) or not isinstance(content, str):
            return (
                [],
                f'{kind_of(message)} is not a message: expected {{"role": "...", "content": "..."}}',
            )
        if role != _ASSISTANT and role.strip().lower() == _ASSISTANT:
            return (
                [],
                f'the role {shown(role)} has to be "{_ASSISTANT}", or its message would not be learnt',
            )
        lead, end = (one.replace("{role}", role) for one in (before, after))
        parts += [(lead, False), (content + end, role == _ASSISTANT)]
    if not any(counts for _, counts in parts):
        roles = dict.fromkeys(one["role"] for one in messages[:50])
        return [], (
            f'no message has the role "{_ASSISTANT}", so there is nothing to learn; the roles are '
            f"{', '.join(map(shown, roles))}"
        )
    return _checked([part for part in parts if part[0]])


def _checked(parts: Sequence[tuple[Any, bool]]) -> tuple[Parts, str]:
    """Check that all parts are texts; only those that do not count may be empty."""
    found: Parts = []
    for part, counts in parts:
        text, reason = text_value(part)
        if reason and (counts or reason != "empty text"):
            return [], reason
        found.append((text, counts))
    return found, ""
