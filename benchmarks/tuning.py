"""The speed of a search over rates and depths with shared features, compared with plain KerasTuner.

    python benchmarks/tuning.py --task flowers --data FOLDER --weights FILE [--out FILE.json]
    python benchmarks/tuning.py --task trec6 --data FOLDER --weights FOLDER [--out FILE.json]

MobileNetV2 0.35 with ImageNet's weights on photographs, or MiniLM-L6 on questions. Both ways draw the
same trials (KerasTuner's random oracle, same seed), train for the same number of epochs in the same
two stages, and validate on the same examples after each epoch. Plain KerasTuner follows Keras' guide
to transfer learning: fit the new head, unfreeze, compile again with a small rate, fit again; it
reads its examples from memory, decoded or tokenized once. The seconds of kft include everything from
the beginning of the search to its page.

The two ways take turns in one process: a search with kft, some plain trials, a search with kft again.
With `--plain-each N`, plain KerasTuner runs only N trials of each depth, and the others are counted
at the median of these.
"""

import argparse
import collections
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SPACES = ("head rate x depth", "head rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", choices=("flowers", "trec6"), default="flowers")
    parser.add_argument(
        "--data", required=True, help="a folder with a folder per class, or trec6's"
    )
    parser.add_argument(
        "--weights", required=True, help="MobileNetV2 0.35's, or MiniLM-L6's folder"
    )
    parser.add_argument("--trials", type=int, default=20, help="trials of the search")
    parser.add_argument("--plain-each", type=int, help="plain trials of each depth; default: all")
    parser.add_argument("--repeats", type=int, default=3, help="searches with kft")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each stage")
    parser.add_argument("--deepest", type=int, default=2, help="most blocks to unfreeze")
    parser.add_argument("--space", choices=SPACES, default=SPACES[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="use this many examples only")
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()
    for path in (options.data, options.weights):
        if not Path(path).exists():
            sys.exit(f"{path} is missing: pass the folder as --data and the weights as --weights.")
    measure(options)


def measure(options: argparse.Namespace) -> None:
    import keras
    from figures import publish, result
    from tuning_tasks import Photos, Questions

    from kft.data.split import split

    kind = Photos if options.task == "flowers" else Questions
    task = kind(options.data, options.weights)
    examples = task.read()
    if options.limit:
        _, examples = split(examples, options.limit / len(examples), seed=0)
    parts = split(examples, 0.2, options.seed)
    ours: list[dict] = []
    plain = without(
        options, task, parts, lambda: ours.append(with_kft(options, task, parts, len(ours)))
    )
    drawn = [one["values"] for one in plain["trials"]]
    if any([trial["values"] for trial in one["trials"]] != drawn for one in ours):
        sys.exit("the two ways drew different trials, so there is nothing to compare")
    seconds = statistics.median(one["seconds"] for one in ours)
    ratio = plain["seconds"] / seconds
    timed = sum(one["seconds"] is not None for one in plain["trials"])
    rows = [
        (
            options.task, options.space, way, trials, f"{spent:.0f}",
            f"{spent / options.trials:.1f}", f"{passes:,}", f"{best:.3f}", times,
        )
        for way, trials, spent, passes, best, times in (
            ("kft", f"{options.trials}", seconds, ours[0]["passes"], ours[0]["best"],
             f"{ratio:.1f}"),
            ("KerasTuner", f"{options.trials} ({timed} timed)", plain["seconds"],
             plain["passes"], plain["best"], "1"),
        )
    ]  # fmt: skip
    each = ", ".join(f"{one['seconds']:.0f} s" for one in ours)
    what = "photographs of 128 px" if options.task == "flowers" else "questions"
    deep = f", and {options.epochs} of head and unfrozen blocks where the depth is above 0 (up to "
    deep += f"{options.deepest})"
    notes = [
        f"{options.task}, {options.space}: {len(parts[0])} {what} to train, {len(parts[1])} to "
        f"validate, {options.epochs} epochs of the head"
        f"{deep if options.space != 'head rate' else ''}; no early stopping. kft: the median "
        f"of {options.repeats} searches ({each}).",
        "`frozen passes` counts how often frozen layers ran over an example. KerasTuner's trials "
        "that were not timed are counted at the median of those of the same depth that were; its "
        "best accuracy is that of the timed ones.",
    ]
    command = f"python benchmarks/tuning.py --task {options.task} --data {Path(options.data).name} "
    command += f'--weights {Path(options.weights).name} --space "{options.space}" '
    command += f"--trials {options.trials} --epochs {options.epochs} --repeats {options.repeats}"
    command += f" --limit {options.limit}" if options.limit else ""
    command += f" --plain-each {options.plain_each}" if options.plain_each else ""
    backend = keras.backend.backend()
    publish(
        result(
            "tuning",
            command=f"KERAS_BACKEND={backend} {command}",
            columns=(
                "task", "search", "", "trials", "seconds", "a trial", "frozen passes",
                "best accuracy", "times faster",
            ),
            rows=rows,
            notes=notes,
            details={"kft": ours, "KerasTuner": plain},
            backend=backend,
        ),
        options.out,
    )  # fmt: skip


def declare(options: argparse.Namespace, task: Any) -> Any:
    """Return a function that declares the hyperparameters of a search to KerasTuner."""

    def declared(hp: Any) -> None:
        hp.Float("head_lr", *task.rates, sampling="log")
        if options.space == "head rate x depth":
            hp.Choice("unfreeze", list(range(options.deepest + 1)))

    return declared


def with_kft(options: argparse.Namespace, task: Any, parts: tuple, turn: int) -> dict[str, Any]:
    """Search with kft, including the page."""
    import numpy as np

    from kft.stages.stage import Stage

    stages = [Stage(0, options.epochs, 1e-3), Stage(1, options.epochs, task.block_rate)]
    recipe = task.recipe(len(parts[0].classes))
    _ = recipe.model  # built before the clock starts, as KerasTuner's first model is
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        search = recipe.tune(
            *parts,
            run_dir=Path(folder) / "search",
            max_trials=options.trials,
            space=declare(options, task),
            stages=stages if options.space == "head rate x depth" else stages[:1],
            early_stopping=None,
            seed=options.seed,
            verbose=0,
        )
        seconds = time.perf_counter() - started
        kept = (Path(folder) / "search" / "features").glob("*/0.npy")
        # Without cached features a stage would run the frozen part on all examples in each epoch.
        passes = sum(len(np.load(path, mmap_mode="r")) for path in kept)
        trials = [
            {"values": dict(one.values), "score": one.score, "seconds": one.seconds}
            for one in search.trials
        ]
    print(f"kft, search {turn + 1}: {seconds:.1f} s", flush=True)
    return {
        "seconds": seconds,
        "trials": trials,
        "passes": passes,
        "best": max(trial["score"] for trial in trials),
    }


def without(options: argparse.Namespace, task: Any, parts: tuple, take_turn: Any) -> dict[str, Any]:
    """Search with plain KerasTuner; `take_turn` is called before, between and after its trials."""
    import keras
    import keras_tuner

    from kft.model.blocks import find_blocks

    train, validation = parts
    recipe = task.recipe(len(train.classes))
    recipe.learn(train)
    started = time.perf_counter()
    data, held_out = dataset(recipe, train, options.seed), dataset(recipe, validation)
    reading = time.perf_counter() - started
    blocks = find_blocks(recipe.model)
    hyperparameters = keras_tuner.HyperParameters()
    declare(options, task)(hyperparameters)
    clock: dict[str, float] = {}  # by trial
    scores: dict[str, float] = {}
    begun: collections.Counter[int] = collections.Counter()

    class Plain(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            declare(options, task)(hp)
            model, self.base = task.model(recipe)
            return model

        def fit(self, hp: Any, model: Any, data: Any, **settings: Any) -> Any:
            """Fit as in Keras' guide; the best epoch of both fits counts."""
            depth = hp.values.get("unfreeze", 0)
            history = self._fit(model, hp.values["head_lr"], data, **settings)
            if depth:
                names = {layer.name for block in blocks[:depth] for layer in block.layers}
                self.base.trainable = True
                for layer in self.base.layers:
                    normal = isinstance(layer, keras.layers.BatchNormalization)
                    layer.trainable = layer.name in names and not normal
                later = self._fit(model, task.block_rate, data, **settings)
                for name, values in later.history.items():
                    history.history[name] += values
            return history

        def _fit(self, model: Any, rate: float, data: Any, **settings: Any) -> Any:
            optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
            model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model.fit(data, epochs=options.epochs, **settings)

    class Tuner(keras_tuner.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **settings: Any) -> Any:
            depth = trial.hyperparameters.values.get("unfreeze", 0)
            begun[depth] += 1
            if options.plain_each and begun[depth] > options.plain_each:
                return {"val_accuracy": -1.0}  # not timed, and never the best
            take_turns(len(clock))
            began = time.perf_counter()
            found = super().run_trial(trial, *args, **settings)
            clock[trial.trial_id] = time.perf_counter() - began
            print(f"plain, trial {trial.trial_id}: {clock[trial.trial_id]:.1f} s", flush=True)
            scores[trial.trial_id] = max(found[0].history["val_accuracy"])
            return found

    depths = options.deepest + 1 if options.space == "head rate x depth" else 1
    expected = min(options.trials, depths * (options.plain_each or options.trials))
    taken = 0

    def take_turns(timed: int) -> None:
        """Run the searches with kft that are due after a number of plain trials."""
        nonlocal taken
        while taken < options.repeats and taken * expected <= timed * options.repeats:
            taken += 1
            take_turn()

    with tempfile.TemporaryDirectory() as folder:
        tuner = Tuner(
            Plain(),
            objective=keras_tuner.Objective("val_accuracy", "max"),
            max_trials=options.trials,
            seed=options.seed + 1,  # as kft passes it, since KerasTuner replaces 0 by a random seed
            hyperparameters=hyperparameters,
            directory=folder,
        )
        tuner.oracle.verbose = 0
        tuner.search(data, validation_data=held_out, verbose=0)
        take_turns(expected)
        asked = [tuner.oracle.trials[name] for name in sorted(tuner.oracle.trials)]
    trials, seconds = [], reading
    for trial in asked:
        values = dict(trial.hyperparameters.values)
        depth = values.get("unfreeze", 0)
        same = [
            clock[one.trial_id]
            for one in asked
            if one.trial_id in clock and one.hyperparameters.values.get("unfreeze", 0) == depth
        ]
        spent = clock.get(trial.trial_id)
        seconds += statistics.median(same) if spent is None else spent
        trials.append({"values": values, "score": scores.get(trial.trial_id), "seconds": spent})
    epochs = sum(1 + bool(one["values"].get("unfreeze")) for one in trials) * options.epochs
    return {
        "seconds": seconds,
        "trials": trials,
        "passes": epochs * (len(train) + len(validation)),
        "best": max(scores.values()),
    }


def dataset(recipe: Any, examples: Any, seed: int | None = None) -> Any:
    """Return examples as tensors in memory, shuffled if a seed is given."""
    import numpy as np
    import tensorflow as tf

    x = recipe.load(list(examples.inputs))
    made = tf.data.Dataset.from_tensor_slices((x, np.asarray(examples.targets)))
    made = made if seed is None else made.shuffle(len(examples), seed=seed)
    return made.batch(32).prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
