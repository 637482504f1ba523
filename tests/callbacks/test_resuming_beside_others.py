"""A resumed fit ends with the same weights, whatever other callbacks do and whatever their order."""

import itertools
import os

import keras
import numpy as np
import pytest
from keras import layers, ops

import kft
from kft.backends import backend
from kft.callbacks import RunCheckpoint, StagedUnfreezing
from kft.errors import KftError
from kft.runs.commits import read_newest

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
STEPS, EPOCHS = 4, 4


def network():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    x = layers.Dense(4, activation="tanh", name="body")(inputs)
    return keras.Model(inputs, layers.Dense(2, activation="softmax", name="head")(x))


def build(averages=True):
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(keras.optimizers.Adam(1e-2, use_ema=averages), loss, metrics=["accuracy"])
    return model


class Meddler(keras.callbacks.Callback):
    """Change weights when epochs and their first steps begin, by a counter of its own."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def get_state(self):
        return {"count": self.count}

    def set_state(self, state):
        self.count = state["count"]

    def on_epoch_begin(self, epoch, logs=None):
        self.count += 1
        bias = self.model.get_layer("head").bias
        bias.assign(ops.convert_to_numpy(bias) + 0.01 * self.count)

    def on_train_batch_begin(self, batch, logs=None):
        self.count += 1
        if batch == 0:
            kernel = self.model.get_layer("body").kernel
            kernel.assign(ops.convert_to_numpy(kernel) * (1 + 0.01 * self.count))


class Crash(keras.callbacks.Callback):
    """Crash in the step `step` of the epoch `epoch`."""

    def __init__(self, epoch, step):
        super().__init__()
        self.at, self.epoch = (epoch, step), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise RuntimeError


def fit(folder, make, *more, every=3, averages=True):
    """Return history and state; None if the run crashed."""
    model, keep = build(averages), RunCheckpoint(folder, every=every)
    try:
        history = model.fit(
            X, Y, batch_size=8, epochs=EPOCHS, shuffle=False, verbose=0,
            validation_data=(X[:8], Y[:8]), callbacks=[*make(keep), *more],
        )  # fmt: skip
    except RuntimeError:
        return keep.close()
    state = (*model.variables, *model.optimizer.variables)
    return history.history, [np.array(ops.convert_to_numpy(v)) for v in state]


def assert_equal(one, other):
    assert one[0] == other[0]
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(a, b)


# The first and the last step of an epoch, and a step in the first epoch of a stage.
CRASHES = [(1, 0), (1, STEPS - 1), (2, 1)]


def stages():
    return StagedUnfreezing(
        [kft.Stage(0, 2, 1e-2), kft.Stage("all", 2, 5e-3, warmup=2)],
        early_stopping=keras.callbacks.EarlyStopping("loss", restore_best_weights=True),
        verbose=0,
    )


def others():
    return [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7),
        Meddler(),
        keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1.0, factor=0.9),
        keras.callbacks.SwapEMAWeights(),
    ]


def ends_the_same(folder, make, **settings):
    whole = fit(folder / "whole", make, **settings)
    for epoch, step in CRASHES:
        assert fit(folder / "cut", make, Crash(epoch, step), **settings) is None
    assert_equal(fit(folder / "cut", make, **settings), whole)


@pytest.mark.once
@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::4], ids=str)
def test_the_order_of_the_callbacks_does_not_matter(tmp_path, order):
    def make(keep):
        rate, meddler, *rest = others()
        found = [keep, stages(), rate, meddler]
        return [*(found[place] for place in order), *rest]

    ends_the_same(tmp_path, make)


@pytest.mark.parametrize(
    ("make", "every"),
    [
        (lambda keep: [keep, *others(), stages()], 3),
        (lambda keep: [keep, *others()], "epoch"),
    ],
    ids=["in front of stages", "without stages"],
)
def test_callbacks_behind_a_run_checkpoint_change_nothing_twice(tmp_path, make, every):
    ends_the_same(tmp_path, make, every=every)


@pytest.mark.once
def test_flags_that_a_callback_set_in_an_earlier_epoch_come_back(tmp_path):
    class Freezer(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.get_layer("body").trainable = False
                self.model.make_train_function(force=True)

    def make(keep):
        return [keep, Freezer()]

    whole = fit(tmp_path / "whole", make, averages=False)
    assert fit(tmp_path / "cut", make, Crash(2, 2), averages=False) is None
    assert_equal(fit(tmp_path / "cut", make, averages=False), whole)


@pytest.mark.once
def test_files_written_in_steps_before_the_commit_are_not_written_again(tmp_path):
    def make(keep):
        path = tmp_path / keep.directory.name / "{epoch}-{batch}.weights.h5"
        return [keras.callbacks.ModelCheckpoint(path, save_weights_only=True, save_freq=2), keep]

    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    fit(tmp_path / "states" / "whole", make, every=1)
    assert fit(tmp_path / "states" / "cut", make, Crash(1, 3), every=1) is None
    fit(tmp_path / "states" / "cut", make, every=1)
    written = [{path.name for path in (tmp_path / each).iterdir()} for each in ("whole", "cut")]
    assert written[0] == written[1]
    model = network()
    for path in sorted((tmp_path / "whole").iterdir()):
        model.load_weights(path)
        expected = model.get_weights()
        model.load_weights(tmp_path / "cut" / path.name)
        for one, another in zip(expected, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, another, err_msg=path.name)


class Steps(keras.callbacks.Callback):
    """Record the logs of each step of the second epoch, as a progress bar gets them."""

    def __init__(self):
        super().__init__()
        self.logs, self.epoch = [], 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1:
            self.logs.append(dict(logs))


def test_skipped_steps_report_the_metrics_of_the_commit(tmp_path):
    def run(*more):
        steps = Steps()
        fit(tmp_path, lambda keep: [keep, steps], *more, every=1)
        return steps.logs

    before = run(Crash(1, 2))
    position = read_newest(tmp_path).state["position"]
    assert (position["epoch"], position["step"]) == (1, 2)
    after = run()
    assert len(after) == STEPS
    assert after[0] == after[1] == pytest.approx(before[1], rel=1e-6)
    assert after[2] == pytest.approx(before[2], rel=1e-6)


@pytest.mark.once
def test_data_that_have_become_fewer_are_an_error(tmp_path):
    assert fit(tmp_path, lambda keep: [keep], Crash(0, 3)) is None

    class Fewer(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return X[:8], Y[:8]

    keep = RunCheckpoint(tmp_path, on_mismatch="continue")
    model = build()
    with pytest.raises(KftError, match="Epoch 1 ended before its step 4"):
        model.fit(Fewer(), epochs=EPOCHS, verbose=0, callbacks=[keep], shuffle=False)


def limited(count):
    """Set the number of threads or cores, and return the previous one."""
    if BACKEND == "torch":
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(count)
        return before
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count] if isinstance(count, int) else count)
    return before


TELLS = {"tensorflow": ("TF_NUM_INTRAOP_THREADS", "3"), "jax": ("NPROC", "3")}


def test_the_number_of_threads_is_known(monkeypatch):
    for name in ("XLA_FLAGS", "TF_NUM_INTRAOP_THREADS", "NPROC"):
        monkeypatch.delenv(name, raising=False)
    before = limited(1)
    try:
        assert backend().cpu_threads() == 1
    finally:
        limited(before)
    assert backend().cpu_threads() == (before if BACKEND == "torch" else len(before))
    if BACKEND in TELLS:
        monkeypatch.setenv(*TELLS[BACKEND])
        assert backend().cpu_threads() == 3
    if BACKEND == "jax":
        monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
        assert backend().cpu_threads() == 1


@pytest.mark.once
def test_resuming_with_another_number_of_threads_is_a_warning_that_names_both(tmp_path):
    before = limited(1)
    try:
        assert fit(tmp_path, lambda keep: [keep], Crash(1, 2)) is None
        limited(2)
        with pytest.warns(UserWarning, match="with 1 threads .* uses 2: the weights will differ"):
            assert fit(tmp_path, lambda keep: [keep]) is not None
    finally:
        limited(before)
