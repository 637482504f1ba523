"""Fits of one small recipe on one device and on several, whose results go to a JSON file.

They run in a separate process, since virtual devices must be configured before a backend starts.
"""

import json
import os
import sys
from pathlib import Path

OUT, DEVICES, PLACE = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
BACKEND = os.environ["KERAS_BACKEND"]
if BACKEND == "jax":
    flag = f"--xla_force_host_platform_device_count={DEVICES}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
else:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration() for _ in range(DEVICES)]
    tf.config.set_logical_device_configuration(cpu, logical)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # as in conftest

import keras  # noqa: E402
import numpy as np  # noqa: E402

import kft  # noqa: E402
from kft.backends import backend  # noqa: E402
from kft.callbacks import StagedUnfreezing  # noqa: E402
from kft.distribution import Agreement, DataParallel  # noqa: E402
from kft.model.precision import using  # noqa: E402
from tests.leaving import leave  # noqa: E402
from tests.small_images import DenseRecipe, encoded, small_images  # noqa: E402

if len(PLACE) == 2:
    kft.distribution.initialize(PLACE[0], processes=2, index=int(PLACE[1]))


class Crash(keras.callbacks.Callback):
    """End a fit in the middle of its fourth epoch."""

    def __init__(self):
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (3, 2):
            raise ZeroDivisionError


STAGES = [kft.Stage(0, 2, 1e-2), kft.Stage("all", 2, 1e-2, warmup=0.2)]
SHORT = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 1, 1e-2)]


def fit(distribution, count=22, cache=False, stages=STAGES, precision=None, **settings):
    recipe = DenseRecipe(num_classes=2, dropout=0.0, precision=precision)
    run = recipe.fit(
        small_images(count),
        small_images(10, seed=1),
        stages=stages,
        batch_size=8,
        cache=cache,
        distribution=distribution,
        early_stopping=None,
        finish=kft.Finish(report=False),
        verbose=0,
        **settings,
    )
    return {
        "backend": BACKEND,
        "weights": [weight.tolist() for weight in recipe.model.get_weights()],
        "history": run.history,
        "computed": run.journal["cache"]["computed"],
        "evaluated": run.evaluation and run.evaluation.accuracy,
        "predicted": recipe.predict(encoded(small_images(3)[0])).scores.tolist(),
        "trainable": [variable.path for variable in recipe.model.trainable_variables],
    }


def crashed_and_gone_on(first, then, directory):
    settings = {"run_dir": directory, "resume": kft.Resume(every=1), "batch_norm": "train"}
    try:
        fit(first, callbacks=[Crash()], **settings)
    except ZeroDivisionError:
        return fit(then, **settings)
    raise AssertionError("the fit did not crash")


def tuned(distribution, directory):
    """Run a search of one trial, with a backbone that all trials would share."""
    recipe = DenseRecipe(num_classes=2, dropout=0.0)
    found = recipe.tune(
        small_images(16),
        small_images(8, seed=1),
        run_dir=directory,
        max_trials=1,
        space=lambda hp: hp.Fixed("head_lr", 1e-2),
        stages=[kft.Stage(0, 2, 1e-2)],
        objective="val_loss",
        batch_size=8,
        distribution=distribution,
        verbose=0,
    )
    return {"score": found.best_score}


def small_model(optimizer):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(16, activation="relu", name="block0")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="head", dtype="float32")(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def plain_data():
    x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    return x, (x.sum(1) > 0).astype("int32")


def plain_fit(model):
    x, y = plain_data()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    stages = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 2, 1e-3, warmup=0.2, layer_decay=0.8)]
    return model.fit(
        x,
        y,
        validation_data=(x[:16], y[:16]),
        batch_size=16,
        shuffle=False,
        epochs=3,
        verbose=0,
        callbacks=[StagedUnfreezing(stages, stop, verbose=0)],
    ).history


def clipping():
    return keras.optimizers.AdamW(1e-2, global_clipnorm=0.1)


