"""The processes that run the trials of a search: this one, its workers, or workers elsewhere."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kft.arguments import is_whole, shown
from kft.errors import InputError
from kft.runs.locks import RunLock
from kft.tuning.chief import Chief
from kft.tuning.fleet import Fleet
from kft.tuning.parts import Part
from kft.tuning.roles import LOOPBACK, SECRET, Role, allow, find_role, find_secret
from kft.tuning.trials import Trial
from kft.tuning.tuner import TRIALS, StagedTuner
from kft.tuning.worker import Worker, wait_for_chief

STATE = "state"
LOGS = "workers"


class Workers:
    """The processes of a search, as seen by this one.

    Args:
        role: The role of this process; None if it is the only one.
        fleet: The workers that it starts.
    """

    def __init__(self, role: Role | None, fleet: Fleet | None) -> None:
        self.role, self.fleet = role, fleet

    @classmethod
    def of(cls, workers: int | None, host: str | None, run_dir: Path) -> Workers:
        """Return the workers that the user set by arguments or by KerasTuner's environment variables.

        Args:
            workers: The number of workers to start; None for none.
            host: The address to listen at; None for loopback only.
            run_dir: The directory of the search.

        Raises:
            InputError: If an argument or an environment variable is wrong.
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
        """Whether another process hands out the trials."""
        return self.role is not None and not self.role.is_chief

    @property
    def concludes(self) -> bool:
        """Whether this process writes the result."""
        return not self.is_worker

    def wait_for_chief(self, claimed: Path) -> None:
        """Make a worker wait until the chief has claimed the directory.

        Args:
            claimed: The file that marks a directory as claimed by a search.
        """
        if self.is_worker:
            assert self.role is not None
            wait_for_chief(self.role, claimed)

    def alone_in(self, run_dir: Path) -> contextlib.AbstractContextManager:
        """Lock the directory against other searches; workers share it."""
        return contextlib.nullcontext() if self.is_worker else RunLock(run_dir / STATE)

    def tuner(self, *args: Any, **settings: Any) -> StagedTuner:
        """Return the tuner for the role of this process; the arguments are those of `StagedTuner`."""
        if self.is_worker:
            assert self.role is not None
            return Worker(self.role, *args, **settings)
        return StagedTuner(*args, **settings)

    def search(self, tuner: StagedTuner, parts: Sequence[Part]) -> str | None:
        """Run the trials, here or in workers, and return like `StagedTuner.search`."""
        if self.role is None or self.is_worker:
            return tuner.search(parts)

        def ended(trial: Trial) -> str | None:
            tuner.note(trial, chief.seconds)
            return tuner.over(chief.seconds)

        chief = Chief(tuner.oracle, tuner.run_dir, tuner.run_dir / TRIALS, ended)
        chief.run(self.role, self.fleet)
        return chief.stopped
