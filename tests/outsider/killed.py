"""Fit each of the outsider's tasks twice: in one go, and in three processes of which two are killed.

    python -m tests.outsider.killed FOLDER PRESET

writes the runs NAME-whole and NAME-killed to the folder, and for each of the four processes of a
task a line of JSON: its name, its exit code, and how many steps it began.
"""

import json
import sys
from pathlib import Path

import keras
import tensorflow  # noqa: F401  before the first fork: a fit imports it

import kft
from tests.forked import End, in_child
from tests.leaving import leave
from tests.outsider.cases import CASES, recipe_of

# Three steps per epoch: the first kill comes on kept features, the second in the second stage.
STAGES = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 2, 1e-3)]
MOMENTS = (3, 6)


class Steps(keras.callbacks.Callback):
    """Writes how many steps have begun, so that it is known after a kill."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._begun = path, 0

    def on_train_batch_begin(self, batch, logs=None) -> None:
        self._begun += 1
        self._path.write_text(str(self._begun))


def fit(name: str, preset: str, run_dir: Path, callbacks: list) -> None:
    data = CASES[name][1]
    recipe_of(name, preset).fit(
        data,
        data,
        run_dir=run_dir,
        stages=STAGES,
        batch_size=8,
        cache=True,
        resume=kft.Resume(every=1),
        callbacks=callbacks,
        finish=kft.Finish(report=False),
        verbose=0,
    )


def main(folder: Path, preset: str) -> None:
    steps = folder / "steps"
    for name in CASES:
        for ending, moments in (("whole", (None,)), ("killed", (*MOMENTS, None))):
            for moment in moments:
                kill = [] if moment is None else [End("on_train_batch_begin", moment)]
                code = in_child(
                    lambda: fit(name, preset, folder / f"{name}-{ending}", [Steps(steps), *kill])  # noqa: B023
                )
                print(json.dumps([name, code, int(steps.read_text())]), flush=True)
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
