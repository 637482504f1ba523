"""The sections of the page in their order, one function each: from `Source` to HTML, or None.

A new section needs such a function, an entry in `SECTIONS`, and a field of `Source` for its data. An
evaluation provides any number of sections of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kft.report.data import data
from kft.report.journal import cache, cost, forgetting, movement
from kft.report.markup import Section, name, table, text
from kft.report.quality import quality, summary
from kft.report.source import Source
from kft.report.training import plan, training


def facts(source: Source) -> Section | None:
    """Return the section with versions, seed, and other facts about the run."""
    if not source.facts:
        return None
    rows = [(text(key), name(shown)) for key, shown in _flat(source.facts)]
    return Section(
        "facts", "Facts", table("Versions, seed and settings", ("fact", "value"), rows, words=2)
    )


def _flat(facts: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, shown in facts.items():
        if isinstance(shown, Mapping):
            rows += _flat(shown, f"{before}{key}: ")
        elif isinstance(shown, (list, tuple, set, frozenset)):
            rows.append((f"{before}{key}", ", ".join(map(str, shown)) or "none"))
        else:
            rows.append((f"{before}{key}", "none" if shown is None else str(shown)))
    return rows


def sections_of(source: Source) -> list[Section]:
    """Return all sections with content, in their order."""
    found: list[Section] = []
    for make in SECTIONS:
        made = make(source)
        found += made if isinstance(made, list) else [made] if made is not None else []
    return found


SECTIONS: tuple[Callable[[Source], Section | list[Section] | None], ...] = (
    summary,
    plan,
    training,
    quality,
    movement,
    forgetting,
    data,
    cost,
    cache,
    facts,
)
