"""A fit can be ended at any moment, and the same call resumes it to the same result."""

import json
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

# Each fit runs in its own process, forked before a backend has started: importing takes longest.
SCRIPT = """
import json, os, pathlib, signal, sys
import keras, tensorflow
sys.path.insert(0, os.getcwd())
import kft
from kft.family import directory as run_directory, finishing, fit_data, run, saving
from kft.cache import rows as row_files
from kft.runs import commits, json_files
from kft.stages.stage import Stage
from kft.tasks import Classification
from tests.forked import End, in_child
from tests.leaving import leave
from tests.small_images import TinyRecipe, bright_sides

NUMBER = getattr(signal, sys.argv[1])

def end(home, name, at=1, when=lambda *args: True):
    "Sends the signal when a function is called for the `at`-th time."
    original, calls = getattr(home, name), []
    def ending(*args, **kwargs):
        if when(*args):
            calls.append(1)
            if len(calls) == at:
                os.kill(os.getpid(), NUMBER)
        return original(*args, **kwargs)
    setattr(home, name, ending)

def fit(run_dir, moment=None):
    callbacks, follows = [], "follows" in run_dir
    if moment == "reading":
        end(fit_data, "read_both")
    elif moment == "computing features":
        end(row_files.RowWriter, "write", at=2)
    elif moment == "completing features":
        end(row_files.RowWriter, "finish")
    elif moment == "training":
        callbacks = [End("on_train_batch_begin", 3, NUMBER)]
    elif moment in ("validating", "validating last"):
        callbacks = [End("on_test_batch_begin", 2, NUMBER)]
    elif moment == "committing the end":
        end(commits, "sync")
    elif moment == "writing weights":
        end(json_files, "write_json")
    elif moment == "moving weights":
        end(pathlib.Path, "replace", when=lambda path, target: target.name == saving.WEIGHTS)
    elif moment == "kept":
        end(run_directory.RunDirectory, "finish")
    elif moment == "evaluating":
        end(Classification, "scorer")
    elif moment == "writing the page":
        end(run, "write_report")
    elif moment == "finding the temperature":
        end(finishing, "answers")
    elif moment == "beginning to train again":
        end(run_directory.RunDirectory, "begin", at=2)
    elif moment == "training again":
        original = finishing.training_pass
        def training_pass(planned, *args, **kwargs):
            if planned.validation is None:
                planned.settings.__dict__["callbacks"] = [End("on_train_batch_begin", 5, NUMBER)]
            return original(planned, *args, **kwargs)
        finishing.training_pass = training_pass
    TinyRecipe(num_classes=2, dropout=0.3).fit(
        bright_sides(32), bright_sides(16, seed=1), run_dir=run_dir, verbose=0, cache=True,
        stages=[Stage(0, 2, 1e-2)], batch_size=8, resume=kft.Resume(every=1),
        callbacks=callbacks, finish=kft.Finish(calibrate=follows, refit=follows),
    )

for arguments in json.loads(sys.argv[2]):
    print(in_child(lambda: fit(*arguments)), flush=True)
    names = sorted(path.name for path in pathlib.Path(arguments[0]).rglob("*"))
    print(json.dumps(names), flush=True)
leave()
"""

KILLS = (
    "computing features",
    "completing features",
    "training",
    "validating",
    "committing the end",
    "writing weights",
    "moving weights",
    "kept",
    "writing the page",
)
STOPS = (
    "reading",
    "computing features",
    "completing features",
    "training",
    "validating",
    "validating last",
    "writing weights",
    "evaluating",
    "writing the page",
)


FOLLOWING = (
    "training",
    "finding the temperature",
    "evaluating",
    "beginning to train again",
    "training again",
    "writing weights",
    "writing the page",
)


def run(number, tmp_path, moments, prefix=""):
    """Run one fit that is ended at each moment and resumed, and another without interruption."""
    whole, ended = str(tmp_path / f"{prefix}whole"), str(tmp_path / f"{prefix}ended")
    fits = [(whole,), *((ended, moment) for moment in moments), (ended,)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, number, json.dumps(fits)], capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    codes, names = [int(line) for line in lines[::2]], [json.loads(line) for line in lines[1::2]]
    assert len(codes) == len(fits), done.stderr[-5000:]
    return codes, names, done.stderr


def assert_same_end(tmp_path, names, prefix=""):
    assert names[-1] == names[0], "nothing of the unfinished run is left"
    assert "report.html" in names[0]
    for name in ("recipe.json", "history.json", "weights.safetensors"):
        one, other = ((tmp_path / (prefix + run) / name).read_bytes() for run in ("whole", "ended"))
        assert one == other, name


def test_a_fit_killed_at_each_moment_goes_on_to_the_same_end(tmp_path):
    codes, names, said = run("SIGKILL", tmp_path, KILLS)
    assert codes == [0, *(-signal.SIGKILL for _ in KILLS), 0], said[-5000:]
    assert_same_end(tmp_path, names)


@pytest.mark.parametrize(("number", "code"), [("SIGKILL", -signal.SIGKILL), ("SIGTERM", 75)])
def test_what_follows_the_stages_goes_on_to_the_same_end(tmp_path, number, code):
    codes, names, said = run(number, tmp_path, FOLLOWING, "follows-")
    assert codes == [0, *(code for _ in FOLLOWING), 0], said[-5000:]
    assert_same_end(tmp_path, names, "follows-")


def test_a_fit_stopped_at_each_moment_ends_with_75_and_goes_on_to_the_same_end(tmp_path):
    codes, names, said = run("SIGTERM", tmp_path, STOPS)
    assert codes == [0, *(75 for _ in STOPS), 0], said[-5000:]
    assert_same_end(tmp_path, names)
    told = [line for line in said.splitlines() if line.startswith("SIGTERM: ")]
    last = [line for line in told if "after this step" not in line]
    assert [*map(kind_of, last)] == [*["begins"] * 3, *["state"] * 4, *["weights"] * 2]


def kind_of(line):
    kinds = {
        "begins": "/ended yet; run it again to start from the beginning.",
        "state": "/ended/state; run it again to resume from there.",
        "weights": "/ended; run it again to complete the run.",
    }
    (kind,) = (kind for kind, said in kinds.items() if line.endswith(said))
    return kind
