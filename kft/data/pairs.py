"""Reading pairs of an input and a label from PyTorch datasets, lists and generators."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Set
from typing import Any

import numpy as np

from kft.data.arrays import examples_of
from kft.data.columns import MOST_BYTES, RowNames
from kft.data.examples import Examples
from kft.data.pixels import image_rows, is_pillow
from kft.data.raw_labels import RawLabels
from kft.data.read_settings import ReadSettings
from kft.data.sequences import as_rows
from kft.data.values import kind_of
from kft.errors import InputError

__all__ = ["are_pairs", "read_pairs"]


def are_pairs(source: Any) -> bool:
    """Return whether something may yield pairs: an iterable or a sequence, but not a set."""
    by_position = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    return not isinstance(source, Set) and (hasattr(source, "__iter__") or by_position)


def read_pairs(source: Any, how: ReadSettings) -> Examples:
    """Read pairs of an input and a label into memory, one at a time.

    Pillow images and uint8 arrays are stored as PNG files, so that they may differ in size and take
    less memory. Numbers are class indices, named by `source.classes` if there is such a list.

    Args:
        source: A PyTorch dataset, a list, or anything that yields pairs; a generator is consumed.
        how: How to read them.

    Raises:
        InputError: An item is not a pair or cannot be read, there is none, or they take too much memory.
    """
    name = type(source).__name__
    if hasattr(source, "dataset") and hasattr(source, "collate_fn"):
        raise InputError(f"{name} yields batches, but kft makes its own: pass its `.dataset`")
    inputs: list[Any] = []
    labels: list[Any] = []
    reasons: dict[int, str] = {}
    size = 0
    for index, (pair, reason) in enumerate(_items(source, name)):
        value, label = (None, None) if reason else _checked(pair, index, name)
        if how.modality == "image" and not reason:
            value, reason = _compact(value, how.max_pixels)
        if reason:
            reasons[index] = reason
        inputs.append(value)
        labels.append(label)
        size += _bytes(value)
        if size > MOST_BYTES:
            raise InputError(
                f"{name} has more than {MOST_BYTES:,} bytes in its first {index + 1} examples: pass a "
                "part of it, or a tf.data.Dataset"
            )
    if not inputs:
        raise InputError(f"{name} yields nothing, but pairs of an input and a label are expected")
    names = RowNames("example", range(len(inputs)))
    rows = as_rows(inputs, "the inputs")
    classes = _named_classes(source)
    raw = RawLabels(
        as_rows(labels, "the labels"),
        names,
        name,
        in_memory=classes is None,
        numbered=classes,
        inputs=rows,
    )
    return examples_of(rows, raw, how, names=names, source=name, reasons=reasons)


def _items(source: Any, name: str) -> Iterator[tuple[Any, str]]:
    """Yield each item with an empty string, or None with the reason why it cannot be read."""
    if hasattr(source, "__iter__"):
        items = iter(source)
        for index in itertools.count():
            try:
                item = next(items)
            except StopIteration:
                return
            except Exception as error:  # user code may raise anything
                raise InputError(
                    f"example {index} of {name} cannot be read ({_said(error)})"
                ) from error
            yield item, ""
    else:
        for index in range(len(source)):
            try:
                item, reason = source[index], ""
            except Exception as error:  # user code may raise anything, as for a bad file
                item, reason = None, f"cannot be read ({_said(error)})"
            yield item, reason


def _checked(pair: Any, index: int, name: str) -> tuple[Any, Any]:
    if isinstance(pair, tuple | list) and len(pair) == 2:
        return pair[0], pair[1]
    found = f"{len(pair)} values" if isinstance(pair, tuple | list) else kind_of(pair)
    way_out = "pandas.DataFrame(rows)" if isinstance(pair, dict) else "(inputs, labels)"
    raise InputError(
        f"example {index} of {name} is {found}, but a pair of an input and a label is "
        f"expected: pass {way_out}"
    )


def _compact(value: Any, max_pixels: int) -> tuple[Any, str]:
    """Return an image compressed as PNG, any other input unchanged, and why it cannot be used."""
    is_bytes = (
        getattr(value, "dtype", None) == np.uint8
        or str(getattr(value, "dtype", "")) == "torch.uint8"
    )
    if not (is_pillow(value) or (is_bytes and np.ndim(value) in (2, 3))):
        return value, ""
    from PIL import Image

    try:
        _, rows, reasons = image_rows([value], "the image", max_pixels)
        picture = Image.fromarray(np.asarray(rows[0]).squeeze())
    except (InputError, TypeError, ValueError) as error:
        return None, str(error)
    if reasons:
        return None, reasons[0]
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue(), ""


def _bytes(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes) else int(getattr(value, "nbytes", 0))


def _named_classes(source: Any) -> tuple[str, ...] | None:
    classes = getattr(source, "classes", None)
    if not isinstance(classes, list | tuple) or not classes:
        return None
    return tuple(classes) if all(isinstance(one, str) for one in classes) else None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip() or 'no message'}".splitlines()[0][:200]
