"""The directory of a fit: its lock, where the fit resumes, and its files once it is finished."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kft.backends import backend
from kft.cache.store import FeatureStore, opened_store
from kft.callbacks import RunCheckpoint
from kft.distribution import processes
from kft.errors import InputError
from kft.family.description import read_description
from kft.runs import atomic, commits, json_files
from kft.runs.differences import plan_difference
from kft.runs.files import WriteError, writing_to
from kft.runs.locks import RunLock
from kft.runs.places import BEGUN, RECIPE, is_empty
from kft.runs.reading import check_tree
from kft.runs.signals import stoppable
from kft.training.cached_stages import CachedStage

FEATURES = "features"
STATE = "state"
REFIT = "refit"
WARM_START = "warm_start"
_LOCK = ".lock"


@dataclasses.dataclass
class RunDirectory:
    """The files that `Recipe.fit` keeps on disk; without a path, only features while it runs.

    The directory of an unfinished run contains `begun.json` with the plan, `state` with commits,
    `features`, `warm_start` with commits of the training before the stages, and `refit` with the same for
    the final training on all data. Once the run is finished, the trained recipe replaces everything but
    the features. Of several processes only the first reads and writes, and shares the results.

    Args:
        path: The directory, or None.
        plan: Everything that affects what the run computes, as JSON.
        allow_changed_plan: Whether to continue an unfinished run of another plan.
    """

    path: Path | None
    plan: Mapping[str, Any]
    allow_changed_plan: bool = False

    def is_finished(self) -> bool:
        """Return whether the directory contains exactly this run, finished.

        Raises:
            InputError: If it contains another run, or files that are not a run.
        """
        return processes.on_first(self._is_finished)

    def _is_finished(self) -> bool:
        path = self.path
        if path is None or not os.path.exists(path):  # False for a name that is too long, too
            return False
        if not os.path.isdir(path):
            raise InputError(f"`run_dir={str(path)!r}` is a file: pass a directory.")
        check_tree(path)
        if os.path.isfile(path / RECIPE):
            self._compare(read_description(path).get("plan"), changes=False)
            self._remove_leftovers(path)
            return True
        if os.path.isfile(path / BEGUN):
            begun = _read_begun(path)
            self._compare(begun["plan"], self.allow_changed_plan)
            self._compare_backend(begun.get("backend"))
        elif not is_empty(path, besides=(FEATURES, WARM_START, STATE, REFIT)):
            raise InputError(
                f"`run_dir={str(path)!r}` holds files, but no run: pass a new directory."
            )
        return False

    def _remove_leftovers(self, path: Path) -> None:
        """Remove what is left of a finished run whose process was killed while it finished."""
        if any(
            name in (BEGUN, WARM_START, STATE, REFIT) or name.startswith(".")
            for name in os.listdir(path)
        ):
            with contextlib.suppress(InputError, OSError), RunLock(path, _LOCK):
                atomic.remove_half_written(path)
                self.finish()

    @contextlib.contextmanager
    def held(
        self,
        features: str | os.PathLike[str] | None = None,
        dtype: str = "float32",
        needs: int = 0,
        verbose: int | str = 0,
    ) -> Iterator[FeatureStore]:
        """Lock the directory against other processes, and yield the store of frozen features.

        Args:
            features: A directory that several runs share. Defaults to one inside this directory.
            dtype: The dtype in which features are stored.
            needs: The size of the trained weights in bytes.
            verbose: As for `kft.cache.store.FeatureStore`.

        Raises:
            InputError: If another process is using the directory, it has no room or cannot be written
                to, or the dtype is unknown.
        """
        with contextlib.ExitStack() as stack:
            path = self.path
            if path is not None:
                lock = RunLock(path, _LOCK)
                processes.on_first(lock.acquire)
                stack.callback(lock.release)
                processes.on_first(lambda: self._check_unfinished(path, needs))
                features = features or path / FEATURES
            yield stack.enter_context(opened_store(features, dtype, verbose))

    def _check_unfinished(self, path: Path, needs: int) -> None:
        """Check, once the lock is held, that there is a run to finish and room for it."""
        if os.path.isfile(path / RECIPE):
            raise InputError(
                f"`run_dir={str(path)!r}` has just been finished by another process: the same call "
                "loads the run."
            )
        atomic.try_writing(path)
        disk = shutil.disk_usage(path)
        if disk.total and disk.free < needs:  # some network drives report 0
            raise WriteError(
                f"`run_dir={str(path)!r}` has room for {disk.free / 1e6:,.1f} MB, but the trained weights "
                f"take {needs / 1e6:,.1f} MB: make room there, or pass another directory."
            )

    def decisions(self) -> list[bool] | None:
        """Return which stages cached features when the run began; None if it begins now.

        A resumed run repeats these decisions, since a cached stage rounds in another order.
        """
        return processes.on_first(self._decisions)

    def _decisions(self) -> list[bool] | None:
        if self.path is None or not os.path.isfile(self.path / BEGUN):
            return None
        return list(_read_begun(self.path)["cached"]) or None

    def begin_before_stages(self) -> None:
        """Record the run's plan, before it is known which stages cache features.

        Raises:
            WriteError: If the directory cannot be written to.
        """
        if self.path is not None and not os.path.isfile(self.path / BEGUN):
            self.begin(())

    def begin(self, stages: Sequence[CachedStage]) -> None:
        """Record the run's plan and which stages cache features, before the first step.

        Raises:
            WriteError: If the directory cannot be written to.
        """
        if self.path is not None and processes.rank() == 0:
            cached = [stage.cut is not None for stage in stages]
            content = {"plan": self.plan, "cached": cached, "backend": backend().name}
            hidden = self.path / f".{BEGUN}"
            with writing_to(self.path):
                self.path.mkdir(exist_ok=True)
                json_files.write_json(hidden, content)
                hidden.replace(self.path / BEGUN)

    def checkpoint(self, every: Any, place: str = STATE) -> list[RunCheckpoint]:
        """Return the callback that commits the run's state, in a list that is empty without a directory.

        Args:
            every: How often, as for `kft.Resume`.
            place: The name of a sub-directory.
        """
        if self.path is None:
            return []
        on_mismatch = "continue" if self.allow_changed_plan else "error"
        return [RunCheckpoint(self.path / place, every, keep=2, on_mismatch=on_mismatch)]

    def for_refit(self) -> RunDirectory:
        """Return the directory of the final training on all data."""
        path = None if self.path is None else self.path / REFIT
        return RunDirectory(path, self.plan, self.allow_changed_plan)

    def keep(self, write: Callable[[], None]) -> None:
        """Write the trained recipe, and remove the commits once that has succeeded.

        Args:
            write: Writes it to the directory.

        Raises:
            WriteError: If the directory cannot be written to; the message says what is kept.
        """
        path = self.path
        if path is None:
            return
        try:
            processes.on_first(write)
        except OSError as error:
            raise WriteError(
                f"The trained recipe could not be written to `{path}` ({error.__cause__ or error}). "
                f"Make room there: {kept_message(path)}"
            ) from error
        self.finish()

    def finish(self) -> None:
        """Remove what only an unfinished run needs, after the trained recipe has been written."""
        if self.path is not None and processes.rank() == 0:
            with contextlib.suppress(OSError):  # the next call tries again
                (self.path / BEGUN).unlink(missing_ok=True)
                for place in (WARM_START, STATE):
                    commits.clear(self.path / place)
                if os.path.isdir(self.path / REFIT):
                    shutil.rmtree(self.path / REFIT)

    def _compare_backend(self, began_on: Any) -> None:
        now = backend().name
        if began_on != now and not self.allow_changed_plan:
            raise InputError(
                f"`run_dir={str(self.path)!r}` was begun on {began_on}, and this is {now}, which rounds "
                f"in another way: continue with KERAS_BACKEND={began_on}, or pass another run_dir."
            )

    def _compare(self, old: Any, changes: bool) -> None:
        difference = plan_difference(old or {}, self.plan)
        if difference and not changes:
            raise InputError(
                f"`run_dir={str(self.path)!r}` belongs to another plan: {'; '.join(difference[:8])}. "
                "Pass another run_dir, or the same settings."
            )


def _read_begun(path: Path) -> dict[str, Any]:
    begun = json_files.read_json(path / BEGUN)
    cached = begun.get("cached") if isinstance(begun, dict) else None
    is_sound = isinstance(cached, list) and all(isinstance(one, bool) for one in cached)
    if not is_sound or not isinstance(begun.get("plan"), dict):
        raise InputError(f"`{path / BEGUN}` is damaged: restore it from a copy.")
    return begun


@contextlib.contextmanager
def stopped_safely(path: Path | None) -> Iterator[None]:
    """Let SIGTERM and SIGINT end a fit with exit code 75 and a message about what is kept.

    Args:
        path: The run directory; if None nothing is kept, and signals act as usual.
    """
    if path is None:
        yield
        return
    with stoppable(lambda: kept_message(path), at_once=processes.rank() == 0):
        yield


def kept_message(path: Path) -> str:
    """Return a sentence about what of a run is kept, and what repeating the call does."""
    if os.path.isfile(path / RECIPE):
        return f"the trained weights are kept in {path}; run it again to complete the run."
    for place in (path / STATE, path / WARM_START):
        if any(place.glob("commit-*")):
            return f"the state is committed to {place}; run it again to resume from there."
    return f"no training is kept in {path} yet; run it again to start from the beginning."


def unused_path(path: Path) -> Path:
    """Return the path itself if nothing exists there, otherwise the first free of `path-2`, `path-3`, ..."""
    number, chosen = 1, path
    while os.path.exists(chosen):
        number += 1
        chosen = path.with_name(f"{path.name}-{number}")
    return chosen
