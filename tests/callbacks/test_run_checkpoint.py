import datetime
import os
import signal
from importlib.metadata import version

import keras
import numpy as np
import pytest
from keras import layers, ops

import kft
from kft.callbacks import LearningRateWarmup, RunCheckpoint, StagedUnfreezing
from kft.callbacks.others import _STATES, state_of
from kft.errors import RESUMABLE, InputError, Interrupted, NonFiniteLossError
from kft.runs.commits import read_newest, write_commit

STAGES = [
    kft.Stage(0, 2, 1e-2),
    kft.Stage("all", 3, 1e-3, warmup=0.2, decay="cosine", layer_decay=0.8),
]
COUNT, BATCH, EPOCHS = 32, 8, 5
STEPS = COUNT // BATCH
ON_TORCH = keras.backend.backend() == "torch"


@keras.saving.register_keras_serializable("tests")
class Ledger(layers.Layer):
    """Count how often each example is trained on; an example's last number is its id."""

    def build(self, shape):
        self.counts = self.add_weight(shape=(COUNT,), initializer="zeros", trainable=False)

    def call(self, inputs, training=False):
        if training:
            ids = ops.cast(inputs[:, -1], "int32")
            self.counts.assign(self.counts + ops.sum(ops.one_hot(ids, COUNT), axis=0))
        return inputs[:, :-1]


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(COUNT, 8)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("int32")
    return np.concatenate([x, np.arange(COUNT, dtype="float32")[:, None]], axis=1), y


def build(optimizer=None, **compiled):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((9,))
    x = Ledger(name="ledger")(inputs)
    for number in range(2):
        x = layers.Dense(8, activation="relu", name=f"block{number}")(x)
        x = layers.Dropout(0.2)(x)  # unseeded, so that it uses the global generator
    x = layers.BatchNormalization()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="head")(x))
    if optimizer is None:
        optimizer = keras.optimizers.AdamW(1e-2, global_clipnorm=1.0, use_ema=True)
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(optimizer, loss, metrics=["accuracy"], **compiled)
    return model


class Crash(keras.callbacks.Callback):
    """Crash before the step `at`, counted over all epochs."""

    def __init__(self, at, action):
        super().__init__()
        self.at, self.action, self.count = at, action, 0

    def on_train_batch_begin(self, batch, logs=None):
        self.count += 1
        if self.count == self.at:
            self.action()


def crash():
    raise RuntimeError("crashed")


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def staged():
    rule = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    return [StagedUnfreezing(STAGES, rule, verbose=0)]


def plain():
    return [
        keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1.0, factor=0.7),
        LearningRateWarmup(warmup=7, decay="cosine"),
    ]


def fit(
    directory=None,
    callbacks=staged,
    at=None,
    action=crash,
    last=True,
    model=None,
    verbose=0,
    **settings,
):
    """Return history, weights, optimizer state and the ledger; None if the run crashed."""
    model = model or build()
    own = callbacks()
    checkpoint = None
    if directory is not None:
        checkpoint = RunCheckpoint(directory, **{"every": 2, **settings})
        own.insert(len(own) if last else 0, checkpoint)
    if at is not None:
        own.append(Crash(at, action))
    x, y = data()
    try:
        history = model.fit(
            x, y, validation_data=(x[:16], y[:16]), batch_size=BATCH, shuffle=False, epochs=EPOCHS,
            callbacks=own, verbose=verbose,
        )  # fmt: skip
    except RuntimeError:
        checkpoint.close()
        return None
    state = [ops.convert_to_numpy(v) for v in (*model.variables, *model.optimizer.variables)]
    return history.history, [np.array(value) for value in state], model


def assert_equal(one, other):
    assert one[0] == other[0]
    assert len(one[1]) == len(other[1])
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole():
    """Return the results of uninterrupted runs."""
    return {callbacks: fit(callbacks=callbacks) for callbacks in (staged, plain)}


@pytest.mark.parametrize(
    ("callbacks", "at", "last"),
    [
        (staged, STEPS + 4, True),
        (staged, 3 * STEPS + 3, False),
        (plain, 7, True),
    ],
)
def test_a_crashed_fit_goes_on_to_the_same_end(tmp_path, whole, callbacks, at, last):
    assert fit(tmp_path, callbacks, at, last=last) is None
    assert_equal(fit(tmp_path, callbacks, last=last), whole[callbacks])


def test_crashing_again_and_again_trains_on_each_example_once_an_epoch(tmp_path, whole):
    for at in (3, STEPS + 1):
        assert fit(tmp_path, at=at) is None
    history, state, model = fit(tmp_path)
    assert_equal((history, state), whole[staged])
    counts = ops.convert_to_numpy(model.get_layer("ledger").counts)
    # Restoring the best epoch of a stage also restores the ledger, to whole epochs.
    assert len(set(counts)) == 1
    assert 0 < counts[0] <= len(history["loss"])
    ended = fit(tmp_path)  # a finished run is not trained again
    assert_equal(ended, (history, state))


def test_every_epoch_is_the_default_and_goes_on_from_its_beginning(tmp_path, whole, capsys):
    assert fit(tmp_path, plain, at=2 * STEPS + 4, every="epoch") is None
    position = read_newest(tmp_path).state["position"]
    assert position == {"epoch": 2, "step": 0, "stopped": False}
    assert_equal(fit(tmp_path, plain, every="epoch", verbose=2), whole[plain])
    assert "commit-00000003: epoch 3 of the run, step 1." in capsys.readouterr().out


