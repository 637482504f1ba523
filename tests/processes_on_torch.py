"""Fits by several processes on PyTorch, for `test_processes.py`: `python -m tests.processes_on_torch FOLDER`.

All processes are forked from one that has imported everything, so they start quickly.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
from keras import layers

import kft
from kft.callbacks import StagedUnfreezing
from kft.distribution import DataParallel, gradients, processes
from kft.model.precision import using
from tests.leaving import leave
from tests.small_images import TinyRecipe, bright_sides

FOLDER = Path(sys.argv[1])
STAGES = [
    kft.Stage(0, 2, 1e-2),
    kft.Stage(1, 1, 3e-3, warmup=0.2),
    kft.Stage("all", 2, 3e-3, decay="cosine", layer_decay=0.8),
]


def together(name, count, work, *arguments, url=False):
    """Fork `count` processes that call `work`; return their exit codes and record their output."""
    began = time.monotonic()
    running = {}
    for place in range(count):
        pid = os.fork()
        if pid == 0:
            os.environ |= {"RANK": str(place), "LOCAL_RANK": str(place), "WORLD_SIZE": str(count)}
            os.environ |= {"GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo"}
            os.environ["KFT_PROCESSES_STORE"] = str(FOLDER / f"{name}-store")
            if url:
                del os.environ["KFT_PROCESSES_STORE"]
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": url}
            signal.alarm(120)  # processes must not hang
            os._exit(_ended(FOLDER / f"{name}-{place}.txt", work, name, *arguments))
        running[pid] = place
    codes = [0] * count
    while running:
        pid, status = os.wait()
        codes[running.pop(pid)] = os.waitstatus_to_exitcode(status)
    return {"codes": codes, "seconds": time.monotonic() - began}


def _ended(path, work, *arguments):
    try:
        work(*arguments)
    except SystemExit as error:
        return error.code
    except kft.KftError as error:
        path.write_text(f"{type(error).__name__}: {error}")
        return 2
    except BaseException:
        path.write_text(traceback.format_exc())
        return 1
    return 0


class Ledger(layers.Layer):
    """Record and drop the first feature, the example's number, during training."""

    seen: ClassVar[list] = [[]]

    def call(self, inputs, training=False):
        numbers = keras.ops.convert_to_numpy(inputs[:, 0])
        if training:
            self.seen[-1].extend(int(number) for number in numbers)
        return inputs[:, 1:]


class Masks(layers.Layer):
    """Record which inputs were dropped."""

    seen: ClassVar[list] = []

    def call(self, inputs, training=False):
        if training:
            self.seen.append((keras.ops.convert_to_numpy(inputs) == 0).tolist())
        return inputs


class Epochs(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        Ledger.seen.append([])


def plain_model(**settings):
    inputs = keras.Input((9,))
    hidden = Ledger()(inputs)
    for number in range(2):
        hidden = layers.Dense(16, activation="relu", name=f"block{number}")(hidden)
    outputs = layers.Dense(2, activation="softmax", name="head")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile(
        **{
            "optimizer": keras.optimizers.AdamW(1e-2, global_clipnorm=0.5),
            "loss": "sparse_categorical_crossentropy",
            "weighted_metrics": [
                "accuracy",
                keras.metrics.SparseCategoricalCrossentropy(name="again"),
            ],
        }
        | settings
    )
    return model


def plain_data():
    random = np.random.default_rng(0)
    x = random.normal(size=(53, 9)).astype("float32")
    y = (x[:, 1:].sum(1) > 0).astype("int32")
    x[:, 0] = np.arange(53)
    return x, y, random.uniform(0.5, 2, 53).astype("float32")


def save(name, model, history):
    if processes.rank() == 0:
        np.savez(FOLDER / f"{name}.npz", *model.get_weights())
        (FOLDER / f"{name}.json").write_text(json.dumps({k: list(v) for k, v in history.items()}))


def plain(name, shuffle=True):
    """Train three stages without a cache; the last batch has 3 examples, fewer than 4 processes."""
    x, y, weights = plain_data()
    with kft.distribution.scope(DataParallel(verify_every=1)):
        keras.utils.set_random_seed(1)
        np.random.seed(processes.rank())  # a different random state in each process
        model = plain_model()
        Ledger.seen = []
        stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
        fitted = model.fit(
            x,
            y,
            sample_weight=weights,
            validation_data=(x[:17], y[:17], weights[:17]),
            batch_size=10,
            shuffle=shuffle,
            epochs=5,
            verbose=0,
            callbacks=[StagedUnfreezing(STAGES, stop, verbose=0), Epochs()],
        )
        save(name, model, fitted.history)
        seen = [list(map(int, each)) for each in Ledger.seen]
        (FOLDER / f"{name}-ledger-{processes.rank()}.json").write_text(json.dumps(seen))
        scores = model.evaluate(x, y, batch_size=10, verbose=0, return_dict=True)
        (FOLDER / f"{name}-scores-{processes.rank()}.json").write_text(json.dumps(scores))


def scaled(name):
    """Train without stages, with loss scaling, gradient accumulation, moving averages and clipping."""
    x, y, _ = plain_data()
    with kft.distribution.scope("data_parallel"):
        keras.utils.set_random_seed(processes.rank())
        inner = keras.optimizers.SGD(
            0.1, momentum=0.9, clipnorm=0.3, gradient_accumulation_steps=2, use_ema=True
        )
        optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=64)
        model = plain_model(optimizer=optimizer)
        fitted = model.fit(x, y, batch_size=9, shuffle=False, epochs=2, verbose=0)
        save(name, model, fitted.history)


