"""What a chief notes of a search, so that the next one goes on with the same trials."""

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

_LARGEST = 64 * 2**20  # bytes; a line has some hundred


class ChiefJournal:
    """A file with a line for each trial that was handed out, ended or taken back, and for the end.

    An oracle proposes the same trials when it is asked and told the same in the same order, so a
    new oracle that is taken through the file stands where the old one stood. A line is on the disk
    before its trial leaves the chief; a last line that a crash tore off was never acted upon.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 0.0  # by the last line
        self.over = 0  # of how many trials at most the space had no other one

    def write(self, seconds: float, **line: Any) -> None:
        """Add a line.

        Args:
            seconds: for how long the search has run, those before this process included.
            **line: what happened.
        """
        content = json.dumps({**line, "seconds": round(seconds, 3)})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """All whole lines; what is left of a torn one is cut off."""
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
            raise self._damaged("a line is no JSON object")
        return lines

    def _damaged(self, problem: object) -> InputError:
        return InputError(
            f"`{self.path}` is damaged ({problem}): restore it from a copy, or pass a new run_dir."
        )

    def replay(self, oracle: Any) -> dict[str, int]:
        """Take a new oracle to where the one before it stood.

        Args:
            oracle: a `keras_tuner.Oracle` that has not been asked yet.

        Returns:
            How often each trial was taken back from a worker that died.

        Raises:
            KftError: the oracle proposes other trials, as one of another version may, or the file is
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
                        f"KerasTuner proposes {trial.hyperparameters.values} now: go on with the "
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
    """Tell an oracle what became of a trial; without a score it has failed."""
    trial = oracle.trials[trial_id]
    trial.status = TrialStatus.FAILED if score is None else TrialStatus.COMPLETED
    if score is not None:
        oracle.update_trial(trial_id, {oracle.objective.name: score})
    oracle.end_trial(trial)


def give_back(oracle: Any, trial_id: str) -> None:
    """Have an oracle hand out a trial once more."""
    trial = oracle.trials[trial_id]
    trial.status = TrialStatus.INVALID
    with contextlib.redirect_stdout(io.StringIO()):  # it says that the trial failed
        oracle.end_trial(trial)


def values_of(trial: Any) -> Mapping[str, Any]:
    """A trial's values as the file has them."""
    return json.loads(json.dumps(dict(trial.hyperparameters.values)))
