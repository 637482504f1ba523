"""The record of a trial, and its file."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kft.errors import InputError, KftError
from kft.runs.files import WriteError, writing_to
from kft.runs.json_files import read_json, write_json
from kft.runs.locks import InUseError, RunLock
from kft.stages.stage import Stage

PAUSE = 0.3  # seconds between checks of a trial that another process holds
PATIENCE = 60.0  # seconds to wait for a process that may be dead
TRIAL = "trial.json"
RUN = "run"
_NONE = object()
_NOISE = 1e-15  # about four units in the last place of a float


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: Its number, counted from 1 in the order in which trials began.
        values: Its hyperparameters by name.
        stages: The stages that were trained.
        arguments: The arguments that replace those of the recipe of the search.
        augment: The augmentation preset; None for none.
        score: The objective in the best epoch of all stages, with folds its mean over them; None for
            a failed trial.
        best_epoch: That epoch, counted from 1 over all stages; None with folds, which differ in it.
        best_stage: The stage of that epoch, counted from 1; None with folds.
        epochs: The number of epochs that it took, on all folds together.
        seconds: The seconds that it took.
        reason: Why it failed; None for a finished trial.
        run_dir: The run with the weights of the best epoch, for `kft.load`; with folds the directory
            of their runs `fold-1`, `fold-2` and so on.
        fold_scores: The score on each fold; empty without folds.
    """

    number: int
    values: Mapping[str, Any]
    stages: tuple[Stage, ...]
    arguments: Mapping[str, Any]
    augment: str | None
    score: float | None = None
    best_epoch: int | None = None
    best_stage: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    reason: str | None = None
    run_dir: Path | None = None
    fold_scores: tuple[float, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it ended without a score."""
        return self.score is None

    @property
    def standard_error(self) -> float | None:
        """The standard error of the score's mean over folds; None without folds."""
        if not self.fold_scores:
            return None
        return statistics.stdev(self.fold_scores) / math.sqrt(len(self.fold_scores))

    @property
    def shown_score(self) -> str:
        """The score as it is displayed, with its standard error if there is one."""
        if self.score is None:
            return "failed"
        return f"{self.score:.4f}" + (
            "" if self.standard_error is None else f" ± {self.standard_error:.4f}"
        )


def brief(value: Any) -> Any:
    """Return a value without floating-point noise in its last digits.

    KerasTuner adds up steps, so that three steps of 0.1 are 0.30000000000000004.

    Args:
        value: A hyperparameter's value; only a float can change.
    """
    if not isinstance(value, float):
        return value
    short = float(f"{value:.12g}")
    return short if math.isclose(short, value, rel_tol=_NOISE, abs_tol=0.0) else value


def values_digest(values: Mapping[str, Any]) -> str:
    """Return a digest of a trial's values, by which a resumed search finds its finished trials.

    Of Hyperband's own values, only the length of the trial is included.
    """
    kept = {
        name: value
        for name, value in values.items()
        if not name.startswith("tuner/") or name == "tuner/epochs"
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:10]


def trial_folder(trials_dir: Path, number: int, values: Mapping[str, Any]) -> Path:
    """Return the folder of the trial with these values; if there is none, one for this number."""
    digest = values_digest(values)
    found = sorted(trials_dir.glob(f"*-{digest}"))
    return found[0] if found else trials_dir / f"{number:03d}-{digest}"


def write_trial(folder: Path, trial: Trial) -> None:
    """Write a trial's file atomically."""
    content = dataclasses.asdict(trial)
    content["stages"] = [stage.to_dict() for stage in trial.stages]
    content["run_dir"] = None if trial.run_dir is None else trial.run_dir.name
    hidden = folder / f".{TRIAL}.{os.getpid()}"
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(hidden, content)
        hidden.replace(folder / TRIAL)


def read_trial(folder: Path) -> Trial | None:
    """Return the trial that was written to a folder; None if it has not ended."""
    if not (folder / TRIAL).is_file():
        return None
    content = read_json(folder / TRIAL)
    try:
        stages = tuple(Stage(**one) for one in content["stages"])
        folds = tuple(content["fold_scores"])
        trial = Trial(**{**content, "stages": stages, "fold_scores": folds})
        _check(trial, folder)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"`{folder / TRIAL}` is damaged ({error}): restore it from a copy, or remove "
            f"{folder.name} to run the trial again."
        ) from error
    return dataclasses.replace(trial, run_dir=None if trial.run_dir is None else folder / RUN)


