"""Security checks of prepared TFDS directories before TFDS opens them.

TFDS (4.9.10) imports the Python module that `features.json` names for a feature, and reads any paths
that `dataset_info.json` describes. Here only TFDS' own features and regular files are accepted.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from kft.data.files import shown
from kft.errors import InputError
from kft.regular_files import problem, read_regular, why

__all__ = ["INFO", "check_prepared", "is_prepared", "newest_version"]

INFO, FEATURES = "dataset_info.json", "features.json"
_LARGEST_JSON = 64 * 2**20
_NAME = re.compile(r"\w[\w.-]*")
# The placeholders of TFDS for the shards of a split, without path separators.
_TEMPLATE = re.compile(r"(?:[\w.=-]|\{[A-Z_]+\})*")
_CLASS_KEYS = ("type", "pythonClassName", "python_class_name")


def is_prepared(folder: Path) -> bool:
    """Return whether `folder` is a prepared TFDS dataset: a version directory or its parent."""
    return os.path.isfile(folder / INFO) or bool(_versions(folder))


def newest_version(folder: Path) -> Path:
    """Return the newest version directory of a dataset, or the directory itself if it is one."""
    return folder if os.path.isfile(folder / INFO) else max(_versions(folder), key=_number)


def check_prepared(folder: Path, *, whole: bool = True) -> None:
    """Check that a prepared directory describes only data.

    Args:
        folder: A version directory.
        whole: Whether to check the files with the examples too.

    Raises:
        InputError: A file names a class that is not one of TFDS' features or a path outside, is
            damaged, or is not a regular file.
    """
    if whole:
        _check_files(folder)
    info = _read(folder / INFO)
    for name in (info.get("name"), info.get("configName", info.get("config_name"))):
        if name and not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise InputError(f"{_said(folder / INFO)} names the dataset {name!r:.60}")
    for split in info.get("splits") or []:
        name, template = _split(split)
        if not (_NAME.fullmatch(name) and _TEMPLATE.fullmatch(template)):
            raise InputError(
                f"{_said(folder / INFO)} has the split {name!r:.60} in files called {template!r:.60}, "
                "which may be in another directory"
            )
    _check_classes(info, ("pythonClassName", "python_class_name"), folder / INFO)
    _check_classes(_read(folder / FEATURES), _CLASS_KEYS, folder / FEATURES)


def _check_files(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            reason = problem(path, sys.maxsize)
            if reason:
                raise InputError(f"{shown(path)} of a prepared TFDS directory: {reason}")
            if ".tfrecord" in name:
                _check_records(path)


def _check_records(path: Path) -> None:
    """Check that no record claims to be longer than its file, since TFDS would allocate that memory."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while head := file.read(12):  # eight bytes of length, four of checksum
            end = file.tell() + int.from_bytes(head[:8], "little") + 4
            if len(head) < 12 or end > size:
                raise InputError(
                    f"{shown(path)} is damaged: a record ends beyond the file; prepare the dataset again"
                )
            file.seek(end)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path, _LARGEST_JSON))
    except OSError as error:
        raise InputError(f"{shown(path)}: {why(error)}; prepare the dataset again") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{shown(path)} is not JSON ({type(error).__name__}): prepare the dataset again"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{shown(path)} is not a JSON object: prepare the dataset again")
    return content


def _split(split: Any) -> tuple[str, str]:
    if not isinstance(split, dict):
        return "", ""
    template = split.get("filepathTemplate", split.get("filepath_template", ""))
    return str(split.get("name")), str(template)


def _check_classes(content: Any, keys: tuple[str, ...], path: Path) -> None:
    known = _own_features()
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key in keys and isinstance(inner, str) and inner not in known:
                    raise InputError(
                        f"{_said(path)} names the class {inner!r:.100}, but only the features of TFDS "
                        "itself are read; a module that a file names is never imported"
                    )
                if "/" in key or key in (".", ".."):
                    raise InputError(f"{_said(path)} names a feature {key!r:.60}")
            waiting += value.values()
        elif isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            try:  # older versions embed JSON in strings
                waiting.append(json.loads(value))
            except (ValueError, RecursionError):
                continue


def _own_features() -> set[str]:
    import tensorflow_datasets as tfds

    public = (getattr(tfds.features, name) for name in tfds.features.__all__)
    classes = [
        one
        for one in public
        if isinstance(one, type) and issubclass(one, tfds.features.FeatureConnector)
    ]
    names = {f"{one.__module__}.{one.__qualname__}" for one in classes}
    # The name of a Tensor before TFDS 4.3.
    return names | {"tensorflow_datasets.core.features.feature.Tensor"}


def _said(path: Path) -> str:
    return f"{path.name} of the prepared TFDS directory {shown(path.parent)}"


def _versions(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [folder / name for name in names if os.path.isfile(folder / name / INFO)]


def _number(path: Path) -> list[int]:
    return [int(part) if part.isdecimal() else -1 for part in path.name.split(".")]
