"""The examples of a source that can be used, once what is wrong with each other one is known."""

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
    """Return the examples without the bad ones, or raise about those.

    Args:
        kind: What the inputs are, as `Examples` calls it.
        inputs: All inputs, the bad ones included.
        targets: What the task made of all labels, and what is wrong with some.
        task: The task.
        bad: What collects the bad examples of the source.
        names: What to call each example.
        reasons: By index, what is wrong with inputs.
        by: The groups or times of all examples.
        nothing: What to say, behind the source, if no example is left.

    Raises:
        InputError: If bad examples are errors and there are some, or no example is left.
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
