"""A search over rates and depths with shared frozen features, against plain KerasTuner.

    python benchmarks/tuning.py --data FOLDER --weights FILE [--trials 20] [--out FILE.json]

MobileNetV2 0.35 with ImageNet's weights. Both ways draw the same trials (KerasTuner's random
oracle, same seed), take the same number of epochs in the same two stages, and validate on the same
photographs after each epoch. Plain KerasTuner does it as Keras' guide to transfer learning says:
fit the new head, unfreeze, compile again with a small rate, fit again; it reads the photographs
from memory, decoded and resized once. Seconds count everything from the first trial on.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SPACES = ("head rate x depth", "head rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="a folder with a folder per class")
    parser.add_argument("--weights", required=True, help="MobileNetV2 0.35 without classifier")
    parser.add_argument("--trials", type=int, default=20, help="trials of each search")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each stage")
    parser.add_argument("--deepest", type=int, default=2, help="most blocks to unfreeze")
    parser.add_argument("--space", choices=SPACES, help="one of the searches only")
    parser.add_argument("--image-size", type=int, default=128, help="height and width")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="use this many photographs only, for a trial")
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()
    for path in (options.data, options.weights):
        if not Path(path).exists():
            sys.exit(f"{path} is missing: pass the folder as --data and the file as --weights.")
    measure(options)


def measure(options: argparse.Namespace) -> None:
    import keras
    from figures import publish, result

    from kft.data.read import read
    from kft.data.split import split

    photos = read(options.data, task="single_label", modality="image")
    if options.limit:
        _, photos = split(photos, options.limit / len(photos), seed=0)
    train, validation = split(photos, 0.2, options.seed)
    searches = [options.space] if options.space else list(SPACES)
    rows, notes, details = [], [], {}
    for space in searches:
        ours, plain = [way(options, space, train, validation) for way in (with_kft, without)]
        if [one["values"] for one in ours["trials"]] != [one["values"] for one in plain["trials"]]:
            sys.exit("the two ways drew different trials, so there is nothing to compare")
        details[space] = {"kft": ours, "KerasTuner": plain}
        for way, one in details[space].items():
            count = len(one["trials"])
            cells = f"{one['seconds']:.0f}", f"{one['seconds'] / count:.1f}", f"{one['passes']:,}"
            rows.append((space, way, str(count), *cells, f"{one['best']:.3f}"))
        notes.append(f"{space}: {plain['seconds'] / ours['seconds']:.1f} times faster.")
    notes.append(
        f"{len(train)} photographs to train, {len(validation)} to validate, {options.image_size} px, "
        f"{options.epochs} epochs of the head, and {options.epochs} of head and unfrozen blocks "
        f"where the depth is above 0 (up to {options.deepest}); no early stopping. `frozen passes` "
        "counts how often frozen layers ran over a photograph."
    )
    command = f"python benchmarks/tuning.py --data {Path(options.data).name} --weights "
    command += f"{Path(options.weights).name} --trials {options.trials} --epochs {options.epochs}"
    command += f" --limit {options.limit}" if options.limit else ""
    command += f' --space "{options.space}"' if options.space else ""
    backend = keras.backend.backend()
    publish(
        result(
            "tuning",
            command=f"KERAS_BACKEND={backend} {command}",
            columns=(
                "search", "", "trials", "seconds", "a trial", "frozen passes", "best accuracy",
            ),
            rows=rows,
            notes=notes,
            details=details,
            backend=backend,
        ),
        options.out,
    )  # fmt: skip


def declare(space: str, deepest: int) -> Any:
    """The hyperparameters of a search, in KerasTuner's terms."""

    def declared(hp: Any) -> None:
        hp.Float("head_lr", 3e-4, 3e-2, sampling="log")
        if space == "head rate x depth":
            hp.Choice("unfreeze", list(range(deepest + 1)))

    return declared


def new_recipe(options: argparse.Namespace, classes: int) -> Any:
    from recipes import MobileNetRecipe

    return MobileNetRecipe(
        "MobileNetV2",
        num_classes=classes,
        alpha=0.35,
        image_size=(options.image_size, options.image_size),
        weights=options.weights,
    )


def stages_of(options: argparse.Namespace, space: str) -> list:
    from kft.stages import Stage

    stages = [Stage(0, options.epochs, 1e-3), Stage(1, options.epochs, 1e-4)]
    return stages if space == "head rate x depth" else stages[:1]


