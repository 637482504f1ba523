"""Arrays with labels, or lists of texts or images with labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.data.array_targets import not_finite, read_targets
from kft.data.bad import BadExamples
from kft.data.examples import Examples
from kft.data.folder import check_images
from kft.data.image_files import MAX_PIXELS
from kft.data.pixels import image_rows
from kft.data.sequences import Rows, as_rows, numeric
from kft.data.values import text_value
from kft.errors import InputError

__all__ = ["read_arrays"]


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
    """Read inputs and labels that are already in memory, each by its position.

    Args:
        x: Array `[n, ...]` (a memmap stays one), or a list or column of texts, of paths of images, of
            encoded images (bytes), of Pillow's images or of arrays of one shape.
        y: Class indices or class names `[n]`, lists of names or rows of 0 and 1 `[n, k]`
            (multi-label), or numbers (regression).
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        modality: `"image"` or `"text"`: says what strings and bytes in `x` are.
        classes: The class names; without them, the names in `y`, or "0", "1", ... for indices.
        on_bad_example: `"error"`, or `"skip"` to leave out examples with a gap, NaN or a bad file.
        max_pixels: The largest image accepted, width times height.

    Returns:
        `Examples` of kind `"arrays"`, `"texts"`, `"image_files"` or `"image_bytes"`.

    Raises:
        InputError: Lengths differ, labels are out of range or have the wrong shape, inputs or
            targets have gaps or NaN.
    """
    source = "arrays"
    bad = BadExamples(source, on_bad_example)
    rows, raw = as_rows(x, "x"), as_rows(y, "y")
    if len(rows) != len(raw):
        raise InputError(
            f"x has {len(rows)} examples and y has {len(raw)} labels: pass one label for each example"
        )
    if not len(rows):
        raise InputError("x has no examples: pass at least one for each class")
    kind, inputs, reasons = _inputs(rows, modality, max_pixels)
    targets = read_targets(raw, task, classes)
    for index, reason in targets.reasons.items():
        reasons.setdefault(index, reason)
    for index in sorted(reasons):
        named = kind == "image_files" and inputs[index] is not None
        bad.add(str(inputs[index]) if named else f"example {index}", reasons[index])
    skipped = bad.settle()
    kept = None
    if reasons:
        kept = np.setdiff1d(np.arange(len(rows)), list(reasons))
        if not len(kept):
            raise InputError(f"x has no usable example; the first is bad: {reasons[min(reasons)]}")
        inputs = inputs[kept]
    numbers, known = targets.of(kept)
    return Examples(kind, inputs, numbers, known, source, skipped)


def _inputs(rows: Rows, modality: str, max_pixels: int) -> tuple[str, np.ndarray, dict[int, str]]:
    """The kind of the examples, the examples, and by index why some cannot be used."""
    if modality == "image":
        kind, values, reasons = image_rows(rows, "x", max_pixels)
    else:
        array = numeric(rows)
        if array is not None:
            return "arrays", array, not_finite(array, "input")
        kind, values, reasons = "texts", *_texts(rows)
    if kind == "arrays":
        if not isinstance(values, np.ndarray):
            raise InputError(
                "x has images of several sizes: make them equal, for example by "
                "x = recipe.load(x), or pass files"
            )
        return kind, values, reasons | not_finite(values, "input")
    inputs = np.empty(len(values), dtype=object)
    inputs[:] = values
    if kind != "texts":
        usable = [index for index in range(len(inputs)) if index not in reasons]
        for index, reason in check_images([inputs[n] for n in usable], max_pixels).items():
            reasons[usable[index]] = reason
    return kind, inputs, reasons


def _texts(rows: Rows) -> tuple[list[str], dict[int, str]]:
    if isinstance(rows, np.ndarray) and rows.dtype.kind not in "OUST":
        raise InputError(
            f"x has dtype {rows.dtype}, but numbers, texts or paths are expected: convert it first"
        )
    values = rows.tolist() if isinstance(rows, np.ndarray) else rows
    found = [text_value(value) for value in values]
    return [text for text, _ in found], {n: reason for n, (_, reason) in enumerate(found) if reason}
