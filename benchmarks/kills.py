"""Fits that are killed and resumed repeatedly, compared with an undisturbed fit.

    KERAS_BACKEND=torch python benchmarks/kills.py [--kills 200] [--out FILE.json]

A small convolutional network is fitted in two stages, the first on cached features, with dropout,
augmentation in every second run, early stopping by stage, and a commit every second step. Each
process gets SIGKILL: half of them at a random moment, the others at a random write, sync or rename
of a commit. The next process resumes. When a run ends, its weights and history are compared, bit by
bit, with those of a run that was not killed. Processes are forked before a backend has computed
anything, so that starting them is fast.
"""

import argparse
import hashlib
import importlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

KINDS = ("cached", "augmented")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="processes to kill")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()

    import keras
    from figures import publish, result

    from tests.forked import in_child

    # Import before the first fork what a fit imports.
    for module in ("tensorflow", "kft.report", "kft.export.launch", "tests.small_images"):
        importlib.import_module(module)

    backend = keras.backend.backend()
    rng = random.Random(options.seed)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        whole, length = {}, {}
        for kind in KINDS:
            began = time.perf_counter()
            assert in_child(lambda kind=kind: fit(root / f"whole-{kind}", kind)) == 0
            length[kind] = time.perf_counter() - began
            whole[kind] = outcome(root / f"whole-{kind}")
        kills = {"at any moment": 0, "in a commit": 0}
        runs = equal = 0
        while sum(kills.values()) < options.kills:
            kind, run = KINDS[runs % 2], root / f"run-{runs}"
            finished = False
            while not finished:
                way = rng.choice(list(kills))
                calls = rng.randrange(1, 60) if way == "in a commit" else None
                after = None if calls else rng.uniform(0, length[kind])
                code = in_child(lambda: fit(run, kind, calls), after)  # noqa: B023
                finished = code == 0
                if not finished:
                    assert code == -signal.SIGKILL, code
                    kills[way] += 1
            runs += 1
            equal += outcome(run) == whole[kind]
    total = sum(kills.values())
    publish(
        result(
            "kills",
            command=f"KERAS_BACKEND={backend} python benchmarks/kills.py --kills {options.kills} "
            f"--seed {options.seed}",
            columns=(
                "backend",
                "kills",
                "of these in a commit",
                "runs ended",
                "equal to the last bit",
            ),
            rows=[(backend, f"{total}", f"{kills['in a commit']}", f"{runs}", f"{equal}")],
            notes=[],
            details={
                "kills": kills,
                "seconds": time.perf_counter() - started,
                "seed": options.seed,
            },
            backend=backend,
        ),
        options.out,
    )
    sys.exit(runs != equal)


def fit(run_dir: Path, kind: str, calls: int | None = None) -> None:
    """Begin or resume the fit; with `calls`, die after that many writes, syncs and renames."""
    import keras

    import kft
    from kft.runs import commits
    from kft.stages.stage import Stage
    from tests.small_images import TinyRecipe, bright_sides

    if calls is not None:
        die_after(calls, commits)
    recipe = TinyRecipe(num_classes=2, dropout=0.3)
    recipe.fit(
        bright_sides(48),
        bright_sides(16, seed=1),
        stages=[Stage(0, 4, 1e-2), Stage("all", 4, 1e-3, warmup=0.3)],
        batch_size=8,
        augment="light" if kind == "augmented" else None,
        cache=kind == "cached",
        early_stopping=keras.callbacks.EarlyStopping(
            "val_loss", patience=2, restore_best_weights=True
        ),
        run_dir=run_dir,
        resume=kft.Resume(every=2),
        verbose=0,
    )


def die_after(calls: int, commits) -> None:
    """End the process after a number of calls of a commit to the file system."""
    left = calls

    def counted(real):
        def call(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    commits._write = counted(commits._write)
    os.fsync = counted(os.fsync)
    Path.rename = counted(Path.rename)
    os.unlink = counted(os.unlink)
    os.rmdir = counted(os.rmdir)


def outcome(run_dir: Path) -> tuple[str, str]:
    """Return what must be equal: hashes of the weights and of the history."""
    files = (run_dir / "weights.safetensors", run_dir / "history.json")
    first, second = (hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return first, second


if __name__ == "__main__":
    main()
