"""The process that hands out the trials of a search and recovers from dead workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from keras_tuner.engine.trial import Trial as Asked
from keras_tuner.engine.trial import TrialStatus

from kft.errors import KftError
from kft.printing import how_many
from kft.tuning.chief_journal import ChiefJournal, end, give_back, values_of
from kft.tuning.fleet import Fleet
from kft.tuning.roles import Role
from kft.tuning.rpc import serve
from kft.tuning.trials import Trial, is_held, read_trial, trial_folder, write_trial

JOURNAL = "chief.jsonl"
GRACE = 5.0  # seconds in which workers can still learn that the search is over
ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)
STUCK = 5  # a silent process that still holds its trial's lock is given this many times `patience`
DEATHS = 3  # dead workers after which a trial counts as failed


class Chief:
    """Hand out an oracle's trials to workers, and reclaim those of workers that died.

    While a worker runs a trial, it keeps requesting it and gets the same one, which shows the chief
    that it is alive. Everything is written to a journal, from which the next chief resumes if this
    one is killed. Scores are read from the files of trials, not from messages of workers.

    Args:
        oracle: The `keras_tuner.Oracle`.
        run_dir: The directory of the search, which workers share.
        trials_dir: The directory in which workers write the results of trials.
        ended: Called with each `Trial` that ended; returns why no further one may begin, or None.

    Attributes:
        patience: Seconds of silence after which a worker counts as dead.
        absent: Seconds without any worker after which the chief gives up.
    """

    patience: ClassVar[float] = 60.0
    absent: ClassVar[float] = 600.0

    def __init__(
        self,
        oracle: Any,
        run_dir: Path,
        trials_dir: Path,
        ended: Callable[[Trial], str | None],
    ) -> None:
        oracle.max_retries_per_trial = 10**6  # retries are counted here
        self.oracle, self.trials_dir, self.ended = oracle, trials_dir, ended
        self.stopped: str | None = None
        self.journal = ChiefJournal(run_dir / JOURNAL)
        self._lost = self.journal.replay(oracle)
        self._resumed = bool(oracle.trials)
        self._began = time.monotonic() - self.journal.seconds
        self._seen = dict.fromkeys(oracle.ongoing_trials, time.monotonic())
        self._given = {name: trial.trial_id for name, trial in oracle.ongoing_trials.items()}
        self._last_word = time.monotonic()
        self._told: set[str] = set()
        self._exhausted = self.journal.over >= oracle.max_trials
        self._lock = threading.RLock()

    @property
    def seconds(self) -> float:
        """The seconds that the search has run, including earlier chiefs."""
        return time.monotonic() - self._began

    def run(self, role: Role, fleet: Fleet | None = None) -> None:
        """Serve until all trials have ended.

        Args:
            role: Where to listen.
            fleet: Starts the chief's own workers; None if they are started elsewhere.

        Raises:
            KftError: If no workers are left.
        """
        for trial in list(self.oracle.trials.values()):
            known = read_trial(self._folder(trial))
            if known is not None and trial.status in ENDED:
                self._hear(known)
            else:
                self._settle(trial)
        server, port = serve(self, role)
        try:
            if fleet is not None:
                fleet.start(port)
            while not self._finished():
                time.sleep(0.1)
                self.look_after(fleet)
            until = time.monotonic() + GRACE
            while time.monotonic() < until and not self._all_told(fleet):
                time.sleep(0.1)
        finally:
            if fleet is not None:
                fleet.stop()
            server.stop(None).wait(GRACE)

    def look_after(self, fleet: Fleet | None) -> None:
        """Reclaim the trials of dead workers, and give up when no worker is left.

        Args:
            fleet: The workers that this process started; None if they are started elsewhere.

        Raises:
            KftError: If no workers are left.
        """
        now = time.monotonic()
        with self._lock:
            gone = set() if fleet is None else fleet.look_after(self._told)
            for name, trial in list(self.oracle.ongoing_trials.items()):
                silent = now - self._seen.get(name, 0.0)
                dead = silent > self.patience and not is_held(self._folder(trial))
                if name in gone or dead or silent > STUCK * self.patience:
                    self._take_back(name, trial)
            if fleet is None and now - self._last_word > self.absent:
                raise KftError(
                    f"no worker has asked for a trial in {self.absent:g} s, so the chief ends with "
                    f"{how_many(len(self.oracle.trials), 'trial')} begun; the same command continues."
                )

    def create_trial(self, tuner_id: str) -> Any:
        """Return a trial for a worker: its current one, a reclaimed one, or a new one."""
        with self._lock:
            self._seen[tuner_id] = self._last_word = time.monotonic()
            ongoing = self.oracle.ongoing_trials
            if tuner_id not in ongoing and (self.stopped or self._exhausted):
                return self._nothing(tuner_id)
            trial = self.oracle.create_trial(tuner_id)
            if trial.status == TrialStatus.STOPPED:
                if not ongoing and not self._exhausted:
                    self._exhausted = True
                    self._note(over=self.oracle.max_trials)
                return self._nothing(tuner_id)
            if trial.status == TrialStatus.RUNNING and self._given.get(tuner_id) != trial.trial_id:
                self._given[tuner_id] = trial.trial_id
                self._note(begin=trial.trial_id, worker=tuner_id, values=values_of(trial))
            return trial

    def end_trial(self, trial_id: str) -> None:
        """Record the result of a trial, unless it has been reported already.

        Raises:
            KftError: If there is no such trial.
        """
        with self._lock:
            self._last_word = time.monotonic()
            if trial_id not in self.oracle.trials:
                raise KftError(f"there is no trial {trial_id!r:.50}")
            self._settle(self.oracle.trials[trial_id])

    def _nothing(self, tuner_id: str) -> Any:
        """Return a trial that says stop, or wait if a running one may still be reclaimed."""
        over = not self.oracle.ongoing_trials
        if over:
            self._told.add(tuner_id)
        status = TrialStatus.STOPPED if over else TrialStatus.IDLE
        return Asked(self.oracle.get_space(), trial_id="none", status=status)

    def _settle(self, trial: Any) -> bool:
        """Report a trial to the oracle if its file exists; return whether it does."""
        known = read_trial(self._folder(trial))
        if known is None:
            return False
        if any(one is trial for one in self.oracle.ongoing_trials.values()):
            self._forget(trial.trial_id)
            end(self.oracle, trial.trial_id, known.score)
            self._note(end=trial.trial_id, score=known.score)
            self._hear(known)
        return True

    def _hear(self, known: Trial) -> None:
        reason = self.ended(known)
        self.stopped = self.stopped or reason

    def _take_back(self, name: str, trial: Any) -> None:
        if self._settle(trial):
            return
        deaths = self._lost[trial.trial_id] = self._lost.get(trial.trial_id, 0) + 1
        self._forget(trial.trial_id)
        if deaths < DEATHS:
            give_back(self.oracle, trial.trial_id)
            self._note(back=trial.trial_id)
            return
        number, values = int(trial.trial_id) + 1, trial.hyperparameters.values
        reason = f"{deaths} workers died while they ran it."
        failed = Trial(number, dict(values), (), {}, None, reason=reason)
        write_trial(self._folder(trial), failed)
        self._settle(trial)

    def _forget(self, trial_id: str) -> None:
        self._given = {name: one for name, one in self._given.items() if one != trial_id}

    def _folder(self, trial: Any) -> Path:
        return trial_folder(self.trials_dir, int(trial.trial_id) + 1, trial.hyperparameters.values)

    def _note(self, **line: Any) -> None:
        self.journal.write(self.seconds, **line)

    def _finished(self) -> bool:
        with self._lock:
            if self.oracle.ongoing_trials:
                return False
            # A restarted chief may find all trials ended and no worker left that asks for one.
            ended = [trial for trial in self.oracle.trials.values() if trial.status in ENDED]
            all_ended = len(ended) == len(self.oracle.trials) >= self.oracle.max_trials
            return self._exhausted or self.stopped is not None or all_ended

    def _all_told(self, fleet: Fleet | None) -> bool:
        with self._lock:
            if fleet is not None:
                return fleet.all_ended()
            # Workers of the previous chief may still be trying to reach it.
            return not self._resumed and not set(self._seen) - self._told
