"""The form of labels that follows from the type of an Arrow column."""

from __future__ import annotations

from typing import Any

from kft.data.raw_labels import LabelForm

__all__ = ["form", "is_text", "plain"]


def form(kind: Any, depth: int = 0) -> LabelForm:
    """Return the form of labels of a type, with the depth of lists around them."""
    from pyarrow import types

    if _is_list(kind):
        return form(plain(kind.value_type), depth + 1)
    if is_text(kind):
        return LabelForm("text", depth, in_table=True)
    if types.is_integer(kind):
        return LabelForm("integer", depth, in_table=True)
    return LabelForm("number" if _is_number(kind) else "other", depth, in_table=True)


def plain(kind: Any) -> Any:
    """Return the type of the values inside extension and dictionary types."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return plain(kind.storage_type)
    return plain(kind.value_type) if pa.types.is_dictionary(kind) else kind


def is_text(kind: Any) -> bool:
    """Return whether the values of a type are strings or bytes, or all null."""
    from pyarrow import types

    tests = (
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_binary,
        types.is_large_binary,
        types.is_binary_view,
        types.is_fixed_size_binary,
        types.is_null,
    )
    return any(test(kind) for test in tests)


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    return any(test(kind) for test in tests)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    tests = (
        types.is_list,
        types.is_large_list,
        types.is_fixed_size_list,
        types.is_list_view,
        types.is_large_list_view,
    )
    return any(test(kind) for test in tests)
