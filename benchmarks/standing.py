"""How each way stands over all cells of the accuracy tables, from their results."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from accuracy import COLUMNS
from figures import line

Results = Mapping[str, Sequence[Mapping[str, Any]]]
NAME = "standing"
TAKES = ("accuracy_unseen", "accuracy_texts", "accuracy_images")
OWN, LINEAR, TRAINER = COLUMNS["kft"], COLUMNS["linear"], COLUMNS["trainer"]
IN_ONE_RUN = 20  # examples per class at which both were timed side by side
VARIANT = "kft_plain"  # of kft, not a way of its own
HEADER = (
    "way",
    "cells",
    "mean rank",
    "best, or within a standard error of it",
    "mean calibration error",
)


def table(by_name: Results) -> str:
    """Return the table, and a sentence that compares kft with the linear model."""
    cells = [cell for name in TAKES for one in by_name[name] for cell in _cells(one)]
    ranks, near, errors = (defaultdict(list) for _ in range(3))
    for cell in cells:
        means = {way: _mean(draws, "accuracy") for way, draws in cell.items()}
        best = max(means, key=means.__getitem__)
        lowest = means[best] - _standard_error(cell[best])
        for way, mean in means.items():
            above = sum(other > mean for other in means.values())
            equal = sum(other == mean for other in means.values())
            ranks[way].append(1 + above + (equal - 1) / 2)
            near[way].append(mean >= lowest)
            errors[way].append(_mean(cell[way], "calibration_error"))
    lines = [line(HEADER), line(["---"] * len(HEADER))]
    for way in sorted(ranks, key=lambda way: statistics.mean(ranks[way])):
        lines.append(
            line(
                [
                    f"**{way}**" if way == OWN else way,
                    str(len(ranks[way])),
                    f"{statistics.mean(ranks[way]):.1f}",
                    f"{sum(near[way])} of {len(near[way])}",
                    f"{statistics.mean(errors[way]):.2f}",
                ]
            )
        )
    return "\n".join([*lines, "", _against_linear(cells), "", _against_trainer(cells)])


def _against_linear(cells: Sequence[Mapping[str, list[Any]]]) -> str:
    """Return the range of kft's lead over the linear model, paired by draw."""
    leads = []
    for cell in cells:
        pairs = zip(cell[OWN], cell[LINEAR], strict=True)
        leads.append(100 * statistics.mean(a["accuracy"] - b["accuracy"] for a, b in pairs))
    lower = sum(lead < 0 for lead in leads)
    return (
        f"`recipe.fit(data)` minus the linear model, by cell: {min(leads):+.1f} to {max(leads):+.1f} points, "
        f"median {statistics.median(leads):+.1f}; lower in {lower} of {len(leads)}."
    )


def _against_trainer(cells: Sequence[Mapping[str, list[Any]]]) -> str:
    """Return how long the Trainer takes where it was measured in the same run as kft."""
    shares = [
        statistics.median(
            a["seconds"] / b["seconds"] for a, b in zip(cell[TRAINER], cell[OWN], strict=True)
        )
        for cell in cells
        if TRAINER in cell and cell[OWN][0]["each"] == IN_ONE_RUN
    ]
    return (
        f"With {IN_ONE_RUN} examples per class, {TRAINER} takes {min(shares):.2f} to {max(shares):.2f} of the time "
        f"of `recipe.fit(data)`, by cell, on {len(shares)} sets."
    )


def _cells(one: Mapping[str, Any]) -> list[dict[str, list[Any]]]:
    """Return the draws of each way, in order, for each size of one result."""
    sizes: dict[int, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for draw in sorted(one["details"].values(), key=lambda draw: draw["seed"]):
        if draw["way"] != VARIANT:
            sizes[draw["each"]][COLUMNS[draw["way"]]].append(draw)
    return list(sizes.values())


def _mean(draws: Sequence[Mapping[str, Any]], figure: str) -> float:
    return statistics.mean(draw[figure] for draw in draws)


def _standard_error(draws: Sequence[Mapping[str, Any]]) -> float:
    """Return that of the mean over draws; of a single draw, that by the number of test examples."""
    found = [draw["accuracy"] for draw in draws]
    if len(found) == 1:
        return math.sqrt(found[0] * (1 - found[0]) / draws[0]["test"])
    return statistics.stdev(found) / math.sqrt(len(found))
