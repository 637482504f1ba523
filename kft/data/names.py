"""Class names as people write them."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Any

from kft.arguments import lacks_axes, shown
from kft.errors import InputError

__all__ = ["checked_names", "clean"]


def clean(name: str) -> str:
    """A class name without blanks around it, in Unicode's composed form (macOS decomposes)."""
    return unicodedata.normalize("NFC", name.strip())


def checked_names(classes: Any, source: str) -> tuple[str, ...]:
    """Return class names that a person passed, cleaned, if each is a name and none comes twice.

    Args:
        classes: A list of names.
        source: What to call them in a message.

    Raises:
        InputError: They are a single string, no strings, blank, or the same twice.
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
        names.append(clean(name))
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise InputError(f"{source} names {shown(name)} {times} times: name each class once")
    return tuple(names)
