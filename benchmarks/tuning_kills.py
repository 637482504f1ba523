"""Searches whose chief and workers are killed repeatedly, compared with an undisturbed search.

    KERAS_BACKEND=torch python benchmarks/tuning_kills.py [--kills 20] [--out FILE.json]

A random search over the rate and depth of a small convolutional network runs in one process, or in a
chief and two workers that are started by hand. Single processes, chiefs and workers are killed about
equally often, by SIGKILL at random moments, up to four per search. A killed process is started again;
a worker is left dead half of the time, so that the other one gets its trial. At the end the trials
must be those of an undisturbed search: the same values, none twice, the same scores, the same stages
of the best.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the model comes from the tests

TRIALS = 3
MOST = 4  # kills per search
HANGS = 240  # seconds after which a search counts as hung
SECRET = "only the processes of this search"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()

    import keras
    import keras_tuner  # noqa: F401 - before the forks, so that children start faster
    from figures import publish, result

    import kft.tuning.search  # noqa: F401

    backend, rng, started = keras.backend.backend(), random.Random(options.seed), time.monotonic()
    kills = dict.fromkeys(("alone", "chief", "worker"), 0)
    searches = equal = hangs = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        began = time.monotonic()
        assert wait(start(root / "whole")) == 0
        length = time.monotonic() - began
        whole = outcome(root / "whole")
        while sum(kills.values()) < options.kills:
            run = root / f"run-{searches}"
            way = alone if 2 * kills["alone"] <= kills["chief"] + kills["worker"] else by_a_crew
            most = min(options.kills, sum(kills.values()) + MOST)
            try:
                way(run, rng, length, kills, most)
            except TimeoutError:
                hangs += 1
            found = outcome(run)
            equal += found == whole
            if found != whole:
                print(f"{run.name}: {found}, expected {whole}", file=sys.stderr)
            searches += 1
    total = sum(kills.values())
    publish(
        result(
            "tuning_kills",
            command=f"KERAS_BACKEND={backend} python benchmarks/tuning_kills.py "
            f"--kills {options.kills} --seed {options.seed}",
            columns=(
                "backend", "kills", "of the only process", "of the chief", "of a worker",
                "searches ended", "with the same trials, scores and best", "hangs",
            ),
            rows=[
                (backend, f"{total}", *(f"{number}" for number in kills.values()),
                 f"{searches}", f"{equal}", f"{hangs}")
            ],
            notes=[],
            details={"kills": kills, "seconds": time.monotonic() - started, "trials": whole},
            backend=backend,
        ),
        options.out,
    )  # fmt: skip
    sys.exit(searches != equal or hangs > 0)


def alone(run: Path, rng: random.Random, length: float, kills: dict, most: int) -> None:
    """Run a search in one process, which is killed and started again until it has ended."""
    while True:
        process = start(run)
        enough = sum(kills.values()) >= most
        code = wait(process) if enough else die(process, rng.uniform(0, 1.2 * length))
        if code == 0:
            return
        assert code == -signal.SIGKILL, code
        kills["alone"] += 1


def by_a_crew(run: Path, rng: random.Random, length: float, kills: dict, most: int) -> None:
    """Run a search with a chief and two workers, of which one at a time is killed."""
    port = free_port()
    names = ["chief", "worker-1", "worker-2"]
    running = {name: start(run, name, port) for name in names}
    until = time.monotonic() + HANGS
    try:
        next_kill = time.monotonic() + rng.uniform(0, length)
        while "chief" in running:
            if time.monotonic() > until:
                raise TimeoutError
            for name, process in list(running.items()):
                code = ended(process)
                if code is None:
                    continue
                del running[name]
                # A worker may fail only because the search ended without it and the chief is gone.
                assert code == 0 or name != "chief", code
            due = time.monotonic() > next_kill and sum(kills.values()) < most
            if due and "chief" in running:
                spare = len(running) == 3 and kills["worker"] < kills["chief"]
                name = rng.choice(names[1:]) if spare else "chief"
                os.kill(running[name], signal.SIGKILL)
                wait(running.pop(name))
                kills["chief" if name == "chief" else "worker"] += 1
                if name == "chief" or rng.random() < 0.5:
                    running[name] = start(run, name, port)
                next_kill = time.monotonic() + rng.uniform(0, length)
            time.sleep(0.01)
    finally:
        for process in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            wait(process)


def start(run: Path, name: str | None = None, port: int = 0) -> int:
    """Begin or join a search in a forked process, and return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        log = run.with_name(f"{run.name}.{name or 'alone'}.log").open("ab")
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        if name is not None:
            os.environ["KERASTUNER_TUNER_ID"] = name
            os.environ["KERASTUNER_ORACLE_IP"] = "127.0.0.1"
            os.environ["KERASTUNER_ORACLE_PORT"] = str(port)
            os.environ["KFT_TUNE_SECRET"] = SECRET
        search(run)
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def search(run: Path) -> None:
    """Run the search, in the same way in each process."""
    import traceback

    import kft
    from kft.tuning.chief import Chief
    from kft.tuning.worker import Worker
    from tests.small_images import TinyRecipe, bright_sides

    Chief.patience, Worker.beat, Worker.patience = 4.0, 0.5, 60.0

    def space(hp):
        hp.Float("head_lr", 1e-3, 1e-1, sampling="log")
        hp.Choice("unfreeze", [0, 1])

    try:
        TinyRecipe(num_classes=2, dropout=0.3).tune(
            bright_sides(48),
            bright_sides(16, seed=1),
            run_dir=run,
            max_trials=TRIALS,
            space=space,
            objective="val_loss",
            stages=[kft.Stage(0, 3, 1e-2), kft.Stage(1, 3, 1e-3)],
            early_stopping=None,
            batch_size=8,
            resume=kft.Resume(every=4),
        )
    except BaseException:
        traceback.print_exc()
        raise


def outcome(run: Path) -> dict:
    """Return what must be equal: values and scores of all trials, and the stages of the best."""
    from kft.tuning.trials import read_trials

    trials = read_trials(run / "trials")
    found = [[json.dumps(dict(trial.values)), trial.score] for trial in trials]
    folders = len(list((run / "trials").glob("*-*")))
    best = run / "best_stages.yaml"
    return {
        "trials": found,
        "folders": folders,
        "best_stages": best.read_text(encoding="utf-8") if best.is_file() else None,
    }


def die(process: int, after: float) -> int:
    """Kill a process after some seconds unless it ends earlier, and return its exit code."""
    until = time.monotonic() + after
    while time.monotonic() < until:
        code = ended(process)
        if code is not None:
            return code
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    return wait(process)


def ended(process: int) -> int | None:
    """Return the exit code of a process; None while it runs."""
    pid, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def wait(process: int) -> int:
    """Wait until a process has ended, and return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
