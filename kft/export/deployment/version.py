"""A version on disk: where it is, how a server calls it, and the description in it, if it is whole."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.arguments import shown
from kft.data.files import shown as printed
from kft.errors import InputError
from kft.export import promises, runtimes, versions
from kft.export.file_bounds import compare_files
from kft.export.promises import METADATA

# Of a name that is part of paths, URLs and configuration files, none of which then needs quotes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_MODALITIES = ("image", "clip", "text")


@dataclass(frozen=True)
class Version:
    """A version that is as it was written.

    Attributes:
        path: Its directory.
        name: The server's name of the model: letters, digits, dots, dashes and underscores.
        number: Its number.
        kind: `"onnx"`, `"litert"` or `"openvino"`; None for TensorFlow Serving's.
        modality: `"image"`, `"clip"` or `"text"`.
        facts: Its description, whose other values may be untrusted.
    """

    path: Path
    name: str
    number: int
    kind: str | None
    modality: str
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, directory: Path, name: str | None = None) -> Version:
        """Read a version, which may be from someone else.

        Args:
            directory: The version, or the directory of the versions, of which the newest is read.
            name: The server's name of the model. Defaults to the name of the directory of the versions.

        Raises:
            InputError: If there is none, it is damaged, or the name is not valid.
        """
        path = Path(os.path.abspath(versions.find_version(directory)))
        number = versions.version_number(path.name)
        if number is None or number < 0 or str(number) != path.name:
            raise InputError(
                f"the version `{printed(path)}` has no number as its name: rename it to one, such as 1."
            )
        name = _checked_name(path.parent.name, given=False) if name is None else _checked_name(name)
        _check_files(path)
        try:
            facts = promises.read_facts(path)
            modality = facts["modality"]
            if modality not in _MODALITIES:
                raise ValueError(f"modality {modality!r:.100}")
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise unreadable(path, error) from error
        return cls(path, name, number, runtimes.kind_of(path), modality, facts)

    @property
    def is_text(self) -> bool:
        """Whether the model's inputs are texts."""
        return self.modality == "text"

    @property
    def size(self) -> int:
        """The size of the files, in bytes."""
        return sum(one.stat().st_size for one in self.path.rglob("*") if one.is_file())


def unreadable(path: Path, error: Exception) -> InputError:
    """Return the error for a version whose description is none."""
    return InputError(
        f"`{printed(path)}`: its {METADATA} cannot be read ({printed(str(error))}): export the run again."
    )


def _checked_name(name: Any, *, given: bool = True) -> str:
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    subject = f"`name={shown(name)}`"
    if not given:
        subject = (
            f"the directory of the versions is called {shown(name)}, which cannot name a model"
        )
    raise InputError(
        f"{subject}: pass a `name` of 1 to 63 letters from a to z, digits, dots, dashes and underscores "
        "that begins with a letter or a digit."
    )


def _check_files(path: Path) -> None:
    """Refuse files that must not be opened, and a version that is not as it was written."""
    reasons = compare_files(path) or versions.compare_manifest(path)
    if reasons:
        more = f", and {len(reasons) - 1} more reasons" if len(reasons) > 1 else ""
        raise InputError(
            f"`{printed(path)}` cannot be deployed: {printed(reasons[0])}{more}. Copy it again, or export "
            "the run again."
        )
