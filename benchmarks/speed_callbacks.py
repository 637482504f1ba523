"""The overhead of StagedUnfreezing compared with a bare `model.fit` of the same steps.

    python benchmarks/speed_callbacks.py [--rounds 7] [--out FILE.json]

Steady epochs: the same model, optimizer and data, with the callback in a stage that trains
everything, and without it, in turns and without the first epoch. A stage change: the first epoch of
a second stage, compared with that of a bare fit that compiles again, each less a steady epoch.
"""

import argparse
import statistics
import time
from typing import Any

import keras
import numpy as np

STEPS, BATCH = 150, 32
_NOTHING = 0.1  # seconds by which a first epoch may take longer by chance


class EpochClock(keras.callbacks.Callback):
    """Measure the seconds of each epoch, including those between epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.last = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def model() -> keras.Model:
    """Return a convolutional network whose steps take a few milliseconds."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((32, 32, 3))
    for index, width in enumerate((16, 32, 32)):
        x = keras.layers.Conv2D(width, 3, strides=2, name=f"block{index}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"block{index}_bn")(x)
        x = keras.layers.ReLU(name=f"block{index}_relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(5, activation="softmax", name="head")(x))


def compiled() -> keras.Model:
    built = model()
    compile_anew(built)
    return built


def compile_anew(built: keras.Model) -> None:
    built.compile(
        keras.optimizers.AdamW(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )


def fit(built: keras.Model, epochs: int, callbacks: list | None = None) -> list[float]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS * BATCH, 32, 32, 3)).astype("float32")
    y = np.arange(len(x)) % 5
    clock = EpochClock()
    built.fit(
        x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[*(callbacks or []), clock]
    )
    return clock.seconds


def steady(rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Return the seconds of an epoch with and without the callback, and their ratio, by round."""
    from kft import Stage
    from kft.callbacks import StagedUnfreezing

    ours, bare, ratios = [], [], []
    for index in range(rounds):
        ways = {
            "ours": lambda: fit(
                compiled(),
                7,
                [StagedUnfreezing([Stage("all", 7, 1e-3)], batch_norm="train", verbose=0)],
            ),
            "bare": lambda: fit(compiled(), 7),
        }
        found = {}
        for name in list(ways)[:: -1 if index % 2 else 1]:
            found[name] = statistics.median(ways[name]()[1:])
        ours.append(found["ours"])
        bare.append(found["bare"])
        ratios.append(100 * (found["ours"] / found["bare"] - 1))
    return ours, bare, ratios


def change(rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Return the seconds lost at a stage change with the callback and with `compile`, and the excess in %."""
    from kft import Stage
    from kft.callbacks import StagedUnfreezing

    ours, bare, ratios = [], [], []
    for index in range(rounds):

        def with_callback() -> float:
            stages = [Stage(0, 2, 1e-3), Stage("all", 3, 1e-3)]
            seconds = fit(compiled(), 5, [StagedUnfreezing(stages, batch_norm="train", verbose=0)])
            return seconds[2] - statistics.median(seconds[3:])

        def with_compile() -> float:
            built = compiled()
            for layer in built.layers[:-1]:
                layer.trainable = False
            compile_anew(built)
            fit(built, 2)
            started = time.perf_counter()
            for layer in built.layers:
                layer.trainable = True
            compile_anew(built)
            before = time.perf_counter() - started
            seconds = fit(built, 3)
            return before + seconds[0] - statistics.median(seconds[1:])

        ways = {"ours": with_callback, "bare": with_compile}
        found = {name: ways[name]() for name in list(ways)[:: -1 if index % 2 else 1]}
        ours.append(found["ours"])
        bare.append(found["bare"])
        ratios.append(100 * (found["ours"] / found["bare"] - 1))
    return ours, bare, ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="repetitions")
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()

    from figures import publish, result
    from turns import spread

    backend = keras.backend.backend()
    rows, details = [], {}
    for what, measured in (("a steady epoch", steady), ("a change of stages", change)):
        ours, bare, ratios = measured(options.rounds)
        details[what] = {"kft": ours, "keras": bare, "per cent": ratios}
        compared = statistics.median(bare) > _NOTHING
        shares = spread(ratios, "+.1f") if compared else "nothing to compile"
        rows.append((backend, what, *(spread(one, ".2f") for one in (bare, ours)), shares))
    publish(
        result(
            "speed_callbacks",
            command=f"KERAS_BACKEND={backend} python benchmarks/speed_callbacks.py "
            f"--rounds {options.rounds}",
            columns=("backend", "", "bare `fit`, s", "with StagedUnfreezing, s", "per cent more"),
            rows=rows,
            notes=[
                f"A convolutional network, {STEPS} steps of {BATCH} images an epoch. Medians over "
                f"{options.rounds} rounds in turns, with the least and the most. At a change of stages "
                "both sides compile again; a steady epoch is taken off."
            ],
            details=details,
            backend=backend,
        ),
        options.out,
    )


if __name__ == "__main__":
    main()
