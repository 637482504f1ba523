"""Differences between two plans, for messages."""

from __future__ import annotations

import json
from typing import Any


def plan_difference(old: Any, new: Any, name: str = "") -> list[str]:
    """Return the differences between two plans, as `name: old there, new here`.

    Args:
        old: the stored plan, as read from JSON.
        new: the current plan.
        name: the path of these values in the plan.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in dict.fromkeys((*old, *new)):
            inner = f"{name}.{key}"[:100] if name else str(key)[:100]
            found += plan_difference(old.get(key), new.get(key), inner)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        found = []
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            found += plan_difference(a, b, f"{name}[{index}]")
        return found
    if old == new:
        return []
    if isinstance(old, list) and isinstance(new, list):
        return [f"{name}: {len(old)} entries there, {len(new)} here"]
    return [f"{name}: {_short(old)} there, {_short(new)} here"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    if len(text) <= 60:
        return text
    return json.dumps(value[:12] + "...") if isinstance(value, str) else text[:57] + "..."
