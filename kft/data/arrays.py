"""Arrays with labels, or lists of texts or paths with labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.data.bad import BadExamples
from kft.data.examples import Examples
from kft.data.folder import check_images
from kft.data.image_files import MAX_PIXELS
from kft.data.labels import check_classes, class_targets, clean
from kft.errors import InputError

__all__ = ["read_arrays"]

_CHUNK = 1024


def read_arrays(
    x: Any,
    y: Any,
    *,
    task: str,
    modality: str,
    classes: Sequence[str] | None = None,
    on_bad_example: str = "error",
    max_pixels: int = MAX_PIXELS,
) -> Examples:
    """Read inputs and labels that are already in memory.

    Args:
        x: Array `[n, ...]` (a memmap stays one), or a list of texts, or of paths of images.
        y: Class indices or class names `[n]`, rows of 0 and 1 `[n, k]` (multi-label), or numbers
            (regression).
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        modality: `"image"` or `"text"`: says what strings in `x` are.
        classes: The class names; without them, the names in `y`, or "0", "1", ... for indices.
        on_bad_example: `"error"`, or `"skip"` to leave out bad files and examples with NaN.
        max_pixels: The largest image file accepted, width times height.

    Returns:
        `Examples` of kind `"arrays"`, `"texts"` or `"image_files"`.

    Raises:
        InputError: Lengths differ, labels are out of range or have the wrong shape, inputs or
            targets have NaN.
    """
    source = "arrays"
    bad = BadExamples(source, on_bad_example)
    inputs, kind = _inputs(x, modality)
    targets_raw = np.asarray(y)
    if targets_raw.ndim == 0 or len(targets_raw) != len(inputs):
        raise InputError(
            f"x has {len(inputs)} examples and y has shape {targets_raw.shape}: pass one label for "
            "each example"
        )
    if not len(inputs):
        raise InputError("x has no examples: pass at least one for each class")
    reasons = _not_finite(inputs, "input") if kind == "arrays" else {}
    if kind == "image_files":
        reasons = check_images(list(inputs), max_pixels)
    reasons |= _not_finite(targets_raw, "target")
    for index in sorted(reasons):
        bad.add(str(inputs[index]) if kind == "image_files" else f"example {index}", reasons[index])
    skipped = bad.settle()
    if reasons:
        kept = np.setdiff1d(np.arange(len(inputs)), list(reasons))
        inputs, targets_raw = inputs[kept], targets_raw[kept]
    targets, known = _targets(targets_raw, task, classes)
    return Examples(kind, inputs, targets, known, source, skipped)


def _inputs(x: Any, modality: str) -> tuple[np.ndarray, str]:
    if isinstance(x, dict):
        raise InputError(
            f"x is a dict of {', '.join(map(str, x))}, but one array is expected: pass a "
            "tf.data.Dataset or keras.utils.PyDataset for several inputs"
        )
    if (len(x) and isinstance(x[0], str | bytes)) or (len(x) and hasattr(x[0], "__fspath__")):
        inputs = np.empty(len(x), dtype=object)
        inputs[:] = [one.decode() if isinstance(one, bytes) else str(one) for one in x]
        return inputs, "image_files" if modality == "image" else "texts"
    inputs = x if isinstance(x, np.ndarray) else np.asarray(x)
    if inputs.dtype.kind not in "biuf":
        raise InputError(
            f"x has dtype {inputs.dtype}, but numbers, texts or paths are expected: convert it "
            "first"
        )
    return inputs, "arrays"


def _not_finite(array: np.ndarray, what: str) -> dict[int, str]:
    if array.dtype.kind != "f":
        return {}
    found: dict[int, str] = {}
    for start in range(0, len(array), _CHUNK):  # in pieces: a memmap may be larger than the memory
        rows = array[start : start + _CHUNK].reshape(len(array[start : start + _CHUNK]), -1)
        for row in np.flatnonzero(~np.isfinite(rows).all(axis=1)):
            found[start + int(row)] = f"{what} with NaN or infinity"
    return found


def _targets(
    y: np.ndarray, task: str, classes: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    if task == "regression":
        if y.dtype.kind not in "biuf" or y.ndim > 2:
            raise InputError(
                f"y has dtype {y.dtype} and shape {y.shape}, but regression needs numbers [n] or "
                "[n, d]"
            )
        return y.astype(np.float32), None
    if task == "multi_label":
        if y.ndim != 2 or y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
            raise InputError(
                f"y has dtype {y.dtype} and shape {y.shape}, but multi-label targets are 0 and 1 "
                "in [n, classes]: "
                'encode the labels so, or use task="single_label"'
            )
        known = check_classes(
            [str(n) for n in range(y.shape[1])] if classes is None else list(classes), "arrays"
        )
        if len(known) != y.shape[1]:
            raise InputError(
                f"y has {y.shape[1]} columns, but there are {len(known)} classes: pass one column "
                "a class"
            )
        return y.astype(np.float32), known
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(
            f"y has shape {y.shape}, but single labels have shape ({len(y)},): pass "
            "y.argmax(axis=1) for one-hot rows, "
            'or task="multi_label" where an example can have several labels'
        )
    if y.dtype.kind in "OUS":
        labels = [clean(one.decode() if isinstance(one, bytes) else str(one)) for one in y]
        return class_targets(labels, [f"example {n}" for n in range(len(y))], "arrays", classes)
    return _index_targets(y, classes)


def _index_targets(
    y: np.ndarray, classes: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    if y.dtype.kind == "f" and (y != np.round(y)).any():
        where = int(np.flatnonzero(y != np.round(y))[0])
        raise InputError(
            f"y[{where}] is {y[where]}, but class indices are whole numbers: use "
            'task="regression" for numbers'
        )
    indices = y.astype(np.int64)
    limit = int(indices.max()) + 1 if classes is None else len(classes)
    outside = np.flatnonzero((indices < 0) | (indices >= limit))
    if outside.size:
        where = int(outside[0])
        raise InputError(
            f"y[{where}] is {indices[where]}, but labels must lie in 0 to {limit - 1}, one for "
            f"each of the {limit} classes: renumber the labels, for example by np.unique(y, "
            "return_inverse=True)"
        )
    if classes is not None:
        return indices, tuple(classes)
    if len(np.unique(indices)) < 2:
        check_classes([str(indices[0])], "arrays")
    return indices, tuple(str(number) for number in range(limit))
