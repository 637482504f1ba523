"""The import path: installed modules, and the working directory only on request.

Python puts the working directory first on `sys.path` for `python -m` and `python -c`. In an untrusted
directory, a `keras.py` would then be imported in place of Keras.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from kft.errors import InputError

ROOT = Path(__file__).parent.parent  # where kft and the package `recipes` are installed


def installed_path(path: Sequence[str]) -> list[str]:
    """Return `sys.path` without the working directory.

    It is kept if PYTHONPATH contains its absolute path, if an installed package has added it (after the
    standard library), or if kft itself is in it.

    Args:
        path: The entries of `sys.path`.
    """
    here = _here()
    if here == os.path.realpath(ROOT):
        return list(path)
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    allowed = {entry for entry in named if os.path.isabs(entry)}
    library = os.path.dirname(os.__file__)
    first = path.index(library) if library in path else len(path)
    return [
        entry
        for place, entry in enumerate(path)
        if entry and (place > first or entry in allowed or os.path.realpath(entry) != here)
    ]


def leave_out_working_directory() -> None:
    """Remove the working directory from `sys.path`."""
    sys.path[:] = installed_path(sys.path)


def import_named(name: str) -> ModuleType:
    """Import a module that the user named: an installed one, or else one in the working directory.

    Args:
        name: The module's name, from a command line, and never from a file.

    Raises:
        ModuleNotFoundError: There is no such module.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise ModuleNotFoundError(f"{name!r} is not a module's name", name=name)
    if not is_there(name):
        raise ModuleNotFoundError(f"there is no module {name!r}", name=name.partition(".")[0])
    return import_module(name)


def path_of_class(found: type) -> str:
    """Return the path `module:Class` of a class, as used in files and commands."""
    return f"{found.__module__}:{found.__qualname__}"


def can_be_one_class(one: str, other: str) -> bool:
    """Return whether two paths can name the same class: a running script's module is `__main__`."""
    (module, _, name), (other_module, _, other_name) = one.partition(":"), other.partition(":")
    return name == other_name and (module == other_module or "__main__" in (module, other_module))


def is_there(name: str) -> bool:
    """Return whether the top-level package of a module that the user named can be imported.

    The working directory is appended to `sys.path` if necessary.

    Args:
        name: The module's name, from a command line.
    """
    top = name.partition(".")[0]
    if top in sys.modules or find_spec(top) is not None:
        return True
    if _here() not in sys.path:
        sys.path.append(_here())
    return find_spec(top) is not None


def attribute_of(module: ModuleType | None, qualified: str) -> object:
    """Return the attribute of a module by its dotted name, None if there is none."""
    found: object = module
    for part in qualified.split("."):
        found = getattr(found, part, None)
    return found


def place_of(found: type) -> Path:
    """Return the directory from which another process can import a class.

    Raises:
        InputError: The class was defined in a script, a notebook or a function.
    """
    name = found.__module__
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    # Not compared with the class itself, since reloading a module creates a new class.
    is_there = isinstance(attribute_of(module, found.__qualname__), type)
    if name == "__main__" or file is None or not is_there:
        raise InputError(
            f"another process has to import the class {found.__qualname__}, which was defined in a "
            "script, a notebook or a function: move it to its own module, and import it from there."
        )
    path = Path(os.path.realpath(file))
    return path.parents[name.count(".") + (path.stem == "__init__")]


def class_at(path: str, place: Path) -> type:
    """Import the class that `place_of` found in another process.

    Args:
        path: `module:Class`.
        place: The directory that `place_of` returned.

    Raises:
        InputError: It is not there, or an installed module has the same name.
    """
    name, _, qualified = path.partition(":")
    if str(place) not in sys.path:
        sys.path.append(str(place))
    module = import_module(name)
    file = os.path.realpath(getattr(module, "__file__", None) or "")
    found = attribute_of(module, qualified)
    if not Path(file).is_relative_to(os.path.realpath(place)) or not isinstance(found, type):
        raise InputError(
            f"the class `{path}` of {place} cannot be imported by another process, which finds {file}: "
            "rename your module."
        )
    return found


def python(*arguments: str) -> list[str]:
    """Return the command of a Python process that imports nothing from the working directory."""
    return [sys.executable, "-P", *arguments]


def import_environment() -> dict[str, str]:
    """Return the environment variables by which such a process imports the same modules as this one."""
    return {"PYTHONPATH": os.pathsep.join(installed_path(sys.path))}


def _here() -> str:
    try:
        return os.path.realpath(os.getcwd())
    except FileNotFoundError:  # the working directory was removed
        return os.devnull