class LossScale(keras.callbacks.Callback):
    """Record the loss scale."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        scale = getattr(self.model.optimizer, "dynamic_scale", 1.0)
        self.seen.append(float(keras.ops.convert_to_numpy(scale)))


def mixed(name, precision):
    """Train a float32 head on a layer in half precision; in float16 the second process' part overflows."""
    x, y, _ = plain_data()
    x, y = x[:20, 1:], y[:20]
    if precision == "mixed_float16":
        x[5:9] = np.repeat([[3e3], [-3e3]], 2, axis=0)
        y[5:9] = 0, 1, 0, 1
    with kft.distribution.scope(DataParallel(verify_every=1)), using(precision):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((8,))
        hidden = layers.Dense(16, activation="relu", name="block0")(inputs)
        model = keras.Model(inputs, layers.Dense(2, name="head", dtype="float32")(hidden))
        model.compile(
            keras.optimizers.SGD(1e-2, momentum=0.9, global_clipnorm=0.5),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        scale = LossScale()
        fitted = model.fit(
            x,
            y,
            batch_size=10,
            shuffle=False,
            epochs=3,
            verbose=0,
            callbacks=[
                StagedUnfreezing([kft.Stage(0, 1, 1e-2), kft.Stage("all", 2, 1e-2)], verbose=0),
                scale,
            ],
        )
        save(name, model, fitted.history)
        (FOLDER / f"{name}-scales-{processes.rank()}.json").write_text(json.dumps(scale.seen))


def dropping(name):
    """Apply dropout to ones with and without a seed, on equally many examples per process."""
    with kft.distribution.scope("data_parallel"):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((9,))
        dropped = [Masks()(layers.Dropout(0.5, seed=seed)(inputs)) for seed in (3, None)]
        model = keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(dropped)))
        model.compile("sgd", "mse")
        x, y = np.ones((24, 9), "float32"), np.arange(24.0)
        fitted = model.fit(x, y, batch_size=8, shuffle=False, epochs=2, verbose=0)
        save(name, model, fitted.history)
        (FOLDER / f"{name}-masks-{processes.rank()}.json").write_text(json.dumps(Masks.seen))


class End(keras.callbacks.Callback):
    """End a process in a chosen step: kill it, or ask it to stop."""

    def __init__(self, place, epoch, number):
        super().__init__()
        self.place, self.epoch, self.number, self.now = place, epoch, number, -1

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (processes.rank(), self.now, batch) == (self.place, self.epoch, 2):
            os.kill(os.getpid(), self.number)


def recipe(name, run_dir, *ending):
    """Train a recipe in three stages, the first two on cached features."""
    loaded = []

    class Counting(TinyRecipe):
        def load(self, raw):
            loaded.append(len(raw))
            return super().load(raw)

    Counting.__qualname__, Counting.__module__ = TinyRecipe.__qualname__, TinyRecipe.__module__
    fitted = Counting(num_classes=2, dropout=0.0)
    run = fitted.fit(
        bright_sides(43),
        bright_sides(17, seed=1),
        stages=STAGES,
        run_dir=FOLDER / run_dir,
        batch_size=10,
        cache=True,
        resume=kft.Resume(every=2),
        verbose=0,
        callbacks=[End(*ending)] if ending else [],
    )
    (FOLDER / f"{name}-loaded-{os.environ['RANK']}.json").write_text(json.dumps(sum(loaded)))
    if name == "recipe-4":
        version = fitted.export(FOLDER / "serving")
        path = FOLDER / f"{name}-version-{os.environ['RANK']}.json"
        path.write_text(json.dumps(str(version)))
    if os.environ["RANK"] == "0":
        np.savez(FOLDER / f"{name}.npz", *fitted.model.get_weights())
        (FOLDER / f"{name}.json").write_text(json.dumps(run.history))


def solved(name):
    """Train a head that the first process solves, and a stage after it."""
    fitted = TinyRecipe(num_classes=2, dropout=0.0)
    stages = [kft.Stage(0, solve=True), kft.Stage("all", 2, 3e-3)]
    data, held_out = bright_sides(43), bright_sides(17, seed=1)
    run = fitted.fit(data, held_out, stages=stages, batch_size=10, verbose=0)
    if os.environ["RANK"] == "0":
        np.savez(FOLDER / f"{name}.npz", *fitted.model.get_weights())
        (FOLDER / f"{name}.json").write_text(json.dumps(run.history))


