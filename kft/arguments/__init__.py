"""Checks of arguments, whose errors name the argument, its value and the way out."""

from __future__ import annotations

import dataclasses
import difflib
import numbers
import os
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from kft.errors import InputError

LARGEST_WHOLE = 2**31 - 1  # of sizes, counts and steps: int32, which every backend supports
LARGEST_SEED = 2**31 - 1  # the limit of Keras' seed generators on PyTorch, lower than on others
_LARGEST_FLOAT = 3.4028234e38  # of float32, beyond which numbers become infinite in a model
_LONGEST = 80  # characters of a value in a message
_CHECKED = (types.NoneType, os.PathLike, str, bool, dict)


def shown(value: Any) -> str:
    """Return the shortened `repr` of a value for messages."""
    try:
        written = repr(value)
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        written = f"<{type(value).__name__} with very many digits>"
    return shortened(written)


def shortened(text: str) -> str:
    """Return a text, truncated if it is too long for a message."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to another one, in any case; None if none is."""
    names = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), names, n=1)
    return names[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a suggestion of a similar name for a message; empty if there is none."""
    found = closest(name, known)
    return "" if found is None else f" (did you mean {found}?)"


def in_words(names: Iterable[str], word: str = "or") -> str:
    """Return names as part of a sentence, such as "a, b or c".

    Args:
        names: The names, at least one.
        word: The word before the last one.
    """
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def is_whole(value: Any, least: int = -LARGEST_WHOLE, most: int = LARGEST_WHOLE) -> bool:
    """Return whether a value is a whole number from `least` to `most`; True and False are not."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and least <= value <= most


def is_number(value: Any) -> bool:
    """Return whether a value is a number that is finite in float32; True and False are not."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT


def plain(value: Any) -> Any:
    """Convert NumPy values in a setting to plain Python values.

    Keras, JSON and YAML refuse many NumPy numbers, sometimes only after hours of training.
    """
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    return value


def make_plain(instance: Any) -> None:
    """Convert NumPy values in the fields of a dataclass, frozen or not, to plain Python values."""
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name, None)
        if field.init and value is not None:
            object.__setattr__(instance, field.name, plain(value))


def check_whole(
    name: str, value: Any, what: str, *, least: int = 1, most: int = LARGEST_WHOLE
) -> None:
    """Check that an argument is a whole number from `least` to `most`.

    Args:
        name: The argument's name.
        value: Its value.
        what: The unit, for the message.
        least: The smallest valid number.
        most: The largest valid number.

    Raises:
        InputError: The value is anything else.
    """
    if not is_whole(value, least, most):
        bounds = f"at most {most:,}" if is_whole(value, most, 10**18) else f"at least {least}"
        raise InputError(f"`{name}={shown(value)}`: pass a whole number of {what}, {bounds}.")


def check_seed(seed: Any) -> None:
    """Check that every random number generator accepts a seed.

    Raises:
        InputError: The seed is not a whole number from 0 to 2**31 - 1.
    """
    if not is_whole(seed, 0, LARGEST_SEED):
        raise InputError(
            f"`seed={shown(seed)}`: pass a whole number from 0 to {LARGEST_SEED}, which every "
            "random number generator takes."
        )


def check_training(*, batch_size: Any, seed: Any) -> None:
    """Check the numbers that `fit`, `tune` and a range test share, before data are read.

    Raises:
        InputError: One of them has the wrong type or is out of range.
    """
    check_whole("batch_size", batch_size, "examples")
    check_seed(seed)


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Check that an argument equals one of some values and has its type: 1 is not True.

    Args:
        name: The argument's name.
        value: Its value.
        choices: The valid values.

    Raises:
        InputError: The value is anything else.
    """
    if not any(isinstance(value, type(one)) and value == one for one in choices):
        *most, last = map(repr, choices)
        raise InputError(f"`{name}={shown(value)}`: pass {', '.join(most)} or {last}.")


def check_flag(name: str, value: Any) -> None:
    """Check that an argument is True or False: any text except "" would otherwise count as True.

    Raises:
        InputError: The value is anything else.
    """
    check_choice(name, value, (True, False))


def check_verbose(value: Any) -> None:
    """Check that Keras accepts a value of `verbose`.

    Raises:
        InputError: The value is not `"auto"`, 0, 1, 2 or a bool.
    """
    if not isinstance(value, bool):
        check_choice("verbose", value, ("auto", 0, 1, 2))


def dict_of(name: str, value: Any) -> dict[Any, Any]:
    """Return an optional mapping as a new dict, empty for None.

    Raises:
        InputError: It is neither a mapping nor None.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"`{name}={shown(value)}`: pass a dict, or None.")
    return dict(value)


def path_of(name: str, value: Any, what: str = "a directory, such as 'runs/one'") -> Path:
    """Return an argument as a path, with the home directory in place of `~`.

    Args:
        name: The argument's name.
        value: Its value.
        what: What it is the path of, for the message.

    Raises:
        InputError: It is not a path of text, is empty, or has a character that no file name has.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text or not _is_encodable(text):
        raise InputError(f"`{name}={shown(value)}`: pass the path of {what}.")
    return Path(os.path.expanduser(text))


def _is_encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return False
    return True


def check_types(instance: Any) -> None:
    """Check the fields of a dataclass against their annotations.

    A whole number is valid for a float, and any list of the right elements for a tuple or a sequence;
    numbers must be finite. Only annotations of plain values are checked.

    Raises:
        InputError: A value does not match its annotation.
    """
    try:
        hints = typing.get_type_hints(type(instance))
    except NameError:  # an annotation names a type that only type checkers import
        return
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name, None)
        if field.init and not _suits(value, hints.get(field.name, Any)):
            raise InputError(
                f"`{field.name}={shown(value)}`: pass {_words(hints[field.name])}{_default(field)}."
            )


