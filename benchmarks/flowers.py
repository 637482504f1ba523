"""Three stages compared with the head alone, on photographs of flowers.

    python benchmarks/flowers.py --data FOLDER --weights FILE [--seeds 3] [--out FILE.json]

MobileNetV2 0.35 with ImageNet's weights. Each seed draws another test part (20 %) and another
validation part (16 %), the same for both ways. Both ways get the same number of epochs, the same
early stopping and batch size; the head alone gets the best of three learning rates, chosen by
validation accuracy. The test part is used once per way and seed, at the end.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

STAGES = [
    {"unfreeze": 0, "epochs": 4, "learning_rate": 3e-3, "name": "head"},
    {"unfreeze": 1, "epochs": 4, "learning_rate": 1e-3, "warmup": 0.1, "name": "top"},
    {
        "unfreeze": "all",
        "epochs": 6,
        "learning_rate": 1e-3,
        "warmup": 0.1,
        "decay": "linear",
        "layer_decay": 0.8,
        "name": "all",
    },
]
HEAD_RATES = (1e-3, 3e-3, 1e-2)
WAYS = ("head only", "three stages")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="a folder with a folder per class")
    parser.add_argument("--weights", required=True, help="MobileNetV2 0.35 without classifier")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions")
    parser.add_argument("--image-size", type=int, default=128, help="height and width")
    parser.add_argument("--stages", help="a YAML file in place of the stages written here")
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
    from kft.stages.stage import Stage, checked_stages, read_stages

    photos = read(options.data, task="single_label", modality="image")
    if options.limit:
        _, photos = split(photos, options.limit / len(photos), seed=0)
    stages = list(read_stages(options.stages) if options.stages else checked_stages(STAGES))
    epochs = sum(stage.epochs for stage in stages)
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for seed in range(options.seeds):
        rest, test = split(photos, 0.2, seed)
        train, validation = split(rest, 0.2, seed)
        parts = train, validation, test
        heads = [
            fit(options, [Stage(0, epochs, rate, name="head")], parts, seed) for rate in HEAD_RATES
        ]
        runs["head only"].append(max(heads, key=lambda one: one["validation_accuracy"]))
        runs["three stages"].append(fit(options, stages, parts, seed))

    rows = []
    for way in WAYS:
        accuracies = [one["test_accuracy"] for one in runs[way]]
        rows.append(
            (
                way,
                f"{statistics.median(accuracies):.3f}",
                ", ".join(f"{accuracy:.3f}" for accuracy in accuracies),
            )
        )
    gains = [
        100 * (b["test_accuracy"] - a["test_accuracy"])
        for a, b in zip(*(runs[way] for way in WAYS), strict=True)
    ]
    notes = [
        f"{len(train)} photographs to train, {len(validation)} to validate, {len(test)} to test, "
        f"{options.image_size} px, up to {epochs} epochs each; the head alone with the best of "
        f"{len(HEAD_RATES)} rates by validation accuracy. Stages are better by "
        f"{statistics.median(gains):+.1f} points at the median "
        f"({', '.join(f'{gain:+.1f}' for gain in gains)} by seed)."
    ]
    command = f"python benchmarks/flowers.py --data {Path(options.data).name} " + (
        f"--weights {Path(options.weights).name} --seeds {options.seeds}"
    )
    if options.limit:
        command += f" --limit {options.limit}"
    if options.image_size != 128:
        command += f" --image-size {options.image_size}"
    backend = keras.backend.backend()
    publish(
        result(
            "flowers",
            command=f"KERAS_BACKEND={backend} {command}",
            columns=("", "test accuracy, median", "each seed"),
            rows=rows,
            notes=notes,
            details={"stages": [stage.to_dict() for stage in stages], "runs": runs},
            backend=backend,
        ),
        options.out,
    )


def fit(options: argparse.Namespace, stages: list, parts: tuple, seed: int) -> dict[str, Any]:
    """Train one way on one split."""
    import keras
    from clock import StageClock

    from recipes import MobileNetRecipe

    train, validation, test = parts
    recipe = MobileNetRecipe(
        "MobileNetV2",
        num_classes=len(train.classes),
        alpha=0.35,
        image_size=(options.image_size, options.image_size),
        weights=options.weights,
        seed=seed,
    )
    _ = recipe.model  # built before the clock starts, for all ways
    clock = StageClock(stages)
    started = time.perf_counter()
    run = recipe.fit(train, validation, stages=stages, callbacks=[clock], seed=seed, verbose=0)
    total = time.perf_counter() - started
    outcome = {
        "seed": seed,
        "learning_rate": stages[0].learning_rate,
        "validation_accuracy": run.evaluation.accuracy,
        "test_accuracy": recipe.evaluate(test).accuracy,
        "total_seconds": total,
        "seconds_before": clock.before,
        "seconds": clock.seconds,
        "epochs": clock.epochs,
        "history": run.history,
    }
    keras.utils.clear_session()
    print(
        f"seed {seed}, {', '.join(stage.label for stage in stages)} at "
        f"{stages[0].learning_rate:g}: validation {outcome['validation_accuracy']:.3f}, "
        f"test {outcome['test_accuracy']:.3f}, {total:.0f} s {clock.seconds}, "
        f"epochs {clock.epochs}",
        flush=True,
    )
    return outcome


if __name__ == "__main__":
    main()
