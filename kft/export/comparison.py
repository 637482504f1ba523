"""The comparison of a version's answers with the prediction, up to rounding."""

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from kft.answers import Answers, NumpyOps, Ranking, Tensor
from kft.answers.description import STATUS
from kft.data.image_files import inspect_files
from kft.export.detections import boxes_apart

Answer = Mapping[str, np.ndarray]

_OPS = NumpyOps()
_STATUS = Tensor("string", 1)
_KINDS = {"float32": "f", "int32": "i", "int64": "i", "string": "O"}  # as NumPy calls them


def compare(
    expected: Answer, answered: Answer, answers: Answers, tolerance: Mapping[str, float]
) -> str | None:
    """Return how an answer differs from the expected one, None if it does not.

    Values that follow from numbers by a rule may differ only if rounding can change them: a label between
    classes whose scores are within the tolerance, or at the threshold.

    Args:
        expected: Name of an output to array.
        answered: Name of an output to array.
        answers: The outputs, and the rules between them.
        tolerance: Name of an output to the maximum difference of its numbers, by default 0.
    """
    promised = {*answers.outputs, *({STATUS} & set(expected))}
    if not set(expected) == set(answered) == promised:
        return (
            f"it answers {sorted(answered)}, the prediction {sorted(expected)}, and {sorted(promised)} "
            "is promised"
        )
    for name in sorted(expected, key=lambda name: (name != STATUS, name)):
        before, after = np.asarray(expected[name]), np.asarray(answered[name])
        tensor = answers.outputs.get(name, _STATUS)
        if before.shape != after.shape or before.ndim != tensor.rank:
            return f"{name} has the shape {list(after.shape)}, not {list(before.shape)}"
        if {before.dtype.kind, after.dtype.kind} != {_KINDS[tensor.dtype]}:
            return f"{name} is {before.dtype} and {after.dtype}, not {tensor.dtype}"
        if name in answers.following:
            continue
        if name in answers.rules.pictures:
            allowed, found = tolerance.get(name, 0.0), _pixels_apart(before, after)
            if not found <= allowed:
                return f"{name} differs from the prediction in {found:.2g} of its pixels {_allowed(allowed)}"
            continue
        if tensor.dtype != "float32":
            if not np.array_equal(before, after):
                return f"{name} is {_first_change(before, after)}"
        else:
            allowed, found = tolerance.get(name, 0.0), _distance(before, after)
            if not found <= allowed:
                return f"{name} differs from the prediction by {found:.2g} {_allowed(allowed)}"
    for ranking in answers.rules.rankings:
        reason = _compare_ranking(expected, answered, ranking, tolerance.get(ranking.scores, 0.0))
        if reason:
            return reason
    for rule in answers.rules.detections:
        allowed, found = tolerance.get(rule.boxes, 0.0), boxes_apart(expected, answered, rule)
        if not found <= allowed:
            return f"{rule.boxes} differ from the prediction by {found:.2g} {_allowed(allowed)}"
    for name, of in answers.rules.largest.items():
        # As with labels, each answer must follow from its own numbers.
        if not np.array_equal(answered[name], _blanked(_OPS.largest(answered[of]), answered)):
            return f"{name} is {_first_change(expected[name], answered[name])}"
    return None


def distances(expected: Answer, answered: Answer, answers: Answers) -> dict[str, float]:
    """Return by how much answers differ, measured as in `compare`.

    Args:
        expected: Name of an output to array.
        answered: The same outputs with equal shapes.
        answers: The outputs, and the rules between them.

    Returns:
        The largest difference of each output of floats, with scores compared by class; for pictures the
        largest fraction of pixels; for integers and strings that do not follow from numbers by a rule,
        infinity if they differ.
    """
    found = {rule.boxes: boxes_apart(expected, answered, rule) for rule in answers.rules.detections}
    boxes = {name for rule in answers.rules.detections for name in rule.names}
    for name, tensor in answers.outputs.items():
        if name in boxes:
            continue
        if tensor.dtype == "float32":
            found[name] = _distance(expected[name], answered[name])
        elif name in answers.rules.pictures:
            found[name] = _pixels_apart(expected[name], answered[name])
        elif name not in answers.following:
            same = np.array_equal(expected[name], answered[name])
            found[name] = 0.0 if same else np.inf
    for ranking in answers.rules.rankings:
        (_, before), (_, after) = (_by_class(one, ranking) for one in (expected, answered))
        found[ranking.scores] = max(found[ranking.scores], _distance(before, after))
    return found


def label_of(answer: Answer, ranking: Ranking) -> np.ndarray:
    """Return the label of each row that follows from its sorted classes and their scores."""
    classes, scores = answer[ranking.classes], answer[ranking.scores]
    if ranking.threshold is None:
        return classes[:, 0]
    return _OPS.join(classes, scores >= ranking.threshold)


def _compare_ranking(
    expected: Answer, answered: Answer, ranking: Ranking, allowed: float
) -> str | None:
    (classes, before), (found, after) = (_by_class(one, ranking) for one in (expected, answered))
    if not np.array_equal(classes, found):
        changed = _first_change(expected[ranking.classes], answered[ranking.classes])
        return f"{ranking.classes} is {changed}"
    worst = _distance(before, after)
    if not worst <= allowed:
        return f"a class's score differs from the prediction by {worst:.2g} {_allowed(allowed)}"
    if ranking.label is None:
        return None
    label = ranking.label
    for answer in (expected, answered):
        # Equal scores imply equal labels except for ties, so a label must follow from its own scores.
        if not np.array_equal(answer[label], label_of(answer, ranking)):
            return f"{label} is {_first_change(expected[label], answered[label])}"
    return None


def _blanked(values: np.ndarray, answer: Answer) -> np.ndarray:
    """Set the values of bad rows to 0."""
    status = answer.get(STATUS)
    if status is not None:
        values[status != b""] = 0
    return values


def _distance(before: np.ndarray, after: np.ndarray) -> float:
    """Return the largest difference; infinite unless NaNs are in the same places."""
    missing = np.isnan(before)
    if not np.array_equal(missing, np.isnan(after)):
        return np.inf
    with np.errstate(invalid="ignore"):  # for infinite values
        apart = np.abs(np.where(missing, 0, before) - np.where(missing, 0, after))
    found = float(np.max(apart, initial=0.0))
    return found if np.isfinite(found) else np.inf


def _pixels_apart(before: np.ndarray, after: np.ndarray) -> float:
    """Return the largest fraction of differing pixels of two pictures in a row."""
    return max(map(_apart, before, after), default=0.0)


def _apart(one: bytes, other: bytes) -> float:
    if one == other:
        return 0.0
    if any(inspect_files([one, other])):
        return np.inf
    pixels = [np.asarray(Image.open(io.BytesIO(file))) for file in (one, other)]
    if pixels[0].shape != pixels[1].shape:
        return np.inf
    return float(np.mean(pixels[0] != pixels[1]))


def _by_class(answer: Answer, ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of each row in alphabetical order, and their scores."""
    classes, scores = answer[ranking.classes], answer[ranking.scores]
    order = np.argsort(classes, axis=1, kind="stable")
    return np.take_along_axis(classes, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _first_change(before: np.ndarray, after: np.ndarray) -> str:
    for old, new in zip(before.flat, after.flat, strict=True):
        if old != new:
            return f"{new!r} where the prediction is {old!r}"
    return "arranged otherwise"


def _allowed(tolerance: float) -> str:
    return f"({tolerance:.2g} is allowed)"
