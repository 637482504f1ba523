"""A folder with one sub-folder per class, of images or of .txt files."""

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
    """Read a folder that has one sub-folder per class; folders inside these belong to the class.

    Hidden files, `Thumbs.db` and the like are ignored. A link that leads out of the folder is
    refused, and so is whatever is not a regular file. A folder whose sub-folders are parts of a
    dataset, such as `train` and `val`, is refused as a whole.

    Args:
        folder: The folder.
        how: How to read it: images, or one text per .txt file. Without classes, they are the sorted
            names of the folders.

    Returns:
        `Examples` of kind `"image_files"` or `"texts"`, ordered by class and path.

    Raises:
        InputError: The task has other labels than one class name per example; no or one class, an
            empty class, a class unknown to the training, bad files.
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
    """Check that each class folder has an example that can be used."""
    present = set(labels)
    for name in folders:
        if name not in present:
            raise InputError(
                f"class folder {name!r} of {source} is empty: add examples to it or remove it"
            )


def _read_paths(files: Sequence[Path], how: ReadSettings) -> tuple[list[str], dict[int, str]]:
    """Return inputs by their paths, and why some cannot be used."""
    paths = [str(path) for path in files]
    return paths, how.inputs.check(paths, how.max_pixels)


def _read_texts(
    files: Sequence[Path], encoding: str, source: str
) -> tuple[list[str], dict[int, str]]:
    """Return texts, and why some cannot be used."""
    texts: list[str] = []
    reasons: dict[int, str] = {}
    letters = 0
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
        letters += len(text)
        if letters > MOST_BYTES:
            raise InputError(
                f"{source} has more than {MOST_BYTES:,} letters: pass a tf.data.Dataset of its files"
            )
    return texts, reasons