def _check(trial: Trial, folder: Path) -> None:
    """Raise `ValueError` for a trial that no search could have written to this folder."""
    kinds: dict[str, tuple[type, ...]] = {
        "number": (int,),
        "values": (dict,),
        "arguments": (dict,),
        "augment": (str, type(None)),
        "score": (int, float, type(None)),
        "best_epoch": (int, type(None)),
        "best_stage": (int, type(None)),
        "epochs": (int,),
        "seconds": (int, float),
        "reason": (str, type(None)),
    }
    for name, allowed in kinds.items():
        if not isinstance(getattr(trial, name), allowed):
            raise ValueError(f"{name} is {getattr(trial, name)!r:.100}")
    by_fold = trial.fold_scores
    if len(by_fold) == 1 or not all(isinstance(score, int | float) for score in by_fold):
        raise ValueError(f"fold_scores is {by_fold!r:.100}")
    if trial.run_dir not in (None, RUN):
        raise ValueError(f"run_dir is {trial.run_dir!r:.100}")
    if not folder.name.endswith(f"-{values_digest(trial.values)}"):
        raise ValueError("its values are not those of its folder")
    values = {name: brief(value) for name, value in trial.values.items()}
    others = [name for name, v in trial.arguments.items() if values.get(name, _NONE) != v]
    if others or (trial.augment or _NONE) not in (_NONE, trial.values.get("augment")):
        raise ValueError("its arguments are not those of its values")


@contextlib.contextmanager
def alone_at(folder: Path) -> Iterator[Trial | None]:
    """Lock a trial, after waiting for a process that still holds it.

    Args:
        folder: The trial's folder.

    Returns:
        A context with the trial if it has ended, or None if it has to be run.

    Raises:
        InUseError: If a process on another host, which may be dead, does not release it in time.
    """
    lock = RunLock(folder)
    began = time.monotonic()
    while True:
        ended = read_trial(folder)
        if ended is not None:
            yield ended
            return
        try:
            lock.acquire()
            break
        except InUseError as error:
            if not error.is_alive and time.monotonic() - began > PATIENCE:
                raise
            time.sleep(PAUSE)
    try:
        yield read_trial(folder)
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Return whether a process holds the lock of a trial."""
    if not folder.is_dir():
        return False
    try:
        with RunLock(folder):
            return False
    except InUseError:
        return True


def read_trials(trials_dir: Path) -> list[Trial]:
    """Return all trials that have ended, in the order of their numbers."""
    found = [read_trial(path.parent) for path in trials_dir.glob(f"*/{TRIAL}")]
    return sorted((trial for trial in found if trial is not None), key=lambda trial: trial.number)


def score_of(history: Mapping[str, Sequence[Any]], objective: Any) -> tuple[float, int, int]:
    """Return the best value of an objective, its epoch and its stage, both counted from 1."""
    best = 0
    scores = [float(value) for value in history[objective.name]]
    for epoch, score in enumerate(scores):
        if objective.better_than(score, scores[best]):
            best = epoch
    return scores[best], best + 1, int(history["stage"][best])


def all_failed(trials: Sequence[Trial]) -> KftError:
    """Return the error for a search whose trials have all failed."""
    reasons = dict.fromkeys(str(trial.reason) for trial in trials)
    return KftError(
        f"every trial failed ({len(trials)}), so the search ends here: {'; '.join(reasons)} "
        "Fix that and pass a new run_dir."
    )


def brief_reason(error: Exception) -> str:
    """Return the first line of an error; some libraries' messages are whole reports."""
    message = next(iter(str(error).strip().splitlines()), "")[:300]
    return message if isinstance(error, KftError) else f"{type(error).__name__}: {message}."


def not_written(error: Exception, run_dir: Path) -> WriteError:
    """Return the error for a search that a full disk stops; no trial is at fault.

    Args:
        error: The error that was raised.
        run_dir: The directory of the search.
    """
    return WriteError(
        f"The search stops, because a trial could not be written: {brief_reason(error)} Make room "
        f"in `{run_dir}`, and make the same call again to continue."
    )
