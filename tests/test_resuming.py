import json
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError, NonFiniteLossError
from kft.stages.stage import Stage
from recipes import BertRecipe
from tests.recipes.tiny_bert import save_preset
from tests.small_images import TinyRecipe, bright_sides

STAGES = [Stage(0, 2, 1e-2), Stage("all", 2, 1e-3, warmup=0.3, layer_decay=0.5)]
STEPS = 4


class Crash(keras.callbacks.Callback):
    """End the run before step `at`, counted from where it started."""

    def __init__(self, at):
        super().__init__()
        self.at, self.count = at, 0

    def on_train_batch_begin(self, batch, logs=None):
        self.count += 1
        if self.count == self.at:
            raise RuntimeError("crashed")


def outcome(recipe, run):
    values = [np.array(keras.ops.convert_to_numpy(weight)) for weight in recipe.model.weights]
    return run.history, values


def assert_equal(one, other):
    assert one[0] == other[0]
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(a, b)


def crash_and_resume(make, data, tmp_path, crashes, **settings):
    """Fit once without and once with crashes, and check that both have the same result."""

    def fit(run_dir, callbacks=()):
        recipe = make()
        keras.utils.set_random_seed(5)
        run = recipe.fit(
            *data, stages=STAGES, run_dir=tmp_path / run_dir, resume=kft.Resume(every=1), batch_size=8,
            callbacks=callbacks, finish=kft.Finish(report=False), verbose=0, **settings,
        )  # fmt: skip
        return outcome(recipe, run)

    whole = fit("whole")
    for at in crashes:
        with pytest.raises(RuntimeError, match="crashed"):
            fit("crashed", [Crash(at)])
    assert_equal(fit("crashed"), whole)
    kept = {path.name for path in (tmp_path / "crashed").iterdir()}
    assert "recipe.json" in kept
    assert not kept & {"state", "begun.json"}
    return tmp_path / "crashed"


@pytest.mark.parametrize(
    ("cache", "augment"), [(True, None), pytest.param(False, "light", marks=pytest.mark.once)]
)
def test_a_crashed_fit_of_images_goes_on_to_the_same_end(tmp_path, cache, augment):
    data = bright_sides(32), bright_sides(16, seed=1)
    run_dir = crash_and_resume(
        lambda: TinyRecipe(num_classes=2, dropout=0.3),
        data,
        tmp_path,
        crashes=(STEPS + 2, STEPS + 3),  # in the first stage and in the second
        cache=cache,
        augment=augment,
        early_stopping=keras.callbacks.EarlyStopping(
            "val_loss", patience=1, restore_best_weights=True
        ),
    )
    assert (run_dir / "features").is_dir() is (cache is True)


@pytest.mark.once
def test_a_crashed_fit_of_texts_goes_on_to_the_same_end(tmp_path):
    texts = np.array(
        [f"the {word} film" + " very" * (i % 9) for i in range(16) for word in ("good", "bad")]
    )
    labels = np.array(["pos", "neg"] * 16)
    preset = save_preset(tmp_path / "preset")
    crash_and_resume(
        lambda: BertRecipe(str(preset), num_classes=2, backbone_dropout=0.0),
        ((texts, labels), (texts[:8], labels[:8])),
        tmp_path,
        crashes=(2 * STEPS + 2,),
        cache=True,
    )


@pytest.mark.once
def test_an_unfinished_run_of_another_plan_is_refused_unless_asked(tmp_path):
    def fit(stages, callbacks=(), **settings):
        recipe = TinyRecipe(num_classes=2)
        return recipe.fit(
            bright_sides(32), bright_sides(16, seed=1), stages=stages, run_dir=tmp_path / "run",
            batch_size=8, callbacks=callbacks, verbose=0, resume=kft.Resume(every=1, **settings),
        )  # fmt: skip

    with pytest.raises(RuntimeError, match="crashed"):
        fit(STAGES, [Crash(3)])
    longer = [STAGES[0], Stage("all", 3, 1e-4)]
    with pytest.raises(InputError, match=r"another plan: stages\[1\]\.epochs: 2 there, 3 here"):
        fit(longer)
    run = fit(longer, allow_changed_plan=True)
    assert run.history["stage"] == [1, 1, 2, 2, 2]


