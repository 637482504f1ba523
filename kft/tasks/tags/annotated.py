"""Texts with entities as annotation tools export them in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["text_and_entities"]

_LISTS = ("entities", "spans", "label", "labels")
_TYPES = ("type", "label", "labels", "entity_group")
_EXPECTED = 'expected {"text": "...", "entities": [[start, end, "type"], ...]}'


def text_and_entities(value: Mapping[str, Any]) -> tuple[str, list[Any], str]:
    """Return the text of an object, its entities `[start, end, type]`, and why they cannot be used.

    Objects are those of kft, Prodigy (`spans`), doccano (`label` or `labels`), and Label Studio: its minimal
    JSON (`label`), and its full one with `data` and `annotations`, of which the first that is neither
    cancelled nor without a result counts.

    Args:
        value: The object.
    """
    if isinstance(value.get("data"), Mapping) and isinstance(value.get("annotations"), list):
        return _of_label_studio(value["data"], value["annotations"])
    answer = value.get("answer", "accept")
    if answer != "accept":
        return "", [], f'its "answer" is {answer!r:.40}, not "accept"'
    text = value.get("text")
    found = next((value[name] for name in _LISTS if isinstance(value.get(name), list)), None)
    if not isinstance(text, str) or found is None:
        return "", [], _EXPECTED
    return text, [_entity(one) for one in found], ""


def _of_label_studio(data: Mapping[str, Any], annotations: list[Any]) -> tuple[str, list[Any], str]:
    texts = [one for one in data.values() if isinstance(one, str)]
    text = data.get("text", texts[0] if len(texts) == 1 else None)
    if not isinstance(text, str):
        return "", [], 'its "data" has no "text"'
    done = [one for one in annotations if isinstance(one, Mapping) and not one.get("was_cancelled")]
    results = [one["result"] for one in done if isinstance(one.get("result"), list)]
    if not results:
        return "", [], "no annotation of it is complete"
    values = [one.get("value") for one in results[0] if isinstance(one, Mapping)]
    return text, [_entity(one) for one in values if isinstance(one, Mapping) and "start" in one], ""


def _entity(value: Any) -> Any:
    """Return an entity as `[start, end, type]`; unchanged if it is no such dict."""
    if not isinstance(value, Mapping):
        return value
    kind = next((value[name] for name in _TYPES if name in value), None)
    if isinstance(kind, list) and len(kind) == 1:
        kind = kind[0]
    return [value.get("start"), value.get("end"), kind]
