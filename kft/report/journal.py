"""Sections about the cost of a run, the movement of blocks, and forgetting of another task."""

from __future__ import annotations

from kft.plots.journal import movement as draw
from kft.report.markup import Html, Section, chart, name, size, table, value
from kft.report.source import Source


def movement(source: Source) -> Section | None:
    """Return the section about how far each block's weights moved from their initial values."""
    moved = (source.journal or {}).get("moved")
    if not moved:
        return None
    furthest = max(moved, key=lambda block: moved[block])
    described = (
        f"The distance from the initial weights as a fraction of their norm, the head first. "
        f"Furthest: {furthest}, {moved[furthest]:.1%}."
    )
    drawn = chart("movement-chart", draw(moved), title="Movement by block", description=described)
    rows = [(name(block), f"{100 * part:.3g}%") for block, part in moved.items()]
    body = table("Movement by block", ("block", "moved by"), rows)
    beside = Html(f'<div class="beside">{drawn}{body}</div>')
    return Section("movement", "How far the weights moved", beside)


def cost(source: Source) -> Section | None:
    """Return the section about the time of each stage, and the peak memory of the process by its end."""
    journal = source.journal or {}
    seconds, epochs = journal.get("seconds", {}), journal.get("epochs", {})
    if not seconds:
        return None
    memory = journal.get("memory", {})
    kinds = [kind for kind in ("host", "device") if any(m.get(kind) for m in memory.values())]
    rows = []
    for stage, taken in seconds.items():
        count = int(epochs.get(stage, 0))
        label = "before the first epoch" if stage == "before" else f"stage {stage}"
        each = f"{taken / count:.3g}" if count else ""
        peaks = [size(memory.get(stage, {}).get(kind)) for kind in kinds]
        rows.append((label, count or "", f"{taken:.3g}", each, *peaks))
    blank = [""] * len(kinds)
    rows.append(("all", int(sum(epochs.values())), f"{sum(seconds.values()):.3g}", "", *blank))
    titles = {"host": "memory so far", "device": "device memory so far"}
    head = ("part", "epochs", "seconds", "seconds per epoch", *(titles[kind] for kind in kinds))
    body = table("By stage, validation included", head, rows)
    if kinds:
        note = "Memory is the peak of the process up to the end of the stage."
        body = Html(f"{body}<p>{note}</p>")
    return Section("time", "Time and memory", body)


def cache(source: Source) -> Section | None:
    """Return the section about the work saved by caching frozen features."""
    saved = (source.journal or {}).get("cache")
    if (
        not saved or saved["needed"] <= saved["computed"]
    ):  # a solved head needs each feature only once
        return None
    needed, computed = saved["needed"], saved["computed"]
    times = f", {needed / computed:.3g} times as many" if computed else ""
    found = "" if computed else " All were found on disk, from an earlier run."
    spared = f" Spared: about {saved['saved'] / 1e12:.3g} T multiplications and additions."
    note = (
        f"Frozen layers ran over {computed:,} examples; without the cache their outputs would have "
        f"been needed for {needed:,}{times}.{found}{spared if saved['saved'] > 0 else ''}"
    )
    rows = [(f"stage {stage}", f"{count:,}") for stage, count in saved["stages"].items()]
    head = ("stage on kept features", "examples that its epochs needed")
    body = table("Examples through frozen layers", head, [*rows, ("all", f"{needed:,}")])
    return Section("cache", "What the cache saved", Html(f"<p>{note}</p>{body}"))


def forgetting(source: Source) -> Section | None:
    """Return the section about how the fit changed the features for another task."""
    found = (source.journal or {}).get("forgetting")
    if not found:
        return None
    rows = []
    for label, key in (("linear probe", "probe"), ("nearest neighbours", "neighbours")):
        before, after = found[key]
        change = Html(f'<data value="{after - before!r}">{after - before:+.4f}</data>')
        rows.append((label, value(before), value(after), change))
    note = (
        f"{name(found['source'])}: {found['examples']:,} examples of {found['classes']} classes, "
        f"{found['chance']:.1%} in the largest. The new head knows nothing of them, so their classes "
        "are predicted from the head's input features: by a cross-validated linear classifier, "
        "and by the vote of the five nearest other examples. Before is the "
        "pretrained backbone, after the fine-tuned one. Similarity of the features: "
        f"{value(found['similarity'])}; 1 means the same up to rotation and scale."
    )
    head = ("accuracy by", "before", "after", "change")
    body = table("Accuracy on the source task", head, rows)
    return Section("forgetting", "Forgetting", Html(f"<p>{note}</p>{body}"))
