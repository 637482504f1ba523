"""`FeatureStore`: the cache of frozen features on disk."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import keras

from kft.cache.cut import Cut
from kft.cache.dtypes import DTYPES, stored_as
from kft.cache.eviction import HIDDEN, evict
from kft.cache.features import Features
from kft.cache.files import open_features, write_manifest
from kft.cache.folding import folded
from kft.cache.key import features_key
from kft.cache.rows import RowWriter
from kft.data.batches import Batches
from kft.distribution import hosts, processes
from kft.distribution.model_copies import copied
from kft.errors import InputError
from kft.model.forward import Forward
from kft.report.progress import SHORT, Progress
from kft.runs.files import sync_tree
from kft.runs.hidden import hidden_directory, remove_hidden
from kft.runs.locks import RunLock

_LOCK = ".lock"
_PASS = "Computing frozen features"


class FeatureStore:
    """A content-addressed directory of features, under keys made from all that affects them.

    Args:
        directory: the directory, which is created on the first write.
        limit: the maximum size in bytes, beyond which the least recently used features are evicted.
            Defaults to 50 GB.
        verbose: how to show the progress of a pass, as for `kft.report.progress.Progress`. Defaults
            to 0, not at all.
        dtype: `"float32"` stores features unchanged, `"float16"` and `"bfloat16"` in half the
            space, rounded: to 11 significant bits up to 65,504, or to 8 bits in float32's range.

    Attributes:
        passes: the number of examples computed so far, as opposed to found on disk.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        limit: int = 50 * 10**9,
        dtype: str = "float32",
        verbose: int | str = 0,
    ) -> None:
        if dtype not in DTYPES:
            raise InputError(f"`dtype={dtype!r}`: pass one of {', '.join(map(repr, DTYPES))}.")
        if limit < 0:
            raise InputError(f"`limit={limit!r}`: pass a number of bytes, 0 or more.")
        self.directory, self.limit, self.dtype = Path(directory), limit, dtype
        self.verbose = verbose
        self._compiled: tuple[tuple[Cut, ...], Forward] | None = None
        self._fetched: list[Features] = []
        self.passes = 0

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files of all fetched features, which also frees the space of evicted ones."""
        while self._fetched:
            self._fetched.pop().close()
        self._compiled = None

    def fetch(
        self, cuts: Sequence[Cut], batches: Batches, identity: str, views: int = 1
    ) -> list[Features | None]:
        """Return the features of all examples at each cut, from disk or computed in a single pass.

        Features on disk are verified by their checksums first; damaged ones are computed again,
        with a warning.

        Args:
            cuts: cuts of one model; those that are not on disk yet are computed together.
            batches: the examples as the model takes them, not shuffled; no batch has longer
                sequences than the first.
            identity: everything besides the examples that affects the model's inputs: the
                preprocessing.
            views: the number of epochs of the batches to cache, each with another augmentation.

        Returns:
            Features for each cut; None, with a warning, for those that could not be written.
        """
        folders = [
            self.directory / features_key(cut, batches.examples, identity, self.dtype)
            for cut in cuts
        ]
        wanted = dict(zip(folders, cuts, strict=True))
        found = {folder: self._open(folder, cut) for folder, cut in wanted.items()}
        missing = {folder: cut for folder, cut in wanted.items() if found[folder] is None}
        for folder in wanted.keys() - missing.keys():
            with contextlib.suppress(OSError):  # the folder may belong to another user
                os.utime(folder)
        try:
            if missing:
                written = self._write_alone(missing, batches, views)
                for folder, cut in missing.items():
                    found[folder] = self._open(folder, cut, computed=folder in written)
        except OSError as error:
            warnings.warn(
                f"The frozen features could not be written to {self.directory} ({error}): the stage "
                "continues without them, slower and with the same result.",
                stacklevel=2,
            )
        evict(self.directory, self.limit, folders)
        return [found[folder] for folder in folders]

    def _open(self, folder: Path, cut: Cut, computed: bool = False) -> Features | None:
        try:
            arrays = open_features(folder)
        except (OSError, ValueError) as error:
            warnings.warn(
                f"The frozen features in {folder} cannot be used ({error}): they are computed again.",
                stacklevel=3,
            )
            return None
        if arrays is None:
            return None
        self._fetched.append(Features(arrays, computed, cut.varies))
        return self._fetched[-1]

    def _write_alone(
        self, missing: dict[Path, Cut], batches: Batches, views: int
    ) -> dict[Path, Cut]:
        """Write and return the features that no other process wrote while this one waited."""
        self.directory.mkdir(parents=True, exist_ok=True)
        remove_hidden(self.directory, HIDDEN)
        lock = RunLock(self.directory, _LOCK)
        with contextlib.suppress(InputError):  # without the lock work may be done twice, no more
            lock.acquire(wait=math.inf)
        try:
            missing = {folder: cut for folder, cut in missing.items() if not _is_whole(folder)}
            if missing:
                with hosts.alone():  # the other processes wait and cannot take part
                    self._write(missing, batches, views)
        finally:
            lock.release()
        return missing

    def _write(self, missing: dict[Path, Cut], batches: Batches, views: int) -> None:
        with contextlib.ExitStack() as stack:
            hidden = {
                stack.enter_context(hidden_directory(self.directory, HIDDEN)): folder
                for folder in missing
            }
            cuts = dict(zip(hidden, missing.values(), strict=True))
            for unfinished, writers in self._run(cuts, batches, views, stack).items():
                write_manifest(unfinished, hidden[unfinished].name, writers)
            for unfinished, folder in hidden.items():
                self._publish(unfinished, folder)

    def _publish(self, unfinished: Path, folder: Path) -> None:
        """Make complete features visible, in place of damaged ones if there are any."""
        sync_tree(unfinished)
        if folder.is_dir():
            with hidden_directory(self.directory, HIDDEN) as damaged:
                folder.rename(damaged / folder.name)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process without the lock was faster
                raise

    def _run(
        self, cuts: dict[Path, Cut], batches: Batches, views: int, stack: contextlib.ExitStack
    ) -> dict[Path, list[RowWriter]]:
        """Run the prefixes once over the examples, with one batch in memory at a time."""
        folders = [folder for folder, cut in cuts.items() for _ in cut.prefix.outputs]
        forward = self.forward(tuple(cuts.values()))
        count, size = len(batches.examples), batches.batch_size
        writers: dict[Path, list[RowWriter]] = {folder: [] for folder in cuts}
        bar = Progress(_PASS, views * count, verbose=self.verbose, after=SHORT)
        progress = stack.enter_context(bar)
        for place in range(views * len(batches)):
            view, index = divmod(place, len(batches))
            batches.epoch = view
            rows = batches.order(view)[index * size : (index + 1) * size] + view * count
            outputs = keras.tree.flatten(forward(batches[index][0]))
            if not place:  # the longest texts come first
                for folder, output in zip(folders, outputs, strict=True):
                    path = folder / f"{len(writers[folder])}.npy"
                    shape = (views * count, *output.shape[1:])
                    writer = RowWriter(path, shape, stored_as(output.dtype, self.dtype))
                    writers[folder].append(stack.enter_context(contextlib.closing(writer)))
            every = [writer for of_one in writers.values() for writer in of_one]
            for writer, output in zip(every, outputs, strict=True):
                writer.write(rows, output)
            progress.advance(len(rows))
        self.passes += views * count
        return writers

    def forward(self, cuts: tuple[Cut, ...]) -> Forward:
        """Return the compiled forward pass through the prefixes of cuts of one model.

        It is reused for the same cuts, so that validation data need no second compilation.

        Args:
            cuts: the cuts.
        """
        if self._compiled is None or self._compiled[0] != cuts:
            tensors = [tensor for cut in cuts for tensor in cut.prefix.outputs]
            prefix = keras.Model(cuts[0].prefix.input, tensors)
            prefix = copied(prefix) if hosts.count() > 1 else prefix
            self._compiled = cuts, Forward(folded(prefix))
        return self._compiled[1]


@contextlib.contextmanager
def opened_store(
    directory: str | os.PathLike[str] | None = None,
    dtype: str = "float32",
    verbose: int | str = 0,
) -> Iterator[FeatureStore]:
    """Open a store, and close its files at the end.

    Args:
        directory: The directory of the features. Defaults to a temporary one that is removed at the
            end; those of killed processes are removed first.
        dtype: The type in which features are stored.
        verbose: As for `FeatureStore`.
    """
    if directory is not None:
        with FeatureStore(directory, dtype=dtype, verbose=verbose) as store:
            yield store
        return
    parent, prefix = Path(tempfile.gettempdir()), "kft-features-"
    remove_hidden(parent, prefix)
    with hidden_directory(parent, prefix) as folder:
        folder.chmod(0o700)  # the temporary directory is shared by all users
        place = processes.from_first(str(folder))
        with FeatureStore(place, dtype=dtype, verbose=verbose) as store:
            yield store


def _is_whole(folder: Path) -> bool:
    """Return whether a folder holds undamaged features."""
    try:
        arrays = open_features(folder)
    except (OSError, ValueError):
        return False
    for array in arrays or ():
        array.close()
    return arrays is not None