def _suits(value: Any, wanted: Any) -> bool:
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return any(_suits(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if _is_sequence(wanted):
        return _suits_sequence(value, inner)
    if wanted is float:
        return is_number(value)
    if wanted is int:
        return is_whole(value, -(2**63), 2**63)
    kind = origin or wanted
    return kind not in _CHECKED or isinstance(value, kind)


def lacks_axes(value: Any) -> bool:
    """Return whether a value is an array or tensor without axes, which cannot be iterated over."""
    return getattr(value, "shape", None) == ()


def _suits_sequence(value: Any, inner: tuple[Any, ...]) -> bool:
    if not isinstance(value, Collection) or isinstance(value, (str, bytes, Mapping, Set)):
        return False
    if lacks_axes(value):
        return False
    if not inner:
        return True
    if len(inner) == 1 or inner[-1] is Ellipsis:
        return all(_suits(one, inner[0]) for one in value)
    pairs = zip(value, inner, strict=False)
    return len(value) == len(inner) and all(_suits(one, wanted) for one, wanted in pairs)


def _is_sequence(wanted: Any) -> bool:
    kind = get_origin(wanted) or wanted
    return isinstance(kind, type) and issubclass(kind, Sequence) and kind not in (str, bytes)


def _words(wanted: Any) -> str:
    """Describe an annotation in words, for messages."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_words, inner)))
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if _is_sequence(wanted):
        return f"a list of {_words(inner[0]).removeprefix('a ')}s" if inner else "a list"
    simple = {float: "a finite number", int: "a whole number", str: "text", bool: "True or False"}
    if wanted in simple:
        return simple[wanted]
    if (origin or wanted) is dict:
        return "a dict"
    return "None" if wanted is types.NoneType else "a path"


def _default(field: dataclasses.Field) -> str:
    return "" if field.default is dataclasses.MISSING else f" (default: {field.default!r})"
