"""Cleaning and checking of class names."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Any

from kft.arguments import lacks_axes, shown
from kft.data.encodings import is_unicode
from kft.errors import InputError

__all__ = ["checked_names", "clean"]


def clean(name: str) -> str:
    """Return a class name without surrounding whitespace, in composed Unicode (macOS decomposes)."""
    return unicodedata.normalize("NFC", name.strip())


def checked_names(classes: Any, source: str) -> tuple[str, ...]:
    """Return cleaned class names after checking that they are distinct strings.

    Args:
        classes: A list of names.
        source: The name of the list in messages.

    Raises:
        InputError: It is not a list, or a name is not a string, blank, repeated, or not Unicode.
    """
    is_list = isinstance(classes, Iterable) and not lacks_axes(classes)
    if isinstance(classes, str | bytes | Set | Mapping) or not is_list:
        raise InputError(f"{source}={shown(classes)}, but a list of class names is expected")
    names = []
    for name in classes:
        if not isinstance(name, str) or not name.strip():
            raise InputError(
                f"{source} holds {shown(name)}, but each class needs a name: pass strings"
            )
        if not is_unicode(name):
            raise InputError(
                f"{source} holds {shown(name)}, which is not Unicode: rename the class"
            )
        names.append(clean(name))
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise InputError(f"{source} names {shown(name)} {times} times: name each class once")
    return tuple(names)
