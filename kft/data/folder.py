"""A folder with one sub-folder per class, of images or of .txt files."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from kft.data import images
from kft.data.bad import BadExamples
from kft.data.columns import MOST_BYTES
from kft.data.encodings import LONGEST, is_unicode, text_of
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.image_files import MAX_PIXELS, inspect_files
from kft.data.kinds.classes import check_classes, class_targets
from kft.data.names import clean
from kft.data.targets import TargetKind
from kft.errors import InputError
from kft.regular_files import read_regular, why

__all__ = ["IGNORED", "IMAGE_SUFFIXES", "check_images", "read_folder"]

IGNORED = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"}
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}
_PARTS = re.compile(
    r"(train(ing)?|val(id(ation)?)?|dev(el)?|test(ing)?|eval(uation)?|hold[-_ ]?out)"
    r"([-_ ]?(set|data|split|images?|texts?|\d+))?",
    re.IGNORECASE,
)


def read_folder(
    folder: str | os.PathLike[str],
    *,
    task: TargetKind,
    modality: str,
    classes: Sequence[str] | None = None,
    encoding: str = "utf-8",
    on_bad_example: str = "error",
    max_pixels: int = MAX_PIXELS,
) -> Examples:
    """Read a folder that has one sub-folder per class; folders inside these belong to the class.

    Hidden files, `Thumbs.db` and the like are ignored. A link that leads out of the folder is
    refused, and so is whatever is not a regular file. A folder whose sub-folders are parts of a
    dataset, such as `train` and `val`, is refused as a whole.

    Args:
        folder: The folder.
        task: A task with one class name for each example.
        modality: `"image"`, or `"text"` for one text per .txt file.
        classes: The classes of the training; without them, the sorted names of the folders.
        encoding: Of .txt files without a byte order mark.
        on_bad_example: `"error"`, or `"skip"` to leave out files that cannot be used.
        max_pixels: The largest image accepted, width times height.

    Returns:
        `Examples` of kind `"image_files"` or `"texts"`, ordered by class and path.

    Raises:
        InputError: No or one class, an empty class, a class unknown to the training, bad files.
    """
    root = Path(folder).resolve()
    source = f"folder {shown(folder)}"
    bad = BadExamples(source, on_bad_example)
    listing = _Listing(root, modality, source, bad)
    files, labels, found = listing.files, listing.labels, sorted(listing.folders)
    if classes is None:
        _check_several(listing, source)
    else:
        class_targets(found, [f"folder {name!r}" for name in found], source, classes)
    names = [str(path.relative_to(root)) for path in files]
    paths = [str(path) for path in files]
    if modality == "image":
        reasons = check_images(paths, max_pixels)
        values: list[str] = paths
    else:
        values, reasons = _read_texts(files, encoding, source)
    for index in sorted(reasons):
        bad.add(names[index], reasons[index])
    skipped = bad.settle()
    kept = [index for index in range(len(paths)) if index not in reasons]
    labels = [labels[index] for index in kept]
    present = set(labels)
    for name in found if classes is None else ():
        if name not in present:
            raise InputError(
                f"class folder {name!r} of {source} is empty: add examples to it or remove it"
            )
    targets, known = class_targets(
        labels, [shown(names[index]) for index in kept], source, classes or found
    )
    if not kept:
        raise InputError(
            f"{source} has no usable example: expected one sub-folder per class with {modality} "
            "files in it"
        )
    inputs = np.empty(len(kept), dtype=object)
    inputs[:] = [values[index] for index in kept]
    kind = "image_files" if modality == "image" else "texts"
    return Examples(kind, inputs, targets, known, source, skipped, task=task)


def check_images(files: Sequence[str | bytes], max_pixels: int = MAX_PIXELS) -> dict[int, str]:
    """Index of each file that is no usable image, and why: by its header, then by decoding it."""
    reasons = {n: reason for n, reason in enumerate(inspect_files(files, max_pixels)) if reason}
    rest = [index for index in range(len(files)) if index not in reasons]
    for index, reason in images.broken([files[index] for index in rest]).items():
        reasons[rest[index]] = reason
    return reasons


class _Listing:
    """The files of a folder by class.

    Attributes:
        files: The files, ordered by class and path.
        labels: The class of each.
        folders: The folder of each class.
    """

    def __init__(self, root: Path, modality: str, source: str, bad: BadExamples) -> None:
        self.root, self.modality, self.source, self.bad = root, modality, source, bad
        self.suffixes = IMAGE_SUFFIXES if modality == "image" else {".txt"}
        self.files: list[Path] = []
        self.labels: list[str] = []
        self.folders: dict[str, Path] = {}
        for entry in _entries(root, root, bad):
            if _leads_astray(entry, root, bad):
                continue
            if entry.is_dir():
                self._add_class(entry)
            elif Path(entry.name).suffix.lower() in self.suffixes:
                bad.add(entry.name, "lies outside the class folders, so it has no label")
        self._refuse_parts()
        for name, folder in self.folders.items():
            within = _files_below(folder, root, bad)
            self.files += within
            self.labels += [name] * len(within)
        self._refuse_nothing()

    def _add_class(self, entry: os.DirEntry[str]) -> None:
        name = clean(entry.name)
        if not name or not is_unicode(name):
            self.bad.add(
                entry.name, "a class folder whose name is blank or not UTF-8: give it another name"
            )
        elif name in self.folders:
            raise InputError(
                f"{self.source}: folders {self.folders[name].name!r} and {entry.name!r} are the same "
                f"class {name!r}: put their files into one folder"
            )
        else:
            self.folders[name] = Path(entry.path)

    def _refuse_parts(self) -> None:
        """Refuse a folder of parts, each with its own class folders, which would become the classes."""
        names = sorted(self.folders)
        inside = {name: self.class_folders(folder) for name, folder in self.folders.items()}
        parts = [name for name in names if _PARTS.fullmatch(name)]
        if len(parts) < len(names) and not all(inside[name] for name in parts):
            parts = []
        repeated = [one for one, times in Counter(chain(*inside.values())).items() if times > 1]
        if all(inside.values()) and len(repeated) > 1:
            parts = names
        if len(parts) < 2:
            return
        listed = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
        classes = f", each with the folders {', '.join(map(repr, sorted(repeated)[:10]))}"
        raise InputError(
            f"{self.source}: its folders {listed} look like parts of the data"
            f"{classes if repeated else ''}, not like classes: pass "
            f"{shown(self.root / _first_part(parts))}, and another part as validation_data; if they "
            "are the classes, put their files into them directly"
        )

    def class_folders(self, folder: Path, deepest: int = 3) -> set[str]:
        """The names of the folders in a folder that has no files of its own, else nothing."""
        try:
            with os.scandir(folder) as entries:
                visible = [entry for entry in entries if not _is_ignored(entry)]
        except OSError:
            return set()  # it is named as bad when it is read
        folders = {clean(entry.name) for entry in visible if entry.is_dir(follow_symlinks=False)}
        files = (entry.name for entry in visible if not entry.is_dir(follow_symlinks=False))
        own = any(Path(name).suffix.lower() in self.suffixes for name in files)
        if own or len(folders) != 1 or deepest == 0:
            return set() if own else folders
        # An archive unpacked into a folder of its name: seg_train/seg_train/cat.
        (only,) = (entry for entry in visible if entry.is_dir(follow_symlinks=False))
        return self.class_folders(Path(only.path), deepest - 1) or folders

    def _refuse_nothing(self) -> None:
        if not self.folders and not self.files:
            found = len(self.bad.found)
            stray = f" ({found} files lie in it without a class)" if found else ""
            raise InputError(
                f"{self.source} has no class folders{stray}: expected one sub-folder per class, such "
                f"as {shown(self.root.name)}/cat and {shown(self.root.name)}/dog, with "
                f"{self.modality} files in each"
            )
        if not self.files and not self.bad.found:
            raise InputError(
                f"{self.source} is empty: its class folders {', '.join(sorted(self.folders))} have no "
                f"files; put {self.modality} files into them"
            )


def _check_several(listing: _Listing, source: str) -> None:
    """Check that there are two classes; one may be a folder too high."""
    if len(listing.folders) == 1:
        (name, folder), *_ = listing.folders.items()
        inside = sorted(listing.class_folders(folder))
        if len(inside) > 1:
            raise InputError(
                f"{source} has one folder, {name!r}, which has the folders "
                f"{', '.join(map(repr, inside[:10]))}: pass {shown(folder)} if these are the classes"
            )
    check_classes(sorted(listing.folders), source)


def _first_part(names: Sequence[str]) -> str:
    # By where the word stands: of "untrained" and "train" the second.
    found = [name for name in names if "train" in name.lower()]
    return min(found, key=lambda name: name.lower().index("train"), default=names[0])


def _is_ignored(entry: os.DirEntry[str]) -> bool:
    return entry.name[0] == "." or entry.name.lower() in IGNORED


def _entries(folder: Path, root: Path, bad: BadExamples) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not _is_ignored(entry)]
    except OSError as error:
        if folder == root:
            raise InputError(f"folder {shown(folder)}: {why(error)}") from error
        bad.add(str(folder.relative_to(root)), f"a folder that {why(error)}")
        return []
    return sorted(kept, key=lambda entry: entry.name)


def _files_below(folder: Path, root: Path, bad: BadExamples) -> list[Path]:
    """The files in a folder and below it, ordered by path, however deep they lie."""
    files: list[Path] = []
    waiting: list[Path | os.DirEntry[str]] = [folder]
    while waiting:
        one = waiting.pop()
        if isinstance(one, os.DirEntry):
            if _leads_astray(one, root, bad):
                continue
            if not one.is_dir():
                files.append(Path(one.path))
                continue
        waiting += reversed(_entries(Path(one), root, bad))
    return files


def _leads_astray(entry: os.DirEntry[str], root: Path, bad: BadExamples) -> bool:
    """Whether a link leads out of the dataset, nowhere, or to a folder (perhaps in a circle)."""
    name = str(Path(entry.path).relative_to(root))
    try:
        if not entry.is_symlink():
            entry.is_dir()  # raises here, where it is caught, if the file system does not tell
            return False
        target = Path(os.path.realpath(entry.path))
        reason = ""
        if not target.is_relative_to(root):
            reason = (
                f"a link that leads out of the dataset folder, to {shown(target)}; copy the file into "
                "the folder"
            )
        elif not os.path.exists(target):
            reason = "a link that leads nowhere"
        elif os.path.isdir(target):
            reason = "a link to a folder, whose files would count twice"
    except OSError as error:
        reason = why(error)
    if reason:
        bad.add(name, reason)
    return bool(reason)


def _read_texts(
    files: Sequence[Path], encoding: str, source: str
) -> tuple[list[str], dict[int, str]]:
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
