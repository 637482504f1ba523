"""Whether a version answers what the prediction answered, as far as rounding lets it."""

from collections.abc import Mapping

import numpy as np

from kft.export.servable import labels_of

Answer = Mapping[str, np.ndarray]


def compare(
    expected: Answer,
    answered: Answer,
    tolerance: Mapping[str, float],
    threshold: float | None = None,
) -> str | None:
    """Return how an answer differs from the expected one, None where it does not.

    A label may differ only where rounding decides it: between classes whose scores are as close as
    the tolerance, or at the threshold.

    Args:
        expected: Name of an output to array.
        answered: Name of an output to array.
        tolerance: Name of an output to how far its numbers may be apart; 0 for those not named.
        threshold: Score from which on a multi-label model gives a label, None for other tasks.
    """
    if set(expected) != set(answered):
        return f"it answers {sorted(answered)}, not {sorted(expected)}"
    for name in sorted(expected, key=lambda name: (name != "status", name)):
        before, after = np.asarray(expected[name]), np.asarray(answered[name])
        if before.shape != after.shape:
            return f"{name} has the shape {list(after.shape)}, not {list(before.shape)}"
        allowed = tolerance.get(name, 0.0)
        if before.dtype != object:
            distance = _distance(before, after)
            if not distance <= allowed:
                return f"{name} differs from the prediction by {distance:.2g} " + _allowed(allowed)
        elif name not in ("classes", "label") and not np.array_equal(before, after):
            return f"{name} is {_first_change(before, after)}"
    if "classes" not in expected:
        return None
    return _compare_classes(expected, answered, tolerance.get("scores", 0.0), threshold)


def _compare_classes(
    expected: Answer, answered: Answer, allowed: float, threshold: float | None
) -> str | None:
    before, after = _by_class(expected), _by_class(answered)
    if before.keys() != after.keys():
        return f"classes is {_first_change(expected['classes'], answered['classes'])}"
    worst = max((_distance(before[key], after[key]) for key in before), default=0.0)
    if not worst <= allowed:
        return f"a class's score differs from the prediction by {worst:.2g} " + _allowed(allowed)
    for answer in (expected, answered) if "label" in expected else ():
        # Scores that agree decide labels that agree, up to ties: a label must follow from its own.
        derived = labels_of(answer["classes"], answer["scores"], threshold)
        if not np.array_equal(answer["label"], derived):
            return f"label is {_first_change(expected['label'], answered['label'])}"
    return None


def _distance(before: np.ndarray, after: np.ndarray) -> float:
    """Return the largest difference; what is not a number must be so in both."""
    missing = np.isnan(before)
    if not np.array_equal(missing, np.isnan(after)):
        return np.inf
    with np.errstate(invalid="ignore"):  # of infinite values
        apart = np.abs(np.where(missing, 0, before) - np.where(missing, 0, after))
    found = float(np.max(apart, initial=0.0))
    return found if np.isfinite(found) else np.inf


def _by_class(answer: Answer) -> dict[tuple[int, bytes], np.ndarray]:
    return {
        (row, label): score
        for row, (labels, scores) in enumerate(
            zip(answer["classes"], answer["scores"], strict=True)
        )
        for label, score in zip(labels, scores, strict=True)
    }


def _first_change(before: np.ndarray, after: np.ndarray) -> str:
    for old, new in zip(before.flat, after.flat, strict=True):
        if old != new:
            return f"{new!r} where the prediction is {old!r}"
    return "arranged otherwise"


def _allowed(tolerance: float) -> str:
    return f"({tolerance:.2g} is allowed)"
