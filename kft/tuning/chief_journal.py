"""The journal of a chief, from which the next one resumes the same trials."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_tuner.engine.trial import TrialStatus

from kft.errors import InputError, KftError
from kft.runs.reading import opened, parse_json

_LARGEST = 64 * 2**20  # bytes; a line has a few hundred


class ChiefJournal:
    """A file with a line for each trial that was handed out, ended or reclaimed, and for the end.

    An oracle proposes the same trials when it gets the same calls in the same order, so replaying
    the file brings a new oracle to the state of the old one. A line is on the disk before its trial
    leaves the chief, so a line that a crash truncated was never acted upon.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 0.0  # of the last line that was replayed
        self.over = 0  # `max_trials` when the space was found to be exhausted

    def write(self, seconds: float, **line: Any) -> None:
        """Add a line.

        Args:
            seconds: How long the search has run, including earlier processes.
            **line: The event.
        """
        content = json.dumps({**line, "seconds": round(seconds, 3)})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """Return all complete lines, and cut off an incomplete one."""
        try:
            with opened(self.path, _LARGEST, within=self.path.parent) as file:
                raw = file.read()
        except FileNotFoundError:
            return []
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole != raw:
            with self.path.open("r+b") as torn:
                torn.truncate(len(whole))
        try:
            lines = [parse_json(line) for line in whole.splitlines()]
        except ValueError as error:
            raise self._damaged(error) from error
        if not all(isinstance(line, dict) for line in lines):
            raise self._damaged("a line is not a JSON object")
        return lines

    def _damaged(self, problem: object) -> InputError:
        return InputError(
            f"`{self.path}` is damaged ({problem}): restore it from a copy, or pass a new run_dir."
        )

    def replay(self, oracle: Any) -> dict[str, int]:
        """Bring a new oracle to the state of the previous one.

        Args:
            oracle: A new `keras_tuner.Oracle`.

        Returns:
            How often each trial was reclaimed from a dead worker.

        Raises:
            KftError: If the oracle proposes other trials, as another version may, or the file is
                damaged.
        """
        try:
            return self._replay(oracle)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise error if isinstance(error, KftError) else self._damaged(error) from error

    def _replay(self, oracle: Any) -> dict[str, int]:
        lost: dict[str, int] = {}
        for line in self.read():
            self.seconds = float(line["seconds"])
            if "begin" in line:
                trial = oracle.create_trial(line["worker"])
                if (
                    trial.trial_id != line["begin"]
                    or trial.hyperparameters.values != line["values"]
                ):
                    raise KftError(
                        f"{self.path} says that trial {line['begin']} had {line['values']}, but "
                        f"KerasTuner proposes {trial.hyperparameters.values} now: use the "
                        "version that the search began with, or pass a new run_dir."
                    )
            elif "end" in line:
                end(oracle, line["end"], line["score"])
            elif "over" in line:
                self.over = int(line["over"])
            else:
                lost[line["back"]] = lost.get(line["back"], 0) + 1
                give_back(oracle, line["back"])
        return lost


def end(oracle: Any, trial_id: str, score: float | None) -> None:
    """Report the end of a trial to an oracle; a trial without a score has failed."""
    trial = oracle.trials[trial_id]
    trial.status = TrialStatus.FAILED if score is None else TrialStatus.COMPLETED
    if score is not None:
        oracle.update_trial(trial_id, {oracle.objective.name: score})
    oracle.end_trial(trial)


def give_back(oracle: Any, trial_id: str) -> None:
    """Return a trial to an oracle, which hands it out again."""
    trial = oracle.trials[trial_id]
    trial.status = TrialStatus.INVALID
    with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner prints that the trial failed
        oracle.end_trial(trial)


def values_of(trial: Any) -> Mapping[str, Any]:
    """Return a trial's values as they read back from the file."""
    return json.loads(json.dumps(dict(trial.hyperparameters.values)))
