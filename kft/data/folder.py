"""Reading a folder with one sub-folder per class, of images, clips or .txt files."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kft.data.class_folders import ClassFolders
from kft.data.columns import MOST_BYTES
from kft.data.encodings import LONGEST, text_of
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.kinds.classes import class_targets
from kft.data.read_settings import ReadSettings
from kft.errors import InputError
from kft.regular_files import read_regular, why

__all__ = ["read_folder"]


def read_folder(folder: str | os.PathLike[str], how: ReadSettings) -> Examples:
    """Read a folder with one sub-folder per class, in which nested folders belong to the class.

    Hidden files, `Thumbs.db` and the like are ignored. Links that lead out of the folder and anything
    else than regular files are refused, as is a folder whose sub-folders are parts of a dataset, such
    as `train` and `val`.

    Args:
        folder: The folder.
        how: How to read it: images, clips, or one text per .txt file. Classes default to the sorted
            names of the folders.

    Returns:
        `Examples` of kind `"image_files"`, `"clip_files"` or `"texts"`, ordered by class and path.

    Raises:
        InputError: The task needs other labels than one class name per example; there are fewer than
            two classes, an empty class, a class unknown to the training, or bad files.
    """
    root = Path(folder).resolve()
    source = f"folder {shown(folder)}"
    if not how.task.takes_folders:
        raise InputError(
            f"{source}: a folder per class gives one label per example, but task={how.task.name!r}: "
            "write a table with a path and a label column"
        )
    classes, bad = how.classes, how.bad_examples(source)
    listing = ClassFolders(root, how.inputs, source, bad)
    files, found = listing.files, sorted(listing.folders)
    if classes is None:
        listing.check_several()
    else:
        class_targets(found, [f"folder {name!r}" for name in found], source, classes)
    names = [str(path.relative_to(root)) for path in files]
    values, reasons = (
        _read_texts(files, how.encoding, source) if how.inputs.is_text else _read_paths(files, how)
    )
    by = how.by.values(names, source)
    reasons = {**by.reasons, **reasons}
    for index in sorted(reasons):
        bad.add(names[index], reasons[index])
    skipped = bad.settle()
    kept = [index for index in range(len(files)) if index not in reasons]
    labels = [listing.labels[index] for index in kept]
    if classes is None:
        _check_filled(found, labels, source)
    places = [shown(names[index]) for index in kept]
    targets, known = class_targets(labels, places, source, classes or found)
    if not kept:
        expected = f"expected one sub-folder per class with {how.modality} files in it"
        raise InputError(f"{source} has no usable example: {expected}")
    inputs = np.array(values, dtype=object)[kept]
    return Examples(
        how.inputs.stored,
        inputs,
        targets,
        known,
        source,
        skipped,
        task=how.task,
        **by.of(np.array(kept)),
    )


def _check_filled(folders: Sequence[str], labels: Sequence[str], source: str) -> None:
    """Check that each class folder has a usable example."""
    present = set(labels)
    for name in folders:
        if name not in present:
            raise InputError(
                f"class folder {name!r} of {source} is empty: add examples to it or remove it"
            )


def _read_paths(files: Sequence[Path], how: ReadSettings) -> tuple[list[str], dict[int, str]]:
    """Return the paths of inputs, and reasons for unusable ones by index."""
    paths = [str(path) for path in files]
    return paths, how.inputs.check(paths, how.max_pixels)


def _read_texts(
    files: Sequence[Path], encoding: str, source: str
) -> tuple[list[str], dict[int, str]]:
    """Return texts, and reasons for unusable ones by index."""
    texts: list[str] = []
    reasons: dict[int, str] = {}
    characters = 0
    for index, path in enumerate(files):
        text, reason = "", f"not a text file: {path.suffix or 'no'} suffix where .txt is expected"
        if path.suffix.lower() == ".txt":
            try:
                text, reason = text_of(read_regular(path, 4 * LONGEST), encoding)
            except OSError as error:
                reason = why(error)
        if reason:
            reasons[index] = reason
        texts.append(text)
        characters += len(text)
        if characters > MOST_BYTES:
            raise InputError(
                f"{source} has more than {MOST_BYTES:,} characters: pass a tf.data.Dataset of its files"
            )
    return texts, reasons
