"""Run by test_workers: a search that loses a worker and its chief, and an undisturbed one.

It forks before any backend has started, which is too late in the process of a test.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]


def main(folder: Path) -> None:
    import keras
    import keras_tuner  # noqa: F401
    import tuning_kills as kills

    import kft.tuning.search  # noqa: F401

    original = keras.Model.predict_on_batch

    def counting(model, x):  # inherited by children
        with (folder / f"{os.environ['STORY']}.txt").open("a") as file:
            file.write(f"{len(keras.tree.flatten(x)[0])}\n")
        return original(model, x)

    keras.Model.predict_on_batch = counting
    os.environ["STORY"] = "alone"
    assert kills.wait(kills.start(folder / "alone")) == 0

    os.environ["STORY"] = "workers"
    run, port = folder / "workers", kills.free_port()
    chief = kills.start(run, "chief", port)
    first = kills.start(run, "worker-1", port)
    when(lambda: list(run.glob("trials/001-*/run/state/commit-*")), chief, first)
    os.kill(first, signal.SIGKILL)
    kills.wait(first)
    ended = len(list(run.glob("trials/*/trial.json")))
    second = kills.start(run, "worker-2", port)
    when(lambda: list(run.glob("trials/*/trial.json")), chief, second)
    os.kill(chief, signal.SIGKILL)
    kills.wait(chief)
    chief = kills.start(run, "chief", port)
    codes = kills.wait(chief), kills.wait(second)
    print(
        json.dumps(
            {
                "codes": codes,
                "secret": kills.SECRET,
                "ended_when_killed": ended,
                "outcomes": [kills.outcome(folder / name) for name in ("alone", "workers")],
                "passes": [passes(folder / f"{name}.txt") for name in ("alone", "workers")],
                "lines": [json.loads(one) for one in (run / "chief.jsonl").open()],
            }
        )
    )


def when(there, *processes: int) -> None:
    """Wait until `there` returns true, and fail if one of the processes ends."""
    while not there():
        for process in processes:
            assert os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        time.sleep(0.005)


def passes(path: Path) -> int:
    """Return the number of examples on which frozen prefixes ran."""
    return sum(map(int, path.read_text().split()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

    from tests.leaving import leave

    leave()