class Spoil(keras.callbacks.Callback):
    """Make the weights NaN after the second epoch and after the third, once each."""

    left: ClassVar[list] = [1, 2]

    def on_epoch_end(self, epoch, logs=None):
        if self.left[:1] == [epoch]:
            self.left.pop(0)
            for weight in self.model.trainable_variables:
                weight.assign(weight * float("nan"))


class Rates(keras.callbacks.Callback):
    """Record this process' own learning rate before the first step of an epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
            self.seen.append(float(rate))


def slowed(name):
    """Train a recipe that resumes twice, each time at half the learning rate and from another commit."""
    rates = Rates()
    run = TinyRecipe(num_classes=2).fit(
        bright_sides(16),
        bright_sides(8, seed=1),
        stages=[kft.Stage(0, 4, 1e-2)],
        run_dir=FOLDER / name,
        batch_size=8,
        cache=True,
        resume=kft.Resume(every="epoch", retries=2),
        callbacks=[Spoil(), rates],
        verbose=0,
    )
    path = FOLDER / f"{name}-rates-{os.environ['RANK']}.json"
    path.write_text(json.dumps({"logged": run.history["learning_rate"], "own": rates.seen}))


class Stale(gradients.SharedGradients):
    """A wrapper that is built only once, so it knows only the variables of the first stage."""

    first = None

    def __call__(self, gradients, variables, share):
        type(self).first = type(self).first or {id(one) for one in variables}
        shared = super().__call__(gradients, variables, share)
        return [
            together if id(variable) in self.first else own
            for together, own, variable in zip(shared, gradients, variables, strict=True)
        ]


def drifting(name, kind):
    """Make processes diverge by a stale wrapper, or by data in different order."""
    from kft.distribution import shared_steps

    x, y, _ = plain_data()
    if kind == "wrapper":
        shared_steps.SharedGradients = Stale
    with kft.distribution.scope(DataParallel(verify_every=1)):
        if kind == "order":
            x = x + processes.rank()
        model = plain_model()
        model.fit(
            x,
            y,
            batch_size=10,
            epochs=5,
            verbose=0,
            callbacks=[StagedUnfreezing(STAGES, verbose=0)],
        )


def refused(name):
    """Record the message for each fit that cannot be distributed."""
    x, y = bright_sides(8)
    said = {}

    def attempt(what, fit):
        try:
            fit()
        except kft.InputError as error:
            said[what] = str(error)

    class Own(keras.Model):
        def train_step(self, data):
            return super().train_step(data)

    with kft.distribution.scope("data_parallel"):
        own = Own(*_ends())
        own.compile("sgd", "mse")
        attempt("step", lambda: own.fit(x, y, verbose=0))
        total = plain_model(loss=keras.losses.SparseCategoricalCrossentropy(reduction="sum"))
        attempt("loss", lambda: total.fit(*plain_data()[:2], verbose=0))
        compiled = plain_model(jit_compile=True)
        attempt("jit", lambda: compiled.fit(*plain_data()[:2], verbose=0))
        backup = keras.callbacks.BackupAndRestore(FOLDER / "backup")
        model = plain_model()
        attempt("backup", lambda: model.fit(*plain_data()[:2], verbose=0, callbacks=[backup]))
    tiny = TinyRecipe(num_classes=2)
    attempt("norm", lambda: tiny.fit((x, y), (x, y), batch_norm="train", verbose=0))
    attempt("search", lambda: tiny.tune((x, y), (x, y), run_dir=FOLDER / "search"))
    if os.environ["RANK"] == "1":
        (FOLDER / f"{name}.json").write_text(json.dumps(said))


def _ends():
    inputs = keras.Input((16, 16, 3))
    return inputs, layers.Dense(1)(layers.Flatten()(inputs))


def main():
    # First alone, without a group, which also completes the late imports of Keras.
    os.environ["RANK"] = "0"
    plain("plain-1")
    scaled("scaled-1")
    recipe("recipe-1", "one")
    solved("solved-1")
    found = {}
    for precision in ("mixed_bfloat16", "mixed_float16"):
        mixed(f"{precision}-1", precision)
        found[f"{precision}-2"] = together(f"{precision}-2", 2, mixed, precision)
    for count in (2, 4):
        found[f"plain-{count}"] = together(f"plain-{count}", count, plain)
    found["scaled-2"] = together("scaled-2", 2, scaled)
    found["solved-2"] = together("solved-2", 2, solved)
    for attempt in "ab":
        found[f"dropping-{attempt}"] = together(f"dropping-{attempt}", 2, dropping)
    found["stopped"] = together("stopped", 2, recipe, "several", 1, 0, signal.SIGTERM)
    found["killed"] = together("killed", 4, recipe, "several", 2, 3, signal.SIGKILL)
    found["recipe-2"] = together("recipe-2", 2, recipe, "several")
    found["recipe-4"] = together("recipe-4", 4, recipe, "four")
    found["slowed"] = together("slowed", 2, slowed)
    found["wrapper"] = together("wrapper", 2, drifting, "wrapper", url=sys.argv[2])
    found["order"] = together("order", 2, drifting, "order")
    found["refused"] = together("refused", 2, refused)
    (FOLDER / "outcome.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
    leave()
