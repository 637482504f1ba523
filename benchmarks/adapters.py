"""Adapters compared with training all weights: size, memory, seconds and accuracy on few examples.

    python benchmarks/adapters.py --data FOLDER --weights FOLDER --out FILE.json

`--data` holds `train.tsv` and `test.tsv` with the columns `label` and `text`; `--weights` is a BERT as
a preset or a Hugging Face folder. All ways solve the head and then train by their default stages, on
the same examples, without dropout in the backbone, so that frozen features can be cached. Each way runs
in its own process, whose peak memory is measured. Results that `--out` already contains are kept.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WAYS: dict[str, tuple[str, dict[str, Any] | None, str | None]] = {
    # name: its name in the table, the arguments of its LoRA, what trains without LoRA
    "all": ("all weights", None, None),
    "adapters": ("adapters", {}, None),
    "top": ("adapters in the top 2 blocks, kept features", {"blocks": 2}, None),
    "query_value": ("adapters on query and value", {"layers": ["query", "value"]}, None),
    "norms": ("norms", None, "norms"),
    "biases": ("biases", None, "biases"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", required=True, help="a preset's folder")
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=["all", "adapters", "top"])
    parser.add_argument("--each", type=int, default=20, help="examples per class")
    parser.add_argument("--seeds", type=int, default=1, help="draws of examples")
    parser.add_argument("--most-tests", type=int, default=500, help="test examples at most")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        options.out.write_text(json.dumps(measured(options, options.ways[0])))
        return
    cells = json.loads(options.out.read_text())["details"] if options.out.is_file() else {}
    for seed in range(options.seeds):
        for way in options.ways:
            if (key := f"{options.each} per class, seed {seed}, {way}") not in cells:
                cells[key] = {"seed": seed, "way": way, **in_own_process(options, way, seed)}
                print(key, cells[key], flush=True)
                write(options, cells)
    write(options, cells)


def in_own_process(options: argparse.Namespace, way: str, seed: int) -> dict[str, Any]:
    part = options.out.with_suffix(".part")
    command = [sys.executable, __file__, "--alone", "--ways", way, "--seed", str(seed)]
    for name in ("data", "weights", "each", "most_tests"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    subprocess.run([*command, "--out", str(part)], check=True)
    found = json.loads(part.read_text())
    part.unlink()
    return found


def measured(options: argparse.Namespace, way: str) -> dict[str, Any]:
    """Train in one way in this process, and return its costs and its accuracy."""
    import dataclasses
    import math

    import numpy as np
    from accuracy import drawn

    from recipes import BertRecipe

    _, lora, only = WAYS[way]
    with open(options.data / "train.tsv", newline="", encoding="utf-8") as file:
        classes = {row["label"] for row in csv.DictReader(file, delimiter="\t")}
    recipe = BertRecipe(
        options.weights,
        num_classes=len(classes),
        adapters=lora,
        backbone_dropout=0.0,
        seed=options.seed,
    )
    pool = recipe.read(options.data / "train.tsv")
    test = recipe.read(options.data / "test.tsv", classes=pool.classes)
    test = test.take(np.random.default_rng(0).permutation(len(test))[: options.most_tests])
    train = drawn(pool, options.each, options.seed)
    stages = None
    if only is not None:  # BitFit's rate is about that of LoRA
        head, deep = recipe.usual_stages(max(1, len(train) // 10))
        rate = 10 * deep.learning_rate
        stages = [head, dataclasses.replace(deep, only=only, learning_rate=rate, name=only)]
    _ = recipe.model
    before, started = peak(), time.perf_counter()
    run = recipe.fit(train, stages=stages, cache=True, seed=options.seed, verbose=0)
    seconds, memory = time.perf_counter() - started, peak() - before
    sizes = [math.prod(one.shape) for one in recipe.model.trainable_variables]
    state = [math.prod(one.shape) for one in recipe.model.optimizer.variables]
    return {
        "trained": sum(sizes),
        "optimizer_mb": sum(state) * 4 / 2**20,
        "peak_mb": memory,
        "seconds": seconds,
        "accuracy": float(recipe.evaluate(test).accuracy),
        "kept_stage": run.journal["best"]["stage"],
        "test": len(test),
    }


def peak() -> float:
    """Return the peak memory of this process, in MB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def write(options: argparse.Namespace, cells: dict[str, Any]) -> None:
    import keras
    from figures import result

    ways = [way for way in WAYS if any(cell["way"] == way for cell in cells.values())]
    backend = keras.backend.backend()
    seeds = f" --seeds {options.seeds}" if options.seeds != 1 else ""
    draws = "one draw of examples" if options.seeds == 1 else f"{options.seeds} draws of examples"
    outcome = result(
        "adapters",
        command=f"KERAS_BACKEND={backend} python benchmarks/adapters.py --data {options.data.name} "
        f"--weights {Path(options.weights).name} --each {options.each} --ways {' '.join(ways)}{seeds}",
        columns=(
            *("data", "examples per class", "what trains above a solved head"),
            *("weights that train", "optimizer's state", "memory that a fit adds", "seconds"),
            "test accuracy",
        ),
        rows=[(options.data.name, f"{options.each}", *row(cells, way)) for way in ways],
        notes=[
            f"Means of {draws}; the standard error of an accuracy on 500 test examples is 1.5 points. The "
            "memory is the peak of the process above what it had with the model built. The seconds are "
            "of whole fits, in which a solved head is followed by the stage twice, the second time on "
            "the validation data too."
        ],
        details=cells,
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


def row(cells: dict[str, Any], way: str) -> tuple[str, ...]:
    found = [cell for cell in cells.values() if cell["way"] == way]

    def mean(name: str) -> float:
        return sum(cell[name] for cell in found) / len(found)

    return (
        WAYS[way][0],
        f"{mean('trained'):,.0f}",
        f"{mean('optimizer_mb'):.1f} MB",
        f"{mean('peak_mb'):,.0f} MB",
        f"{mean('seconds'):.0f}",
        f"{mean('accuracy'):.3f}",
    )


if __name__ == "__main__":
    main()