def test_sigterm_finishes_the_step_commits_and_says_resumable(tmp_path, whole, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        fit(tmp_path, plain, at=STEPS + 2, action=terminate, every="2h")
    assert caught.value.code == RESUMABLE == 75
    assert "SIGTERM: the state is committed" in capsys.readouterr().err
    position = read_newest(tmp_path).state["position"]
    assert position == {"epoch": 1, "step": 2, "stopped": False}
    assert signal.getsignal(signal.SIGTERM) is handler
    assert_equal(fit(tmp_path, plain), whole[plain])


def test_loss_scaling_goes_on(tmp_path):
    def model():
        keras.config.set_dtype_policy("mixed_float16")
        try:
            return build(keras.optimizers.Adam(1e-2))
        finally:
            keras.config.set_dtype_policy("float32")

    uninterrupted = fit(callbacks=plain, model=model())
    assert fit(tmp_path, plain, at=STEPS + 2, model=model()) is None
    assert_equal(fit(tmp_path, plain, model=model()), uninterrupted)


def test_several_steps_at_once(tmp_path):
    at_once = 1 if ON_TORCH else 2  # Keras refuses more on PyTorch

    def model():
        return build(keras.optimizers.Adam(1e-2), steps_per_execution=at_once)

    uninterrupted = fit(callbacks=plain, model=model())
    assert fit(tmp_path, plain, at=4, model=model()) is None
    assert_equal(fit(tmp_path, plain, model=model()), uninterrupted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda: {"model": build(keras.optimizers.SGD(0.1))},
            r'optimizer\.class: "AdamW" there, "SGD"',
        ),
        (lambda: {"callbacks": plain}, r"stages: .* there, null here"),
    ],
)
def test_another_run_is_refused_and_the_difference_shown(tmp_path, change, message):
    assert fit(tmp_path, at=3) is None
    with pytest.raises(InputError, match=f"holds another run: .*{message}.*on_mismatch='continue'"):
        fit(tmp_path, **change())


def test_a_commit_of_another_backend_says_so(tmp_path):
    assert fit(tmp_path, plain, at=STEPS + 2) is None
    commit = read_newest(tmp_path)
    backend = keras.backend.backend()
    other = {**commit.state["identity"], "backend": "mxnet"}
    write_commit(tmp_path, {**commit.state, "identity": other}, commit.arrays, keep=1)
    message = f"was begun on mxnet, and this is {backend}.*KERAS_BACKEND=mxnet"
    with pytest.raises(InputError, match=message):
        fit(tmp_path, plain)


def test_a_changed_plan_goes_on_when_asked_to(tmp_path):
    assert fit(tmp_path, at=3) is None

    def slower():
        return [StagedUnfreezing([STAGES[0], kft.Stage("all", 3, 1e-4)], verbose=0)]

    history, *_ = fit(tmp_path, callbacks=slower, on_mismatch="continue")
    assert history["stage"] == [1, 1, 2, 2, 2]
    assert history["learning_rate"][-1] == pytest.approx(1e-4)


def test_weights_that_are_not_finite_are_never_committed(tmp_path):
    model = build(keras.optimizers.SGD(1e30))
    with pytest.raises(NonFiniteLossError, match=r"NaN or infinite before step .* last good state"):
        fit(tmp_path, callbacks=list, model=model, every=1)
    arrays = read_newest(tmp_path).arrays
    assert all(np.isfinite(v).all() for name, v in arrays.items() if name.startswith("model/"))


def test_a_full_disk_is_a_warning_and_the_fit_goes_on(tmp_path, whole, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kft.runs.commits.write_commit", full)
    with pytest.warns(UserWarning, match="could not be committed .*No space left"):
        assert_equal(fit(tmp_path, plain), whole[plain])


@pytest.mark.parametrize("every", ["never", 0, -1, True, 1.5, "0s", None, datetime.timedelta()])
def test_a_bad_interval_is_named(tmp_path, every):
    with pytest.raises(InputError, match=r"`every=.*'epoch', a number of steps, or a time"):
        RunCheckpoint(tmp_path, every=every)


def test_other_bad_arguments_are_named(tmp_path):
    with pytest.raises(InputError, match="`keep=0`"):
        RunCheckpoint(tmp_path, keep=0)
    with pytest.raises(InputError, match="`on_mismatch='ignore'`"):
        RunCheckpoint(tmp_path, on_mismatch="ignore")


def test_the_private_names_of_keras_are_those_of_3_15(tmp_path):
    """These names are private in Keras (3.15.1): when this fails, look for their replacements."""
    assert version("keras").startswith("3.15.")
    arguments = {
        keras.callbacks.ModelCheckpoint: (tmp_path / "model.keras", "loss"),
        keras.callbacks.EarlyStopping: ("loss",),
        keras.callbacks.ReduceLROnPlateau: ("loss",),
    }
    own = [kind(*arguments.get(kind, ())) for kind in _STATES]
    model = build(keras.optimizers.SGD(0.1))
    model.fit(*data(), callbacks=own, verbose=0)
    for callback, names in zip(own, _STATES.values(), strict=True):
        missing = [name for name in names if not hasattr(callback, name)]
        assert not missing, type(callback).__name__
        assert set(state_of(callback)) == set(names)
    assert hasattr(model, "_initial_epoch")
