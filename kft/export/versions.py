"""Version directories as TensorFlow Serving reads them: complete, or not visible at all.

The server polls the base directory and loads every child whose name parses as an integer, finished
or not. A version is therefore built under another name, fsynced, and renamed once.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from kft.arguments.paths import similar_path
from kft.errors import InputError
from kft.runs.hidden import hidden_directory, remove_hidden
from kft.runs.places import RECIPE

MANIFEST = "assets.extra/kft_manifest.json"
_HIDDEN_PREFIX = ".kft-"
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_LARGEST = 2**63 - 1
_MOST_RIVALS = 1000  # attempts if other exporters take the next number


def version_number(name: str) -> int | None:
    """Return the version number that the server reads from a directory name, None if there is none."""
    if not _INTEGER.fullmatch(name):
        return None
    number = int(name)
    return number if -_LARGEST - 1 <= number <= _LARGEST else None


def find_versions(base_dir: str | os.PathLike) -> dict[int, Path]:
    """Return the children that the server loads as versions, oldest first.

    Args:
        base_dir: The server's `base_path`. May not exist yet.
    """
    base = Path(base_dir)
    if not os.path.isdir(base):
        return {}
    found = {}
    for name in sorted(os.listdir(base)):
        number = version_number(name)
        if number is not None:
            found[number] = base / name
    return dict(sorted(found.items()))


def check_place(base_dir: str | os.PathLike) -> None:
    """Check that versions can be written to a directory, which may not exist yet, without creating it.

    Raises:
        InputError: If it is a file or below one, or a run, its name is too long, or it cannot be written to.
    """
    base = Path(os.path.abspath(base_dir))
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            base.lstat()
    except OSError as error:
        raise InputError(
            f"base_dir={str(base_dir)!r}: {error.strerror}; pass another directory."
        ) from error
    if os.path.lexists(base / RECIPE):
        raise InputError(
            f"base_dir={str(base_dir)!r} is the directory of a run: pass another one to export into."
        )
    found = next(one for one in (base, *base.parents) if os.path.lexists(one))
    if not os.path.isdir(found):
        raise InputError(
            f"base_dir={str(base_dir)!r}: {found} is not a directory; pass a directory to export into."
        )
    if not os.access(found, os.W_OK | os.X_OK):
        raise InputError(
            f"base_dir={str(base_dir)!r}: {found} cannot be written to; pass another directory."
        )


def find_version(directory: str | os.PathLike) -> Path:
    """Return the directory itself if it is a version, otherwise the newest version in it.

    Args:
        directory: A version directory, or the directory of the versions.

    Raises:
        InputError: If it is not a directory, or contains neither a version nor the files of one.
    """
    directory = Path(directory)
    if not os.path.isdir(directory):
        raise InputError(
            f"{str(directory)!r} is not a directory{similar_path(directory)}: pass one with exports."
        )
    if any(os.path.exists(directory / name) for name in ("saved_model.pb", "variables", MANIFEST)):
        return directory
    found = find_versions(directory)
    if not found and version_number(directory.resolve().name) is None:
        raise InputError(
            f"{str(directory)!r} has no version: pass one, or the directory of the versions."
        )
    return found[max(found)] if found else directory


@contextlib.contextmanager
def building(base_dir: str | os.PathLike) -> Iterator[Path]:
    """Yield a new directory inside `base_dir` that no server loads as a version.

    It is locked while the block runs, on every file system, so that `sweep` can distinguish the work
    of a running exporter from leftovers; it is removed at the end unless `publish` renamed it.

    Args:
        base_dir: The directory of the versions; created if it is missing.

    Yields:
        The path of the new, empty directory.

    Raises:
        InputError: If `base_dir` is a file, or cannot be written to.
    """
    base = Path(base_dir)
    if os.path.exists(base) and not os.path.isdir(base):
        raise InputError(f"base_dir={str(base)!r} is a file; pass a directory to export into.")
    sweep(base)
    with hidden_directory(base, _HIDDEN_PREFIX) as hidden:
        yield hidden


def sweep(base_dir: str | os.PathLike) -> None:
    """Remove the leftovers of killed exporters.

    Args:
        base_dir: The directory of the versions.
    """
    remove_hidden(Path(base_dir), _HIDDEN_PREFIX)


def publish(hidden: str | os.PathLike) -> Path:
    """Make a finished directory visible as the next free version, with one rename.

    Args:
        hidden: A directory from `building`, complete and with its manifest written.

    Returns:
        The path of the version, `base_dir/N` with N one above the largest version there.
    """
    hidden = Path(hidden)
    base = hidden.parent
    _share(hidden)
    _sync_tree(hidden)
    for _ in range(_MOST_RIVALS):
        number = max([0, *find_versions(base)]) + 1
        if number > _LARGEST:
            raise InputError(f"{base} holds version {_LARGEST}, the largest there is.")
        target = base / str(number)
        try:
            # Replaces nothing: version directories are never empty, and rename refuses to replace those.
            os.rename(hidden, target)
        except OSError:
            if not os.path.exists(target):
                raise
            continue  # another exporter took this number
        _sync(base)
        return target
    raise InputError(f"{base} got {_MOST_RIVALS} versions of others meanwhile: export again.")


def prune(base_dir: str | os.PathLike, keep: int) -> list[Path]:
    """Remove all but the newest versions, if kft wrote them.

    A version disappears by a rename before its files are removed, so that no server ever sees a part
    of it.

    Args:
        base_dir: The directory of the versions.
        keep: How many versions to keep, at least 1.

    Returns:
        The versions that were removed, oldest first.

    Raises:
        InputError: If `keep` is below 1 or `base_dir` is not a directory.
    """
    base = Path(base_dir)
    if keep < 1:
        raise InputError(f"keep={keep}, but a server needs a version: pass 1 or more.")
    if not os.path.isdir(base):
        raise InputError(
            f"base_dir={str(base)!r} is not a directory{similar_path(base)}: pass one with exports."
        )
    sweep(base)
    removed = []
    for path in list(find_versions(base).values())[:-keep]:
        if not os.path.isfile(path / MANIFEST):
            continue
        hidden = base / f"{_HIDDEN_PREFIX}{secrets.token_hex(8)}"
        os.rename(path, hidden)
        shutil.rmtree(hidden, ignore_errors=True)  # another exporter may sweep it at the same time
        removed.append(path)
    return removed


def write_manifest(directory: str | os.PathLike) -> Path:
    """Write the sizes and SHA-256 hashes of all files of a version into it; return the file."""
    directory = Path(directory)
    target = directory / MANIFEST
    target.unlink(missing_ok=True)
    target.parent.mkdir(exist_ok=True)
    files = {
        str(path.relative_to(directory)): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(directory.rglob("*"))
        if os.path.isfile(path)
    }
    target.write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")
    return target


def compare_manifest(directory: str | os.PathLike) -> list[str]:
    """Return the differences from the manifest, a sentence for each file; empty if there are none."""
    directory = Path(directory)
    try:
        files = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = {str(name): (int(f["bytes"]), str(f["sha256"])) for name, f in files.items()}
    except FileNotFoundError:
        return [f"{MANIFEST} is missing: not written by kft, or not copied whole"]
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        return [f"{MANIFEST} cannot be read: {error}"]
    reasons = []
    for name, (size, digest) in expected.items():
        path = directory / name
        if not os.path.isfile(path):
            reasons.append(f"{name} is missing")
        elif path.stat().st_size != size:
            reasons.append(f"{name} has {path.stat().st_size} bytes instead of {size}")
        elif _sha256(path) != digest:
            reasons.append(f"{name} has other contents than were written (SHA-256 differs)")
    known = {*expected, MANIFEST}
    for path in sorted(directory.rglob("*")):
        if os.path.isfile(path) and str(path.relative_to(directory)) not in known:
            reasons.append(f"{path.relative_to(directory)} does not belong to the version")
    return reasons


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _share(directory: Path) -> None:
    """Let everyone who may read the directory read its content.

    Libraries set their own permissions: TensorFlow makes directories that a group cannot write to,
    and a renamed temporary file is readable only by its owner.
    """
    wanted = stat.S_IMODE(directory.stat().st_mode) & 0o777
    for path in directory.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        shared = mode | (wanted if os.path.isdir(path) else wanted & 0o666)
        if shared != mode:
            path.chmod(shared)


def _sync_tree(directory: Path) -> None:
    for folder, _, names in os.walk(directory, topdown=False):
        for name in names:
            _sync(Path(folder) / name)
        _sync(Path(folder))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
