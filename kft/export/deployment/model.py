"""What a version says about itself, as far as the files of a deployment need it, all of it checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.arguments import shown
from kft.errors import InputError
from kft.export import promises, runtimes, versions
from kft.export.file_bounds import compare_files
from kft.export.promises import METADATA, Signature

# Of a name that is part of paths, URLs and configuration files, none of which then needs quotes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_RELEASE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.[0-9]", re.ASCII)
_MODALITIES = ("image", "clip", "text")
_MOST_FRAMES = 1000  # of a clip, each of which is in the example request


@dataclass(frozen=True)
class DeployedModel:
    """A version, and what a server and a client need to know about it.

    Attributes:
        path: The version directory.
        name: The server's name of the model: letters, digits, dots, dashes and underscores.
        number: The version's number.
        others: The number of other versions next to it.
        modality: `"image"`, `"clip"` or `"text"`.
        inputs: The names of the raw inputs.
        shape: The shape of a raw input's strings; empty for a single string.
        signatures: Name to signature.
        release: The TensorFlow release that exported it, such as `"2.21"`.
    """

    path: Path
    name: str
    number: int
    others: int
    modality: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    signatures: Mapping[str, Signature]
    release: str

    @classmethod
    def read(cls, directory: Path, name: str | None = None) -> DeployedModel:
        """Read a version, which may be from someone else.

        Args:
            directory: The version, or the directory of the versions, of which the newest is read.
            name: The server's name of the model. Defaults to the name of the directory of the versions.

        Raises:
            InputError: If it is damaged, not for TensorFlow Serving, or the name is not valid.
        """
        path = Path(os.path.abspath(versions.find_version(directory)))
        number = versions.version_number(path.name)
        if number is None or number < 0 or str(number) != path.name:
            raise InputError(
                f"the version {shown(str(path))} has no number as its name: rename it to one, such as 1."
            )
        name = _checked_name(path.parent.name, given=False) if name is None else _checked_name(name)
        _check_files(path)
        facts = _facts(path)
        try:
            described = promises.Description.from_json(facts)
            modality, release = facts["modality"], facts["packages"]["tensorflow"]
            if modality not in _MODALITIES or not _RELEASE.match(release):
                raise ValueError(f"modality {modality!r:.100} and TensorFlow {release!r:.100}")
            if len(described.shape) > 1 or not all(0 < n <= _MOST_FRAMES for n in described.shape):
                raise ValueError(f"inputs of the shape {described.shape!r:.100}")
        except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise _unreadable(path, error) from error
        return cls(
            path,
            name,
            number,
            len(versions.find_versions(path.parent)) - 1,
            modality,
            described.inputs,
            described.shape,
            described.signatures(),
            release=".".join(str(int(part)) for part in release.split(".")[:2]),
        )

    @property
    def image_tag(self) -> str:
        """The release of TensorFlow Serving that fits the TensorFlow that exported the version."""
        return f"{self.release}.0"

    @property
    def is_text(self) -> bool:
        """Whether the inputs are texts, so that the graph has a tokenizer's ops."""
        return self.modality == "text"

    @property
    def size(self) -> int:
        """The size of the version's files, in bytes."""
        return sum(one.stat().st_size for one in self.path.rglob("*") if one.is_file())


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
    kind = None
    reasons = compare_files(path)
    if not reasons:
        kind = runtimes.kind_of(path)
        reasons = versions.compare_manifest(path)
    if kind is not None:
        raise InputError(
            f"{shown(str(path))} is an {kind} export, but TensorFlow Serving loads SavedModels: export "
            "the run with format='saved_model'."
        )
    if reasons:
        more = f", and {len(reasons) - 1} more reasons" if len(reasons) > 1 else ""
        raise InputError(
            f"{shown(str(path))} cannot be deployed: {shown(reasons[0])}{more}. Copy it again, or export "
            "the run again."
        )


def _facts(path: Path) -> dict[str, Any]:
    try:
        return promises.read_facts(path)
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{shown(str(path))}: its {METADATA} cannot be read ({shown(str(error))}): export the run again."
    )
