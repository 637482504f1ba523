"""The section about the data: class balance, copies, and similar examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kft.plots.journal import balance
from kft.report.markup import Html, Section, chart, keys, name, table, text
from kft.report.source import Source

MOST_DRAWN = 30  # classes in the chart


def data(source: Source) -> Section | None:
    """Return the section about the contents of each part of the data, and overlap between them."""
    found = (source.journal or {}).get("data")
    if not found:
        return None
    body = f"{_leaks(found)}{_balance(found['parts'])}{_repeated(found)}{_alike(found['alike'])}"
    return Section("data", "Data", Html(body))


def _leaks(found: Mapping[str, Any]) -> str:
    alike = (found["alike"] or {}).get("across", 0)
    shared, sentences = [], []
    if found["across"]:
        shared.append(
            f"{_count(found['across'], 'example')} of a later part "
            f"{'is' if found['across'] == 1 else 'are'} in an earlier part too"
        )
    if alike:
        shared.append(f"{_count(alike, 'pair')} across the parts look alike")
    if shared:
        sentences.append(f"{'; '.join(shared)}. Validation data should be new to the model.")
    if found["conflicts"]:
        occur = "occurs" if found["conflicts"] == 1 else "occur"
        sentences.append(f"{_count(found['conflicts'], 'example')} {occur} with different labels.")
    return f'<p class="notice">{" ".join(sentences)}</p>' if sentences else ""


def _balance(parts: Mapping[str, Any]) -> str:
    if any(part["counts"] is None for part in parts.values()):
        rows = [
            (name(part), f"{one['examples']:,}", *(f"{v:.4g}" for v in one["values"].values()))
            for part, one in parts.items()
            if one["values"]
        ]
        return table("Targets", ("part", "examples", "least", "mean", "most"), rows)
    counts = {part: one["counts"] for part, one in parts.items()}
    classes = list(next(iter(counts.values())))
    totals = {part: max(sum(each.values()), 1) for part, each in counts.items()}
    rows = [
        (name(label), *(_share(counts[part].get(label, 0), totals[part]) for part in parts))
        for label in classes
    ]
    rows.append(("all", *(f"{one['examples']:,}" for one in parts.values())))
    body = table("Examples by class", ("class", *parts), rows)
    if len(classes) > MOST_DRAWN:
        return body
    first = next(iter(counts.values()))
    most, least = max(first, key=lambda c: first[c]), min(first, key=lambda c: first[c])
    part = next(iter(parts))
    described = f"Share of each class in {' and '.join(parts)}. Of {part}, "
    if first[most] == first[least]:
        described += f"each class has {_share(first[most], totals[part])}."
    else:
        described += (
            f"the most are {most}, {_share(first[most], totals[part])}, the fewest {least}, "
            f"{_share(first[least], totals[part])}."
        )
    legend = keys([(part, f"{one['examples']:,}") for part, one in parts.items()])
    drawn = chart("balance", balance(counts), title="Balance", description=described, more=legend)
    return f'<div class="beside">{drawn}{body}</div>'


def _repeated(found: Mapping[str, Any]) -> str:
    alike = found["alike"]
    rows: list[tuple[str, ...]] = []
    for part, one in found["parts"].items():
        near = (
            (f"{alike['within'][part]:,}", f"{alike['looked_at'][part]:,}") if alike else ("", "")
        )
        rows.append((name(part), f"{one['copies']:,}", *near))
    across = f"{alike['across']:,}" if alike else ""
    rows.append(("across parts", f"{found['across']:,}", across, ""))
    head = ("part", "exact copies", "pairs that look alike", "contents compared")
    return table("Repeated examples", head, rows)


def _alike(alike: Mapping[str, Any] | None) -> str:
    if alike is None:
        note = "Similar examples were not searched for: these inputs are neither images nor texts."
        return f"<p>{note}</p>"
    if not alike["pairs"]:
        return ""
    rows = [
        tuple(name(f"{one['part']}: {one['name']} ({one['label']})") for one in pair)
        for pair in alike["pairs"]
    ]
    listed = "" if len(rows) == alike["across"] else f", the first {len(rows)} of {alike['across']}"
    caption = f"Pairs across the parts that look alike{listed}"
    return table(text(caption), ("one", "the other"), rows, words=2)


def _share(count: int, whole: int) -> str:
    return f"{count:,} ({count / whole:.1%})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
