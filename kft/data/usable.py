"""The usable examples of a source, once all bad ones are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.data.bad import BadExamples
from kft.data.examples import Examples
from kft.data.raw_labels import ReadTargets
from kft.data.split_values import SplitValues
from kft.data.targets import TargetKind
from kft.errors import InputError

__all__ = ["usable_examples"]


def usable_examples(
    kind: str,
    inputs: Sequence,
    targets: ReadTargets,
    *,
    task: TargetKind,
    bad: BadExamples,
    names: Sequence[str],
    reasons: dict[int, str],
    by: SplitValues,
    nothing: str,
) -> Examples:
    """Return the examples without the bad ones, or raise an error that lists these.

    Args:
        kind: The kind of the inputs, as in `Examples`.
        inputs: All inputs, including bad ones.
        targets: The targets of all labels, with reasons for bad ones.
        task: The task.
        bad: Collects the bad examples of the source.
        names: The name of each example in messages.
        reasons: Why inputs cannot be used, by index.
        by: The groups or times of all examples.
        nothing: The message after the name of the source, if no example is left.

    Raises:
        InputError: There are bad examples and they are errors, or no example is left.
    """
    reasons = {**by.reasons, **targets.reasons, **reasons}
    for index in sorted(reasons):
        bad.add(names[index], reasons[index])
    skipped = bad.settle()
    kept = np.setdiff1d(np.arange(len(inputs)), list(reasons))
    if not len(kept):
        raise InputError(f"{bad.source} {nothing}")
    of_kept = targets.of(kept)
    values = np.empty(len(kept), dtype=object)
    values[:] = [inputs[index] for index in kept]
    return Examples(
        kind,
        values,
        of_kept.rows,
        of_kept.classes,
        bad.source,
        skipped,
        task=task,
        **by.of(kept),
    )
