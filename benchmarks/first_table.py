"""README's first table: one row per main reason to use kft, from the results of benchmarks."""

from collections.abc import Mapping, Sequence
from typing import Any

from figures import line

Results = Mapping[str, Sequence[Mapping[str, Any]]]
NAME = "first"
TAKES = ("accuracy_unseen", "speed_images", "kills")  # names of the results that it needs


def table(by_name: Results) -> str:
    """Return the table from results by name; `TAKES` has the names of those that it needs."""
    rows = [_accuracy(by_name), _speed(by_name), _kills(by_name)]
    lines = ["| | usually | kft |", line(["---"] * 3)]
    return "\n".join(lines + [line(row) for row in rows])


def _accuracy(by_name: Results) -> tuple[str, str, str]:
    """Return the row of the texts on which no rule was chosen, and to which all three ways were applied."""
    rows = [row for one in by_name["accuracy_unseen"] for row in _rows(one)]
    rows = [
        row for row in rows if row["examples per class"] == EACH and row.get(TRAINER, "—") != "—"
    ]
    by_way = {way: ", ".join(row[way] for row in rows) for way in ("linear model", TRAINER, OWN)}
    data = ", ".join(row["data"] for row in rows)
    return (
        f"accuracy without tuning, {EACH} texts per class, on data that no default was chosen on ({data}; MiniLM)",
        f"{by_way['linear model']} logistic regression on its features; "
        f"{by_way[TRAINER]} {TRAINER} for 3 epochs",
        f"**{by_way[OWN]}**",
    )


def _speed(by_name: Results) -> tuple[str, str, str]:
    head = "MobileNetV2, 128 px, 0:20:3e-3"
    plain = _find(by_name["speed_images"], **{"": "plain Keras", _MODEL: head})
    ours = _find(by_name["speed_images"], **{"": "kft", _MODEL: head})
    return (
        "seconds for 20 epochs of a head (flowers, MobileNetV2, 2 cores)",
        f"{plain['seconds']} plain Keras",
        f"**{ours['seconds']}**: {ours['times faster'].partition(' ')[0]} times faster",
    )


def _kills(by_name: Results) -> tuple[str, str, str]:
    rows = [row for one in by_name["kills"] for row in _rows(one)]
    kills, ended, equal = (
        sum(int(row[column]) for row in rows)
        for column in ("kills", "runs ended", "equal to the last bit")
    )
    backends = {row["backend"] for row in rows}
    return (
        f"{ended} runs, killed {kills} times in all, on {len(backends)} backends",
        "lose progress, or end with other weights",
        f"**{equal} of {ended}** end with the weights of an undisturbed run, to the last bit",
    )


EACH, OWN, TRAINER = "20", "`recipe.fit(data)`", "Hugging Face's `Trainer`"
_MODEL = "model, size, stages (blocks:epochs:rate)"


def _find(results: Sequence[Mapping[str, Any]], **cells: str) -> dict[str, str]:
    """Return the only row with these cells."""
    (row,) = [
        row
        for one in results
        for row in _rows(one)
        if all(row.get(column) == cell for column, cell in cells.items())
    ]
    return row


def _rows(one: Mapping[str, Any]) -> list[dict[str, str]]:
    return [dict(zip(one["columns"], row, strict=True)) for row in one["rows"]]
