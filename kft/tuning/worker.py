"""A process that runs trials for a chief in another process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from keras_tuner.engine.trial import TrialStatus

from kft.errors import RESUMABLE, KftError
from kft.tuning.fleet import LAUNCHED, STOPPING
from kft.tuning.parts import Part
from kft.tuning.roles import Role
from kft.tuning.rpc import Caller, answers
from kft.tuning.trials import read_trials
from kft.tuning.tuner import TRIALS, StagedTuner

PAUSE = 0.3  # seconds between two requests


class Worker(StagedTuner):
    """Run the trials that a chief hands out, until it has no more or is gone.

    Args:
        role: The name of this process, the chief's address, and the secret.
        *args: As for `StagedTuner`.
        **settings: As for `StagedTuner`.

    Attributes:
        beat: Seconds between heartbeats.
        patience: Seconds without a chief after which the worker ends.
    """

    beat: ClassVar[float] = 5.0
    patience: ClassVar[float] = 60.0

    def __init__(self, role: Role, *args: Any, **settings: Any) -> None:
        super().__init__(*args, overwrite=False, **settings)
        self.role, self.caller = role, Caller(role)
        self.tuner_id = role.name
        if os.environ.get(LAUNCHED):
            end_with_parent()

    def search(self, parts: Sequence[Part]) -> str | None:
        """Run trials until the chief has no more.

        Raises:
            KftError: If the chief refuses this worker, or is gone.
        """
        while True:
            trial = self._ask(self.caller.create_trial)
            self.trials = read_trials(self.run_dir / TRIALS)
            if trial.status == TrialStatus.STOPPED:
                return None
            if trial.status == TrialStatus.IDLE:
                time.sleep(PAUSE)
                continue
            with self._signs_of_life():
                ended = self.run_trial(trial, parts)
            self._ask(partial(self.caller.end_trial, trial.trial_id))
            what = f"failed: {ended.reason}" if ended.failed else ended.shown_score
            self.say(f"{self.tuner_id}: trial {ended.number}, {what}, {ended.seconds:.0f} s")

    def number_of(self, trial: Any) -> int:
        """Return the number of a trial, which the chief has set."""
        return int(trial.trial_id) + 1

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Send a request to the chief, and wait for the next chief if this one was killed.

        Raises:
            KftError: If the chief refuses this worker, or is gone.
        """
        answered: list[Any] = []
        refused: list[KftError] = []
        heard_last = time.monotonic()
        while True:
            if answers(self.role):
                heard_last = time.monotonic()
                asking = threading.Thread(
                    target=self._put, args=(question, answered, refused), daemon=True
                )
                asking.start()
                while asking.is_alive() and answers(self.role):
                    asking.join(1.0)
                if refused:
                    raise refused[0]
                if answered:
                    return answered[0]
            if time.monotonic() - heard_last > self.patience:
                raise KftError(
                    f"no chief has answered at {self.role.host}:{self.role.port} for "
                    f"{self.patience:g} s, so {self.role.name} ends. What it has done is kept: start "
                    "the chief and then the workers again, with the same commands."
                )
            time.sleep(PAUSE)

    def _put(
        self, question: Callable[[], Any], answered: list[Any], refused: list[KftError]
    ) -> None:
        try:
            answered.append(question())
        except KftError as error:
            refused.append(error)
        except Exception:
            pass  # the chief died during the request; the caller repeats it

    @contextlib.contextmanager
    def _signs_of_life(self) -> Iterator[None]:
        """Request the same trial repeatedly while it runs, as a heartbeat."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self.beat):
                if answers(self.role):
                    self._put(self.caller.create_trial, [], [])

        thread = threading.Thread(target=beat, daemon=True, name="kft-signs-of-life")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(2.0)


def end_with_parent() -> None:
    """End this process, after it has committed its state, when its parent is gone."""

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 1024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOPPING)
        os._exit(RESUMABLE)

    threading.Thread(target=wait, daemon=True, name="kft-parent").start()


def wait_for_chief(role: Role, claimed: Path) -> None:
    """Wait until a chief listens and has claimed the directory of the search.

    Raises:
        KftError: If that takes too long.
    """
    until = time.monotonic() + Worker.patience
    while not (claimed.is_file() and answers(role)):
        if time.monotonic() > until:
            raise KftError(
                f"no chief answers at {role.host}:{role.port}, or its run_dir is not "
                f"{claimed.parent}: start the chief with the same command and "
                "KERASTUNER_TUNER_ID=chief, on the same run_dir."
            )
        time.sleep(PAUSE)