class LossScale(keras.callbacks.Callback):
    """Record the loss scale of each device."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        if BACKEND == "jax":
            self.model.jax_state_sync()
        scales = backend().copies(self.model.optimizer.dynamic_scale, self.model)
        self.seen.append([float(np.ravel(one)[0]) for one in scales])


def scaled(distribution):
    """Train a float32 head, then a float16 layer in which one device's gradients overflow."""
    with kft.distribution.scope(distribution), using("mixed_float16"):
        inner = keras.optimizers.SGD(1e-2, momentum=0.9, global_clipnorm=0.5)
        model = small_model(
            keras.optimizers.LossScaleOptimizer(
                inner, initial_scale=2.0**14, dynamic_growth_steps=3
            )
        )
        x, y = plain_data()
        x[12:16] = np.repeat([[3e3], [-3e3]], 2, axis=0)  # the last device's part of a batch
        y[12:16] = 0, 1, 0, 1
        scale = LossScale()
        stages = StagedUnfreezing([kft.Stage(0, 2, 1e-2), kft.Stage("all", 2, 1e-2)], verbose=0)
        fitted = model.fit(
            x,
            y,
            batch_size=16,
            shuffle=False,
            epochs=4,
            verbose=0,
            callbacks=[stages, scale, Agreement(every=1)],
        )
        weights = [weight.tolist() for weight in model.get_weights()]
        return {"weights": weights, "history": fitted.history, "scales": scale.seen}


def plain(distribution, optimizer=None):
    """Run a user's own `model.fit` in a scope."""
    with kft.distribution.scope(distribution) as count:
        model = small_model(optimizer or clipping())
        history = plain_fit(model)
        weights = [weight.tolist() for weight in model.get_weights()]
        return {"devices": count, "weights": weights, "history": history}


def tiny_last_batch_with_trained_norms():
    try:
        fit(DataParallel(4), count=18, stages=SHORT[1:], batch_norm="train")
    except kft.InputError as error:
        return str(error)
    return "trained"


def optimizer_from_outside():
    try:
        return plain(DataParallel(2), clipping())
    except RuntimeError as error:
        return str(error)


def built_too_early():
    model = small_model("adam")
    try:
        with kft.distribution.scope("data_parallel"):
            plain_fit(model)
    except kft.InputError as error:
        return str(error)
    return "trained"


def fitted_in_stages():
    """Train in stages; an error on TensorFlow, since losses of users' models ignore replicas."""
    with kft.distribution.scope("data_parallel"):
        model = small_model(keras.optimizers.AdamW())
        x = np.zeros((9, 8), "float32")
        try:
            kft.fit_in_stages(
                model, x, x[:, 0], stages=[kft.Stage(0, 1, 1e-3)], batch_size=8, verbose=0
            )
        except kft.InputError as error:
            return str(error)
    return "trained"


def outcomes(directory):
    if PLACE:  # one of two processes with a directory each, or the only one
        cache = kft.Cache(True, directory=OUT.parent.with_name("features"))
        yield "auto", fit("auto", batch_norm="train", cache=cache, run_dir=directory)
        return
    yield "one", fit("none", batch_norm="train")
    yield "four, then two", crashed_and_gone_on(DataParallel(4), DataParallel(2), directory)
    yield "one, tiny last batch", fit("none", count=17, stages=SHORT)
    yield "two, tiny last batch", fit(DataParallel(2), count=17, stages=SHORT, cache=True)
    yield "tiny last batch, trained norms", tiny_last_batch_with_trained_norms()
    yield "one, plain", plain("none")
    yield "two, plain", plain(DataParallel(2))
    yield "optimizer from outside", optimizer_from_outside()
    if BACKEND == "jax":  # on TensorFlow the scaled loss covers this
        halved = {"precision": "mixed_bfloat16", "stages": SHORT[1:]}
        yield "one, bfloat16", fit("none", **halved)
        yield "two, bfloat16", fit(DataParallel(2), **halved)
    yield "one, scaled", scaled("none")
    yield "two, scaled", scaled(DataParallel(2))
    solved = [kft.Stage(0, solve=True), kft.Stage("all", 1, 1e-2)]
    yield "one, solved", fit("none", count=24, stages=solved)
    yield "two, solved", fit(DataParallel(2), count=24, stages=solved, cache=True)
    head = [kft.Stage(0, 3, 1e-2)]
    yield "one, head", fit("none", stages=head)
    yield "two, measured", fit(DataParallel(2), stages=head, cache="auto")
    yield "one, tuned", tuned("none", OUT.with_name("one"))
    yield "two, tuned", tuned(DataParallel(2), OUT.with_name("two"))
    yield "in stages", fitted_in_stages()
    yield "built too early", built_too_early()


OUT.write_text(json.dumps(dict(outcomes(OUT.with_name("run")))))
if not PLACE:  # two processes have to disconnect
    leave()
