"""A folder with a folder per class, of images or of .txt files."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kft.data import images
from kft.data.bad import BadExamples
from kft.data.examples import Examples
from kft.data.image_files import MAX_PIXELS, inspect_files
from kft.data.labels import check_classes, class_targets, clean
from kft.errors import InputError

__all__ = ["check_images", "read_folder"]

_IGNORED = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"}
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}


def read_folder(
    folder: str | os.PathLike[str],
    *,
    modality: str,
    classes: Sequence[str] | None = None,
    encoding: str = "utf-8",
    on_bad_example: str = "error",
    max_pixels: int = MAX_PIXELS,
) -> Examples:
    """Read a folder that has a folder for each class; folders inside these belong to the class.

    Hidden files, `Thumbs.db` and the like are ignored. A link that leads out of the folder is
    refused.

    Args:
        folder: The folder.
        modality: `"image"`, or `"text"` for one text per .txt file.
        classes: The classes of the training; without them, the sorted names of the folders.
        encoding: Of .txt files.
        on_bad_example: `"error"`, or `"skip"` to leave out files that cannot be used.
        max_pixels: The largest image accepted, width times height.

    Returns:
        `Examples` of kind `"image_files"` or `"texts"`, ordered by class and path.

    Raises:
        InputError: No or one class, an empty class, a class unknown to the training, bad files.
    """
    root = Path(folder).resolve()
    source = f"folder {folder}"
    bad = BadExamples(source, on_bad_example)
    files, labels, found = _list_files(root, modality, source, bad)
    if classes is None:
        check_classes(found, source)
    else:
        class_targets(found, [f"folder {name!r}" for name in found], source, classes)
    names = [str(path.relative_to(root)) for path in files]
    paths = [str(path) for path in files]
    if modality == "image":
        reasons = check_images(paths, max_pixels)
        values: list[str] = paths
    else:
        values, reasons = _read_texts(files, encoding)
    for index in sorted(reasons):
        bad.add(names[index], reasons[index])
    skipped = bad.settle()
    kept = [index for index in range(len(paths)) if index not in reasons]
    labels = [labels[index] for index in kept]
    for name in found if classes is None else ():
        if name not in labels:
            raise InputError(
                f"class folder {name!r} of {source} is empty: add examples to it or remove it"
            )
    targets, known = class_targets(
        labels, [names[index] for index in kept], source, classes or found
    )
    if not kept:
        raise InputError(
            f"{source} has no usable example: expected a folder per class with {modality} files in "
            "it"
        )
    inputs = np.empty(len(kept), dtype=object)
    inputs[:] = [values[index] for index in kept]
    return Examples(
        "image_files" if modality == "image" else "texts", inputs, targets, known, source, skipped
    )


def check_images(files: Sequence[str | bytes], max_pixels: int = MAX_PIXELS) -> dict[int, str]:
    """Index of each file that is no usable image, and why: by its header, then by decoding it."""
    reasons = {n: reason for n, reason in enumerate(inspect_files(files, max_pixels)) if reason}
    rest = [index for index in range(len(files)) if index not in reasons]
    for index, reason in images.broken([files[index] for index in rest]).items():
        reasons[rest[index]] = reason
    return reasons


def _list_files(
    root: Path, modality: str, source: str, bad: BadExamples
) -> tuple[list[Path], list[str], list[str]]:
    files: list[Path] = []
    labels: list[str] = []
    folders: dict[str, str] = {}
    suffixes = _IMAGE_SUFFIXES if modality == "image" else {".txt"}
    for entry in _entries(root):
        if _leads_astray(entry, root, bad):
            continue
        if entry.is_dir():
            name = clean(entry.name)
            if name in folders:
                raise InputError(
                    f"{source}: folders {folders[name]!r} and {entry.name!r} are the same class "
                    f"{name!r}: put their files into one folder"
                )
            folders[name] = entry.name
            within = _files_below(Path(entry.path), root, bad)
            files += within
            labels += [name] * len(within)
        elif Path(entry.name).suffix.lower() in suffixes:
            bad.add(entry.name, "lies outside the class folders, so it has no label")
    if not folders and not files:
        stray = f" ({len(bad.found)} files lie in it without a class)" if bad.found else ""
        raise InputError(
            f"{source} has no class folders{stray}: expected a folder per class, such as "
            f"{root.name}/cat and {root.name}/dog, with {modality} files in each"
        )
    if not files and not bad.found:
        raise InputError(
            f"{source} is empty: its class folders {', '.join(sorted(folders))} have no files; put "
            f"{modality} files into them"
        )
    return files, labels, sorted(folders)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        kept = [
            entry
            for entry in entries
            if entry.name[0] != "." and entry.name.lower() not in _IGNORED
        ]
    return sorted(kept, key=lambda entry: entry.name)


def _files_below(folder: Path, root: Path, bad: BadExamples) -> list[Path]:
    files: list[Path] = []
    for entry in _entries(folder):
        if _leads_astray(entry, root, bad):
            continue
        if entry.is_dir():
            files += _files_below(Path(entry.path), root, bad)
        else:
            files.append(Path(entry.path))
    return files


def _leads_astray(entry: os.DirEntry[str], root: Path, bad: BadExamples) -> bool:
    """Whether a link leads out of the dataset, nowhere, or to a folder (perhaps in a circle)."""
    if not entry.is_symlink():
        return False
    name = str(Path(entry.path).relative_to(root))
    target = Path(os.path.realpath(entry.path))
    if not target.is_relative_to(root):
        bad.add(
            name,
            f"a link that leads out of the dataset folder, to {target}; copy the file into the "
            "folder",
        )
    elif not target.exists():
        bad.add(name, "a link that leads nowhere")
    elif target.is_dir():
        bad.add(name, "a link to a folder, whose files would count twice")
    else:
        return False
    return True


def _read_texts(files: Sequence[Path], encoding: str) -> tuple[list[str], dict[int, str]]:
    texts: list[str] = []
    reasons: dict[int, str] = {}
    for index, path in enumerate(files):
        text = ""
        if path.suffix.lower() != ".txt":
            reasons[index] = f"not a text file: {path.suffix or 'no'} suffix where .txt is expected"
        else:
            try:
                text = path.read_text(encoding)
            except UnicodeDecodeError as error:
                reasons[index] = (
                    f"not {encoding} at byte {error.start}: pass the right encoding or convert it"
                )
            else:
                text = text.removeprefix("\ufeff").strip()
                if not text:
                    reasons[index] = "empty file"
        texts.append(text)
    return texts, reasons
