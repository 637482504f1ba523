"""The directory of a fit: who owns it, where a fit resumes, and what it becomes when it is finished."""

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
from kft.runs.places import RECIPE, is_empty
from kft.runs.reading import check_tree
from kft.runs.signals import stoppable
from kft.training.cached_stages import CachedStage

FEATURES = "features"
STATE = "state"
REFIT = "refit"
WARM_START = "warm_start"
BEGUN = "begun.json"
_LOCK = ".lock"


@dataclasses.dataclass
class RunDirectory:
    """What `Recipe.fit` keeps on disk; without a path, features for as long as it takes.

    While a run is unfinished its directory holds `begun.json` with the plan, `state` with commits,
    `features`, `warm_start` with commits of what comes before the stages, and `refit` with the same for what
    trains on all data at the end. When it is finished all but the features give way to the trained
    recipe. Of several processes the first one alone reads and writes; the others learn from it.

    Args:
        path: the directory, or None.
        plan: everything that decides what the run computes, as JSON.
        allow_changed_plan: whether an unfinished run of another plan is gone on with.
    """

    path: Path | None
    plan: Mapping[str, Any]
    allow_changed_plan: bool = False

    def is_finished(self) -> bool:
        """Whether the directory holds this very run, finished.

        Raises:
            InputError: it holds another run, or files that are no run.
        """
        return processes.decided(self._is_finished)

    def _is_finished(self) -> bool:
        path = self.path
        if path is None or not os.path.exists(path):  # False for a name that is too long, too
            return False
        if not path.is_dir():
            raise InputError(f"`run_dir={str(path)!r}` is a file: pass a directory.")
        check_tree(path)
        if (path / RECIPE).is_file():
            self._compare(read_description(path).get("plan"), changes=False)
            self._remove_leftovers(path)
            return True
        if (path / BEGUN).is_file():
            begun = _read_begun(path)
            self._compare(begun["plan"], self.allow_changed_plan)
            self._compare_backend(begun.get("backend"))
        elif not is_empty(path, besides=(FEATURES, WARM_START, STATE, REFIT)):
            raise InputError(
                f"`run_dir={str(path)!r}` holds files, but no run: pass a new directory."
            )
        return False

    def _remove_leftovers(self, path: Path) -> None:
        """Remove what a process left of a finished run that was killed as it finished."""
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
        """Keep other processes out, and give the place for frozen features.

        Args:
            features: a place that several runs share. By default one in the directory.
            dtype: what features are kept as.
            needs: how many bytes the trained weights have.
            verbose: as for `kft.cache.store.FeatureStore`.

        Raises:
            InputError: another process is using the directory, it has no room or cannot be written
                to, or the dtype is unknown.
        """
        with contextlib.ExitStack() as stack:
            path = self.path
            if path is not None:
                lock = RunLock(path, _LOCK)
                processes.decided(lock.acquire)
                stack.callback(lock.release)
                processes.decided(lambda: self._check_unfinished(path, needs))
                features = features or path / FEATURES
            yield stack.enter_context(opened_store(features, dtype, verbose))

    def _check_unfinished(self, path: Path, needs: int) -> None:
        """Check, now that nobody else can write there, that there is a run to finish and room for it."""
        if (path / RECIPE).is_file():
            raise InputError(
                f"`run_dir={str(path)!r}` has just been finished by another process: the same call "
                "loads the run."
            )
        atomic.try_writing(path)
        disk = shutil.disk_usage(path)
        if disk.total and disk.free < needs:  # some network drives do not tell
            raise WriteError(
                f"`run_dir={str(path)!r}` has room for {disk.free / 1e6:,.1f} MB, but the trained weights "
                f"take {needs / 1e6:,.1f} MB: make room there, or pass another directory."
            )

    def decisions(self) -> list[bool] | None:
        """Which stages had their features kept when they began; None if they begin now.

        A resumed run does as it did before, since a cached stage rounds its numbers in another order.
        """
        return processes.decided(self._decisions)

    def _decisions(self) -> list[bool] | None:
        if self.path is None or not (self.path / BEGUN).is_file():
            return None
        return list(_read_begun(self.path)["cached"]) or None

    def begin_before_stages(self) -> None:
        """Note what the run is, before it is known which stages have their features kept.

        Raises:
            WriteError: the directory cannot be written to.
        """
        if self.path is not None and not (self.path / BEGUN).is_file():
            self.begin(())

    def begin(self, stages: Sequence[CachedStage]) -> None:
        """Note what the run is, before its first step.

        Raises:
            WriteError: the directory cannot be written to.
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
        """The callback that commits the run's state, if there is somewhere to keep it.

        Args:
            every: how often, as for `kft.Resume`.
            place: the name of the directory in this one.
        """
        if self.path is None:
            return []
        on_mismatch = "continue" if self.allow_changed_plan else "error"
        return [RunCheckpoint(self.path / place, every, keep=2, on_mismatch=on_mismatch)]

    def for_refit(self) -> RunDirectory:
        """The directory of what trains on all data at the end of this run."""
        path = None if self.path is None else self.path / REFIT
        return RunDirectory(path, self.plan, self.allow_changed_plan)

    def keep(self, write: Callable[[], None]) -> None:
        """Write the trained recipe; the commits stay until that is done.

        Args:
            write: writes it to the directory.

        Raises:
            WriteError: the directory cannot be written to; the message says what is kept.
        """
        path = self.path
        if path is None:
            return
        try:
            processes.decided(write)
        except OSError as error:
            raise WriteError(
                f"The trained recipe could not be written to `{path}` ({error.__cause__ or error}). "
                f"Make room there: {standing(path)}"
            ) from error
        self.finish()

    def finish(self) -> None:
        """Remove what only an unfinished run needs, once the trained recipe has been written."""
        if self.path is not None and processes.rank() == 0:
            with contextlib.suppress(OSError):  # the next call tries again
                (self.path / BEGUN).unlink(missing_ok=True)
                for place in (WARM_START, STATE):
                    commits.clear(self.path / place)
                if (self.path / REFIT).is_dir():
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
    """Let SIGTERM and SIGINT end a fit with exit code 75 and a word on where it stands.

    Args:
        path: the run directory; without one nothing is kept, and nothing changes.
    """
    if path is None:
        yield
        return
    with stoppable(lambda: standing(path), at_once=processes.rank() == 0):
        yield


def standing(path: Path) -> str:
    """Return a sentence on what of a run is kept in its directory, and what the same call does."""
    if (path / RECIPE).is_file():
        return f"the trained weights are kept in {path}; run it again to complete the run."
    for place in (path / STATE, path / WARM_START):
        if any(place.glob("commit-*")):
            return f"the state is committed to {place}; run it again to resume from there."
    return f"no training is kept in {path} yet; run it again to begin anew."


def fresh(path: Path) -> Path:
    """The directory itself if nothing is there yet, or else the first of `path-2`, `path-3`, ..."""
    number, chosen = 1, path
    while chosen.exists():
        number += 1
        chosen = path.with_name(f"{path.name}-{number}")
    return chosen
