"""Multi-label targets in columns of a table, one column of 0 and 1 per class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.data.columns import in_column
from kft.data.kinds.classes import check_classes, refuse_unseen
from kft.data.names import clean
from kft.data.raw_labels import RawLabels, ReadTargets, Targets
from kft.data.values import is_missing, kind_of

__all__ = ["columns_of_bits"]

_BITS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}


def columns_of_bits(raw: RawLabels, classes: Sequence[str] | None) -> ReadTargets:
    """Return columns of 0 and 1 as targets.

    Args:
        raw: Labels of several columns.
        classes: The classes of the training, some of which may have no column. Defaults to the
            columns.

    Raises:
        InputError: A column is not one of the classes.
    """
    names = [clean(name) for name in raw.columns]
    known = check_classes(names, raw.source) if classes is None else tuple(classes)
    for name in names:
        if name not in known:
            refuse_unseen(name, f"column {name!r}", raw.source, known)
    places = [known.index(name) for name in names]
    rows = np.zeros((len(raw.values), len(known)), np.float32)
    reasons: dict[int, str] = {}
    for index, values in enumerate(raw.values):
        for name, place, value in zip(raw.columns, places, values, strict=True):
            bit = None if is_missing(value) else _BITS.get(str(value).strip().lower())
            if bit is None:
                problem = f"{kind_of(value)} where 0 or 1 is expected"
                reasons.setdefault(index, in_column(problem, name, raw.encoding))
            else:
                rows[index, place] = bit
    return ReadTargets(reasons, lambda kept: Targets(rows if kept is None else rows[kept], known))