@pytest.mark.once
def test_a_nan_is_retried_at_half_the_rate(tmp_path):
    class Spoil(keras.callbacks.Callback):
        """Make the weights NaN after the second epoch, the first few times."""

        left = 0

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1 and Spoil.left:
                Spoil.left -= 1
                for weight in self.model.trainable_variables:
                    weight.assign(weight * float("nan"))

    def fit(times, run_dir=None, retries=0):
        Spoil.left = times
        return TinyRecipe(num_classes=2).fit(
            bright_sides(32), bright_sides(16, seed=1), stages=[Stage(0, 4, 1e-2)], batch_size=8,
            callbacks=[Spoil()], finish=kft.Finish(report=False), verbose=0, run_dir=run_dir,
            resume=kft.Resume(every="epoch", retries=retries),
        )  # fmt: skip

    with pytest.raises(NonFiniteLossError):
        fit(1, run_dir=tmp_path / "none")
    with pytest.warns(UserWarning, match="Retry 1 of 2, at half the learning rate"):
        run = fit(1, run_dir=tmp_path / "once", retries=2)
    assert run.history["learning_rate"] == pytest.approx([1e-2, 5e-3, 5e-3, 5e-3])
    assert np.isfinite(run.history["loss"]).all()
    with pytest.warns(UserWarning, match=r"Retry \d of 2, at half"):
        run = fit(2, run_dir=tmp_path / "twice", retries=2)
    assert run.history["learning_rate"] == pytest.approx([1e-2, 2.5e-3, 2.5e-3, 2.5e-3])
    with pytest.raises(InputError, match=r"retries=1.*run_dir"):
        fit(1, retries=1)


SCRIPT = """
import json, os, signal, sys, keras, tensorflow
sys.path.insert(0, os.getcwd())
import kft
from kft.stages.stage import Stage
from tests.leaving import leave
from tests.small_images import TinyRecipe, bright_sides

class Kill(keras.callbacks.Callback):
    def __init__(self, at, by):
        super().__init__()
        self.left, self.by = at, by
    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            %s

def fit(run_dir, at=0, by="SIGKILL"):
    TinyRecipe(num_classes=2, dropout=0.3).fit(
        bright_sides(32), bright_sides(16, seed=1), run_dir=run_dir, verbose=0,
        stages=[Stage(0, 2, 1e-2), Stage("all", 2, 1e-3)], batch_size=8, resume=kft.Resume(every=1),
        callbacks=[Kill(at, by)], finish=kft.Finish(report=False),
    )

"""
# Each fit runs in its own process, forked before a backend has started: importing takes longest.
KILLED = """
for arguments in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        try:
            fit(*arguments)
        except SystemExit as ended:  # to clean up all that was imported takes longest
            os._exit(ended.code)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
leave()
"""


def test_killed_processes_leave_a_run_that_goes_on_to_the_same_end(tmp_path):
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    fits = [(whole,), (killed, STEPS + 1, "SIGKILL"), (killed, STEPS + 2, "SIGTERM"), (killed,)]
    script = SCRIPT % "os.kill(os.getpid(), getattr(signal, self.by))" + KILLED
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(fits)], capture_output=True, text=True
    )
    assert done.stdout.split() == ["0", str(-signal.SIGKILL), "75", "0"], done.stderr[-5000:]
    recipes = [
        json.loads((tmp_path / name / "recipe.json").read_text()) for name in ("whole", "killed")
    ]
    assert recipes[0]["weights_sha256"] == recipes[1]["weights_sha256"]
    histories = [(tmp_path / name / "history.json").read_text() for name in ("whole", "killed")]
    assert histories[0] == histories[1]


@pytest.mark.once
def test_a_run_directory_in_use_is_refused(tmp_path):
    script = SCRIPT % "input()" + "fit(sys.argv[1], 2)"
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as first:
        while not list((tmp_path / "run" / "state").glob("commit-*")):
            assert first.poll() is None
            time.sleep(0.1)
        recipe = TinyRecipe(num_classes=2, dropout=0.3)
        with pytest.raises(InputError, match=f"in use by process {first.pid} "):
            recipe.fit(
                bright_sides(32), bright_sides(16, seed=1), run_dir=tmp_path / "run", verbose=0,
                stages=[Stage(0, 2, 1e-2), Stage("all", 2, 1e-3)], batch_size=8,
            )  # fmt: skip
        first.kill()
