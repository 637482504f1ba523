"""Fits of one small recipe on one device and on several; what came out goes to a JSON file.

A process of its own, since virtual devices have to be asked for before a backend starts.
"""

import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

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

import keras  # noqa: E402
import numpy as np  # noqa: E402

import kft  # noqa: E402
from kft.callbacks import StagedUnfreezing  # noqa: E402
from kft.distribution import DataParallel  # noqa: E402
from kft.image_recipe import ImageRecipe, unit_pixels  # noqa: E402

if len(PLACE) == 2:
    kft.distribution.initialize(PLACE[0], processes=2, index=int(PLACE[1]))


def dense(*, include_top, weights, input_tensor):
    """Blocks without convolutions, which take JAX long to compile."""
    x = input_tensor
    for block in (1, 2):
        x = keras.layers.Dense(8, use_bias=False, name=f"block{block}_dense")(x)
        x = keras.layers.BatchNormalization(momentum=0.5, name=f"block{block}_bn")(x)
        x = keras.layers.ReLU(name=f"block{block}_relu")(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


@dataclass(kw_only=True, eq=False)
class DenseRecipe(ImageRecipe):
    architectures: ClassVar = {"Dense": dense}
    smallest_image: ClassVar[int] = 4
    name: str = field(default="Dense", kw_only=False)
    image_size: tuple[int, int] = (4, 4)
    weights: str | None = None

    def preprocess(self, inputs):
        return unit_pixels(inputs)


class Crash(keras.callbacks.Callback):
    """Ends a fit in the middle of its third epoch."""

    def __init__(self):
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (3, 2):
            raise ZeroDivisionError


def images(count, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    x = rng.uniform(0, 160, (count, 4, 4, 3)).astype("float32")
    return x + 60 * y[:, None, None, None].astype("float32"), y


def fit(distribution, count=22, cache=False, **settings):
    recipe = DenseRecipe(num_classes=2, dropout=0.0)
    stages = [kft.Stage(0, 2, 1e-2), kft.Stage(1, 1, 1e-2, warmup=0.2), kft.Stage("all", 2, 1e-2)]
    run = recipe.fit(
        images(count),
        images(10, seed=1),
        stages=stages,
        batch_size=8,
        cache=cache,
        distribution=distribution,
        early_stopping=None,
        verbose=0,
        **settings,
    )
    return {
        "backend": BACKEND,
        "weights": [weight.tolist() for weight in recipe.model.get_weights()],
        "history": run.history,
        "evaluated": run.evaluation.accuracy,
        "predicted": recipe.predict(images(3)[0]).scores.tolist(),
        "trainable": [variable.path for variable in recipe.model.trainable_variables],
    }


def crashed_and_gone_on(first, then, directory):
    settings = {"run_dir": directory, "checkpoint_every": 1, "batch_norm": "train"}
    try:
        fit(first, callbacks=[Crash()], **settings)
    except ZeroDivisionError:
        return fit(then, **settings)
    raise AssertionError("the fit did not crash")


def tuned(distribution, directory):
    """A search of one trial, whose backbone all trials would share."""
    recipe = DenseRecipe(num_classes=2, dropout=0.0)
    found = recipe.tune(
        images(16),
        images(8, seed=1),
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
    outputs = keras.layers.Dense(2, activation="softmax", name="head")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def plain_fit(model):
    x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    y = (x.sum(1) > 0).astype("int32")
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


def plain(distribution, optimizer=None):
    """A model.fit of one's own in a scope."""
    with kft.distribution.scope(distribution) as count:
        model = small_model(optimizer or clipping())
        history = plain_fit(model)
        weights = [weight.tolist() for weight in model.get_weights()]
        return {"devices": count, "weights": weights, "history": history}


def tiny_last_batch_with_trained_norms():
    try:
        fit(DataParallel(4), count=18, batch_norm="train")
    except kft.InputError as error:
        return str(error)
    return "trained"


def optimizer_from_outside():
    try:
        return plain("data_parallel", clipping())
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
    """On TensorFlow an error: the loss of a model of one's own knows nothing of replicas."""
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
    if PLACE:  # one of two processes, each of which has a directory, or alone
        yield "auto", fit("auto", batch_norm="train", run_dir=str(OUT.with_name("run")))
        return
    yield "one", fit("none", batch_norm="train")
    yield "four, then two", crashed_and_gone_on(DataParallel(4), DataParallel(2), directory)
    yield "one, tiny last batch", fit("none", count=18)
    yield "four, tiny last batch", fit(DataParallel(4), count=18, cache=True)
    yield "tiny last batch, trained norms", tiny_last_batch_with_trained_norms()
    yield "one, plain", plain("none")
    yield "four, plain", plain("data_parallel")
    yield "optimizer from outside", optimizer_from_outside()
    yield "one, tuned", tuned("none", f"{directory}-one")
    yield "two, tuned", tuned(DataParallel(2), f"{directory}-two")
    yield "in stages", fitted_in_stages()
    yield "built too early", built_too_early()


with tempfile.TemporaryDirectory() as folder:
    OUT.write_text(json.dumps(dict(outcomes(f"{folder}/run"))))
