"""The files of a folder by class, and checks that its sub-folders are classes."""

import os
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from kft.data.bad import BadExamples
from kft.data.dataset_parts import class_folders, part_names
from kft.data.encodings import is_unicode
from kft.data.files import shown
from kft.data.folder_walk import entries_of, leads_astray
from kft.data.kinds.classes import check_classes
from kft.data.modality import Modality
from kft.data.names import clean
from kft.errors import InputError

__all__ = ["ClassFolders"]


class ClassFolders:
    """The files of a folder that has one sub-folder per class.

    Args:
        root: The folder.
        modality: The kind of the files.
        source: The name of the folder in messages.
        bad: Collects the files that cannot be used.

    Raises:
        InputError: There are no class folders or files, or the sub-folders are parts of a dataset.

    Attributes:
        files: The files, ordered by class and path.
        labels: The class of each.
        folders: The folder of each class.
    """

    def __init__(self, root: Path, modality: Modality, source: str, bad: BadExamples) -> None:
        self.root, self.modality, self.source, self.bad = root, modality, source, bad
        self.suffixes = modality.suffixes
        self.files: list[Path] = []
        self.labels: list[str] = []
        self.folders: dict[str, Path] = {}
        for entry in entries_of(root, root, bad):
            if leads_astray(entry, root, bad):
                continue
            if entry.is_dir():
                self._add_class(entry)
            elif Path(entry.name).suffix.lower() in self.suffixes:
                bad.add(entry.name, "lies outside the class folders, so it has no label")
        self._refuse_parts()
        for name, folder in self.folders.items():
            within = modality.below(folder, root, bad)
            self.files += within
            self.labels += [name] * len(within)
        self._refuse_nothing()

    def check_several(self) -> None:
        """Check that there are at least two classes.

        Raises:
            InputError: There are fewer; a single one may contain the actual class folders.
        """
        if len(self.folders) == 1:
            (name, folder), *_ = self.folders.items()
            inside = sorted(class_folders(folder, self.modality))
            if len(inside) > 1:
                raise InputError(
                    f"{self.source} has one folder, {name!r}, which has the folders "
                    f"{', '.join(map(repr, inside[:10]))}: pass {shown(folder)} if these are the classes"
                )
        check_classes(sorted(self.folders), self.source)

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
        """Refuse parts such as `train` and `test`, which would be mistaken for classes."""
        names = sorted(self.folders)
        inside = {name: class_folders(one, self.modality) for name, one in self.folders.items()}
        parts = part_names(inside)
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

    def _refuse_nothing(self) -> None:
        if not self.folders and not self.files:
            found = len(self.bad.found)
            stray = f" ({found} files lie in it without a class)" if found else ""
            raise InputError(
                f"{self.source} has no class folders{stray}: expected one sub-folder per class, such "
                f"as {shown(self.root.name)}/cat and {shown(self.root.name)}/dog, with "
                f"{self.modality.name} files in each"
            )
        if not self.files and not self.bad.found:
            raise InputError(
                f"{self.source} is empty: its class folders {', '.join(sorted(self.folders))} have no "
                f"files; put {self.modality.name} files into them"
            )


def _first_part(names: Sequence[str]) -> str:
    # The earliest "train" in a name wins, so that "train" is preferred to "untrained".
    found = [name for name in names if "train" in name.lower()]
    return min(found, key=lambda name: name.lower().index("train"), default=names[0])
