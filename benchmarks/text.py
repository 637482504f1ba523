"""A small BERT in three stages, on sentiment or on questions.

    python benchmarks/text.py --task sst2 --data FOLDER --preset FOLDER [--out FILE.json]

`--data` contains `train.tsv` and `test.tsv`, and optionally `dev.tsv` for validation (otherwise a
tenth of the training data), each with columns `label` and `text`. `--preset` is a BERT as a KerasHub
preset or a Hugging Face folder; the stages are meant for MiniLM-L6. Runs on the process' backend.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

CLASSES = {"sst2": 2, "trec6": 6}
STAGES = [
    {"unfreeze": 0, "epochs": 3, "learning_rate": 3e-3, "name": "head"},
    {"unfreeze": 2, "epochs": 1, "learning_rate": 3e-4, "warmup": 0.1, "name": "top"},
    {
        "unfreeze": "all",
        "epochs": 2,
        "learning_rate": 2e-4,
        "warmup": 0.1,
        "decay": "linear",
        "layer_decay": 0.9,
        "name": "all",
    },
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", choices=CLASSES, required=True)
    parser.add_argument("--data", required=True, help="a folder with train.tsv and test.tsv")
    parser.add_argument("--preset", required=True, help="MiniLM-L6, or another BERT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", help="a YAML file in place of the stages written here")
    parser.add_argument("--limit", type=int, help="train on this many texts only, for a trial")
    parser.add_argument("--run-dir", help="keep the run and its report here; a new directory")
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()
    for path in (Path(options.data, "train.tsv"), Path(options.data, "test.tsv")):
        if not path.is_file():
            sys.exit(f"{path} is missing: pass the folder that holds it as --data.")
    measure(options)


def measure(options: argparse.Namespace) -> None:
    import keras
    from clock import StageClock
    from figures import publish, result

    from kft.data.split import split
    from kft.stages.stage import checked_stages, read_stages
    from recipes import BertRecipe

    stages = list(read_stages(options.stages) if options.stages else checked_stages(STAGES))
    recipe = BertRecipe(
        options.preset, num_classes=CLASSES[options.task], backbone_dropout=0.0, seed=options.seed
    )
    _ = recipe.model  # built before the clock starts
    folder = Path(options.data)
    train = recipe.read(folder / "train.tsv")
    if options.limit:
        _, train = split(train, options.limit / len(train), options.seed)
    if (folder / "dev.tsv").is_file():
        validation = recipe.read(folder / "dev.tsv", classes=train.classes)
    else:
        train, validation = split(train, 0.1, options.seed)
    clock = StageClock(stages)
    started = time.perf_counter()
    run = recipe.fit(
        train,
        validation,
        stages=stages,
        run_dir=options.run_dir,
        callbacks=[clock],
        early_stopping=keras.callbacks.EarlyStopping(
            "val_accuracy", mode="max", patience=2, restore_best_weights=True
        ),
        seed=options.seed,
        verbose=2,
    )
    total = time.perf_counter() - started
    evaluation = recipe.evaluate(folder / "test.tsv")

    backend = keras.backend.backend()
    row = (options.task, backend, f"{evaluation.accuracy:.3f}")
    command = f"python benchmarks/text.py --task {options.task} --data {folder.name} --preset "
    command += Path(options.preset).name
    if options.limit:
        command += f" --limit {options.limit}"
    if options.seed:
        command += f" --seed {options.seed}"
    details: dict[str, Any] = {
        "stages": [stage.to_dict() for stage in stages],
        "seed": options.seed,
        "tokens": recipe.length,
        "examples": {"train": len(train), "validation": len(validation)},
        "test_accuracy": evaluation.accuracy,
        "validation_accuracy": run.evaluation.accuracy,
        "total_seconds": total,
        "seconds_before": clock.before,
        "seconds": clock.seconds,
        "epochs": clock.epochs,
        "history": run.history,
    }
    publish(
        result(
            "text",
            command=f"KERAS_BACKEND={backend} {command}",
            columns=("task", "backend", "test accuracy"),
            rows=[row],
            notes=[
                f"{options.task}: trained on {len(train):,} texts, validated on {len(validation):,}; "
                "the test part was looked at once."
            ],
            details=details,
            backend=backend,
        ),
        options.out,
    )


if __name__ == "__main__":
    main()
