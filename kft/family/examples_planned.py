"""How many examples a fit has, and of which classes, as sentences for its plan."""

from __future__ import annotations

import numpy as np

from kft.data.examples import Examples
from kft.family.planned import PlannedFit
from kft.printing import how_many

_MOST_CLASSES = 12  # that are all listed


def examples_planned(planned: PlannedFit) -> list[str]:
    """Return the sentences of a plan about the examples, none if the data are streams."""
    train, validation = planned.train, planned.validation
    if not isinstance(train, Examples):
        return []
    others = f", {len(validation):,} to validate on" if isinstance(validation, Examples) else ""
    return [f"{how_many(len(train), 'example')} to train on{others}.", *_classes(train)]


def _classes(train: Examples) -> list[str]:
    """Return the sentence about the classes, unless counting them means to go through each example."""
    targets = train.targets
    if not isinstance(targets, np.ndarray) or targets.dtype == object:
        return []
    counts = train.counts()
    if not counts:
        return []
    if len(counts) <= _MOST_CLASSES:
        listed = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
        return [f"Classes to train on: {listed}."]
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    return [
        f"{len(counts):,} classes to train on, the rarest {least} ({counts[least]:,}), the most frequent "
        f"{most} ({counts[most]:,})."
    ]