def with_kft(options: argparse.Namespace, space: str, train: Any, validation: Any) -> dict:
    import numpy as np

    recipe = new_recipe(options, len(train.classes))
    _ = recipe.model  # built before the clock starts, as KerasTuner's first model is
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        search = recipe.tune(
            train,
            validation,
            run_dir=Path(folder) / "search",
            max_trials=options.trials,
            space=declare(space, options.deepest),
            stages=stages_of(options, space),
            early_stopping=None,
            seed=options.seed,
        )
        seconds = time.perf_counter() - started
        kept = (Path(folder) / "search" / "features").glob("*/0.npy")
        passes = sum(len(np.load(path, mmap_mode="r")) for path in kept)
        # A stage whose features were not kept would have run over everything in each epoch.
        trials = [dataclasses.asdict(trial) for trial in search.trials]
    for trial in trials:
        trial["run_dir"] = None
    return outcome(
        seconds, [{"values": dict(t["values"]), "score": t["score"]} for t in trials], passes
    )


def without(options: argparse.Namespace, space: str, train: Any, validation: Any) -> dict:
    import keras
    import keras_tuner
    import numpy as np
    import tensorflow as tf

    recipe = new_recipe(options, len(train.classes))

    def dataset(examples: Any, shuffled: bool) -> Any:
        x = recipe.load(list(examples.inputs))
        made = tf.data.Dataset.from_tensor_slices((x, np.asarray(examples.targets)))
        made = made.shuffle(len(x), seed=options.seed) if shuffled else made
        return made.batch(32).prefetch(tf.data.AUTOTUNE)

    class Plain(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            declare(space, options.deepest)(hp)
            side = options.image_size
            base = keras.applications.MobileNetV2(
                input_shape=(side, side, 3), alpha=0.35, include_top=False, weights=None,
                pooling="avg",
            )  # fmt: skip
            base.load_weights(options.weights)
            base.trainable = False
            inputs = keras.Input((side, side, 3))
            x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
            x = keras.layers.Dropout(recipe.dropout, seed=recipe.seed)(base(x, training=False))
            outputs = keras.layers.Dense(len(train.classes), activation="softmax")(x)
            return keras.Model(inputs, outputs)

        def fit(self, hp: Any, model: Any, data: Any, **settings: Any) -> Any:
            """As Keras' guide has it; the best epoch of both fits counts."""
            depth = hp.values.get("unfreeze", 0)
            history = self._fit(model, hp.values["head_lr"], data, **settings)
            if depth:
                base = next(one for one in model.layers if isinstance(one, keras.Model))
                names = {layer.name for block in blocks[:depth] for layer in block.layers}
                base.trainable = True
                for layer in base.layers:
                    normal = isinstance(layer, keras.layers.BatchNormalization)
                    layer.trainable = layer.name in names and not normal
                later = self._fit(model, 1e-4, data, **settings)
                for name, values in later.history.items():
                    history.history[name] += values
            return history

        def _fit(self, model: Any, rate: float, data: Any, **settings: Any) -> Any:
            optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
            model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model.fit(data, epochs=options.epochs, **settings)

    from kft.blocks import find_blocks

    blocks = find_blocks(recipe.model)
    hyperparameters = keras_tuner.HyperParameters()
    declare(space, options.deepest)(hyperparameters)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        data, held_out = dataset(train, True), dataset(validation, False)
        tuner = keras_tuner.RandomSearch(
            Plain(),
            objective="val_accuracy",
            max_trials=options.trials,
            seed=options.seed + 1,  # what kft makes of its own, as KerasTuner takes 0 for any
            hyperparameters=hyperparameters,
            directory=folder,
        )
        tuner.search(data, validation_data=held_out, verbose=0)
        seconds = time.perf_counter() - started
    trials = [tuner.oracle.trials[name] for name in sorted(tuner.oracle.trials)]
    found = [{"values": dict(t.hyperparameters.values), "score": t.score} for t in trials]
    epochs = sum(1 + bool(one["values"].get("unfreeze")) for one in found) * options.epochs
    return outcome(seconds, found, epochs * (len(train) + len(validation)))


def outcome(seconds: float, trials: list[dict], passes: int) -> dict[str, Any]:
    best = max(trial["score"] for trial in trials)
    return {"seconds": seconds, "trials": trials, "passes": passes, "best": best}


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
