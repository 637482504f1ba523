"""Reading arrays, or lists of texts or images, with their labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kft.data.bad import BadExamples
from kft.data.columns import RowNames
from kft.data.examples import Examples
from kft.data.gaps import not_finite
from kft.data.raw_labels import RawLabels
from kft.data.read_settings import ReadSettings
from kft.data.sequences import Rows, as_rows
from kft.data.targets import TargetKind
from kft.data.trees import leaves, mapped, taken
from kft.data.values import kind_of
from kft.errors import InputError

__all__ = ["examples_of", "read_arrays"]

_SOURCE = "arrays"


def read_arrays(x: Any, y: Any, how: ReadSettings) -> Examples:
    """Read inputs and labels that are already in memory, paired by position.

    Args:
        x: Array `[n, ...]` (a memmap stays one), or a list or column of texts, image paths, encoded
            images (bytes), Pillow images or arrays of one shape; or a dict of these for several
            inputs.
        y: Labels as the task takes them: class indices or class names `[n]`, lists of names or rows of
            0 and 1 `[n, k]`, numbers; a dict of these where the task has parts.
        how: How to read them. The modality decides what strings and bytes in `x` mean. Classes default
            to the names in `y`, or "0", "1", ... for indices. Examples with missing values, NaN or a
            bad file are bad.

    Returns:
        `Examples` of kind `"arrays"`, `"texts"`, `"image_files"` or `"image_bytes"`, or a dict of
        them.

    Raises:
        InputError: Lengths differ, pandas columns have different orders, labels are out of range or
            have the wrong shape, inputs or targets have missing values or NaN.
    """
    _refuse_reordered(x, y)
    x = how.task.as_inputs(x)
    rows = mapped(lambda one: _as_inputs(one, how.task), _several(x, "x"))
    count = _checked_length(rows)
    names = RowNames("example", range(count))
    raw = _labels(y, how.task, names, rows)
    return examples_of(rows, raw, how, names=names, source=_SOURCE)


def examples_of(
    rows: Any,
    raw: Any,
    how: ReadSettings,
    *,
    names: Sequence[str],
    source: str,
    columns: Mapping[str, Any] | None = None,
    reasons: Mapping[int, str] | None = None,
) -> Examples:
    """Return rows and their labels as examples, leaving out bad ones.

    Args:
        rows: The inputs, as `as_rows` returns them, or a dict of them.
        raw: The labels, as `TargetKind.targets` takes them.
        how: How to read them.
        names: The name of each example in messages.
        source: The name of the data in messages.
        columns: The values of the columns that a split uses, by the name of the argument.
        reasons: Reasons already known why examples are bad, by index.

    Raises:
        InputError: There are bad examples and they are errors, or no example is left.
    """
    bad = how.bad_examples(source)
    by = how.by.values(names, source, columns)
    if reasons and len(reasons) == len(names):
        _refuse_all(bad, names, reasons)
    # Each input becomes a tuple of its kind, its values, and reasons for bad ones by index.
    read = mapped(lambda name, one: _inputs(one, name, how), _names("x", rows), rows)
    kind, inputs = mapped(lambda one: one[0], read), mapped(lambda one: one[1], read)
    reasons = dict(reasons or {})
    for name, (_, _, found) in leaves(read):
        for index, reason in found.items():
            reasons.setdefault(index, f"{name}: {reason}" if name else reason)
    targets = how.task.targets(raw, how.classes)
    for index, reason in {**by.reasons, **targets.reasons}.items():
        reasons.setdefault(index, reason)
    for index in sorted(reasons):
        named = not how.inputs.is_text and kind == how.inputs.stored and inputs[index] is not None
        bad.add(str(inputs[index]) if named else names[index], reasons[index])
    skipped = bad.settle()
    kept = None
    if reasons:
        kept = np.setdiff1d(np.arange(len(names)), list(reasons))
        if not len(kept):
            raise _none_usable(bad)
        inputs = taken(inputs, kept)
    of_kept = targets.of(kept)
    return Examples(
        kind,
        inputs,
        of_kept.rows,
        of_kept.classes,
        source,
        skipped,
        task=how.task,
        **by.of(kept),
    )


def _refuse_all(bad: BadExamples, names: Sequence[str], reasons: Mapping[int, str]) -> None:
    for index in sorted(reasons):
        bad.add(names[index], reasons[index])
    bad.settle()
    raise _none_usable(bad)


def _none_usable(bad: BadExamples) -> InputError:
    first = bad.found[0]
    return InputError(
        f"{bad.source} has no usable example: the first is bad, {first.name}: {first.reason}"
    )


def _several(values: Any, name: str) -> Any:
    """Return one list or array of values, or a dict of them."""
    if not isinstance(values, Mapping):
        return as_rows(values, name)
    if not values:
        raise InputError(f"{name} is an empty dict, but at least one array is expected")
    return {key: as_rows(one, f"{name}[{key!r}]") for key, one in values.items()}


def _names(name: str, rows: Any) -> Any:
    return {key: f"{name}[{key!r}]" for key in rows} if isinstance(rows, dict) else name


def _refuse_reordered(x: Any, y: Any) -> None:
    """Refuse pandas columns with the same index in another order, since pairing is by position."""
    if not (hasattr(x, "iloc") and hasattr(y, "iloc")) or x.index.equals(y.index):
        return
    if x.index.is_unique and len(x) == len(y) and x.index.symmetric_difference(y.index).empty:
        raise InputError(
            "x and y have the same index, but in another order, and are paired by position: pass "
            "y.loc[x.index], or x.to_numpy() and y.to_numpy() if their order is right"
        )


def _checked_length(rows: Any) -> int:
    counts = {name: len(one) for name, one in leaves(rows)}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {name!r}" for name, count in counts.items())
        raise InputError(f"x has {listed}: pass one of each for every example")
    count = next(iter(counts.values()))
    if not count:
        raise InputError("x has no examples: pass at least one for each class")
    return count


def _as_inputs(rows: Rows, task: TargetKind) -> Rows:
    """Return the rows of one input, each converted by the task."""
    if type(task).as_input is TargetKind.as_input:
        return rows
    return [task.as_input(row) for row in rows]


def _labels(y: Any, task: TargetKind, names: RowNames, inputs: Any) -> Any:
    """Return labels as `TargetKind.targets` takes them."""

    def raw(values: Any, what: str) -> RawLabels:
        rows = as_rows(values, what)
        if len(rows) != len(names):
            raise InputError(
                f"x has {len(names)} examples and {what} has {len(rows)} labels: pass one label for each "
                "example"
            )
        own = None if isinstance(inputs, dict) else inputs
        return RawLabels(rows, names, _SOURCE, what, in_memory=True, inputs=own)

    if not task.parts:
        return raw(y, "y")
    if not isinstance(y, Mapping) or set(y) != set(task.parts):
        found = f"a dict of {', '.join(map(repr, y))}" if isinstance(y, Mapping) else kind_of(y)
        raise InputError(
            f"y is {found}, but a dict of {', '.join(map(repr, task.parts))} is expected, each with "
            "the labels of all examples"
        )
    return {name: raw(y[name], f"y[{name!r}]") for name in task.parts}


def _inputs(rows: Rows, name: str, how: ReadSettings) -> tuple[str, np.ndarray, dict[int, str]]:
    """Return the kind of the examples, the examples, and reasons for bad ones by index."""
    kind, values, reasons = how.inputs.rows(rows, name, how.max_pixels)
    if kind == "arrays":
        if not isinstance(values, np.ndarray):
            raise InputError(
                f"{name} has images of several sizes: make them equal, for example by "
                "x = recipe.load(x), or pass files"
            )
        return kind, values, reasons | not_finite(values, "input")
    inputs = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):  # one by one: NumPy would make columns of several frames
        inputs[index] = value
    usable = [index for index in range(len(inputs)) if index not in reasons]
    for index, reason in how.inputs.check([inputs[n] for n in usable], how.max_pixels).items():
        reasons[usable[index]] = reason
    return kind, inputs, reasons
