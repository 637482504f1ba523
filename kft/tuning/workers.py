"""Who runs the trials of a search: this process, workers that it starts, or workers elsewhere."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from kft.arguments import is_whole, shown
from kft.errors import InputError
from kft.runs.locks import RunLock
from kft.tuning.chief import Chief
from kft.tuning.fleet import Fleet
from kft.tuning.roles import LOOPBACK, SECRET, Role, allow, find_role, find_secret
from kft.tuning.trials import Trial
from kft.tuning.tuner import TRIALS, StagedTuner
from kft.tuning.worker import Worker, wait_for_chief

STATE = "state"
LOGS = "workers"


class Workers:
    """The processes of a search, as seen by this one.

    Args:
        role: this process' part; None if it is the only one.
        fleet: the workers that it starts.
    """

    def __init__(self, role: Role | None, fleet: Fleet | None) -> None:
        self.role, self.fleet = role, fleet

    @classmethod
    def of(cls, workers: int | None, host: str | None, run_dir: Path) -> Workers:
        """Return the workers that a person asked for, by arguments or by KerasTuner's environment.

        Args:
            workers: How many workers to start; None for none.
            host: The address to listen at, None for loopback only.
            run_dir: The directory of the search.

        Raises:
            InputError: If `workers` is not a number of workers, or the environment is wrong.
        """
        if workers is not None and not is_whole(workers, 1, 1000):
            raise InputError(
                f"`workers={shown(workers)}`: pass a number of processes, from 1 to 1000."
            )
        if host is not None and not (isinstance(host, str) and host.strip()):
            raise InputError(f"`host={shown(host)}`: pass an address of this machine.")
        role = find_role(host)
        if role is not None or workers is None:
            return cls(role, None)
        secret = find_secret() if os.environ.get(SECRET) else secrets.token_urlsafe(32)
        role = Role("chief", host or LOOPBACK, 0, secret)
        allow(role.host, host)
        return cls(role, Fleet(workers, role.host, run_dir / LOGS, secret))

    @property
    def is_worker(self) -> bool:
        """Whether trials are handed out elsewhere."""
        return self.role is not None and not self.role.is_chief

    @property
    def concludes(self) -> bool:
        """Whether this process writes the outcome."""
        return not self.is_worker

    def wait_for_chief(self, claimed: Path) -> None:
        """Let the chief be first.

        Args:
            claimed: the file by which a directory belongs to a search.
        """
        if self.is_worker:
            assert self.role is not None
            wait_for_chief(self.role, claimed)

    def alone_in(self, run_dir: Path) -> contextlib.AbstractContextManager:
        """Keeps other searches out of the directory; workers share it."""
        return contextlib.nullcontext() if self.is_worker else RunLock(run_dir / STATE)

    def tuner(self, *args: Any, **settings: Any) -> StagedTuner:
        """The tuner for this process' part, with the arguments of `StagedTuner`."""
        if self.is_worker:
            assert self.role is not None
            return Worker(self.role, *args, **settings)
        return StagedTuner(*args, **settings)

    def search(self, tuner: StagedTuner, train: Any, validation: Any) -> str | None:
        """As `StagedTuner.search`, by whoever runs the trials."""
        if self.role is None or self.is_worker:
            return tuner.search(train, validation)

        def ended(trial: Trial) -> str | None:
            tuner.note(trial, chief.seconds)
            return tuner.over(chief.seconds)

        chief = Chief(tuner.oracle, tuner.run_dir, tuner.run_dir / TRIALS, ended)
        chief.run(self.role, self.fleet)
        return chief.stopped
