"""Sections about where the time went, and how far each block has moved."""

from __future__ import annotations

from kft.plots.journal import movement as draw
from kft.report.markup import Html, Section, chart, name, table
from kft.report.source import Source


def movement(source: Source) -> Section | None:
    """How far the weights of each block are from those that the run began with."""
    moved = (source.journal or {}).get("moved")
    if not moved:
        return None
    furthest = max(moved, key=lambda block: moved[block])
    described = (
        f"The length of the way from the first weights as a part of their own length, the head "
        f"first. Furthest: {furthest}, {moved[furthest]:.1%}."
    )
    drawn = chart("movement-chart", draw(moved), title="Movement by block", description=described)
    rows = [(name(block), f"{part:.2%}") for block, part in moved.items()]
    body = table("Movement by block", ("block", "moved by"), rows)
    return Section("movement", "How far the weights moved", Html(drawn + body))


def spent(source: Source) -> Section | None:
    """The time that each stage took."""
    journal = source.journal or {}
    seconds, epochs = journal.get("seconds", {}), journal.get("epochs", {})
    if not seconds:
        return None
    rows = []
    for stage, taken in seconds.items():
        count = int(epochs.get(stage, 0))
        label = "before the first epoch" if stage == "before" else f"stage {stage}"
        each = f"{taken / count:.3g}" if count else ""
        rows.append((label, count or "", f"{taken:.3g}", each))
    rows.append(("all", int(sum(epochs.values())), f"{sum(seconds.values()):.3g}", ""))
    head = ("part", "epochs", "seconds", "seconds an epoch")
    return Section("time", "Time", table("Time by stage, validation included", head, rows))
