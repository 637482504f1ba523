"""Accuracy of a bare `recipe.fit(data)`, compared with that of a search over 20 plans.

    python benchmarks/searched.py --data FOLDER --weights FOLDER --each 20 --out FILE.json

The search is `recipe.tune(data)` without other arguments: random rates of the head and of the backbone, and
depths. Its trials share a validation part, by which the best one is chosen. Data and weights are as for
`accuracy.py`; draws that `--out` contains already are kept.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from accuracy import are_texts, compare_draws, new_recipe, parser_of
from figures import result

TRIALS = 20
WAYS = {
    "fit": "`recipe.fit(data)`",
    "search": f"best of {TRIALS} trials of `recipe.tune(data)`",
    "folds": f"best of {TRIALS} trials on 5 folds, trained on all examples",
}


def main() -> None:
    parser = parser_of(__doc__, seeds=1)
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=["fit", "search"])
    parser.add_argument("--each", type=int, default=20, help="examples per class")
    options = parser.parse_args()
    options.texts = are_texts(options.data)
    compare_draws(options, options.ways, measured, write)


def measured(
    options: argparse.Namespace, way: str, train: Any, test: Any, seed: int
) -> dict[str, Any]:
    """Train in one way, and return the figures on the test part, by which nothing is chosen."""
    recipe, notes = new_recipe(options, seed), {}
    started = time.perf_counter()
    if way == "fit":
        recipe.fit(train, seed=seed, verbose=0)
    else:
        folds = 5 if way == "folds" else None
        with tempfile.TemporaryDirectory() as folder:
            found = recipe.tune(
                train,
                run_dir=f"{folder}/search",
                max_trials=TRIALS,
                folds=folds,
                seed=seed,
                verbose=0,
            )
            recipe = found.refit(verbose=0).recipe if folds else found.best_recipe
            notes = {"values": found.best_trial.values, "score": found.best_score}
    seconds = time.perf_counter() - started
    evaluation = recipe.evaluate(test)
    return {
        "examples": len(train),
        "test": len(test),
        "accuracy": float(evaluation.accuracy),
        "calibration_error": float(evaluation.figures["calibration_error"]),
        "seconds": seconds,
        **notes,
    }


def write(options: argparse.Namespace, cells: dict[str, Any]) -> None:
    import keras

    backend = keras.backend.backend()
    name = options.name or options.data.name
    flags = "".join(
        [
            f" --name {options.name}" if options.name else "",
            f" --weights {Path(options.weights).name} --each {options.each}",
            "" if options.texts else f" --test-share {options.test_share:g}",
            f" --seeds {options.seeds}" if options.seeds != 1 else "",
            f" --first {options.first}" if options.first else "",
        ]
    )
    ways = [way for way in WAYS if any(cell["way"] == way for cell in cells.values())]
    found = {way: [c for c in cells.values() if c["way"] == way] for way in ways}
    seconds = {way: statistics.median(c["seconds"] for c in found[way]) for way in ways}
    flags += f" --ways {' '.join(ways)}" if "folds" in ways else ""
    outcome = result(
        "searched",
        command=f"KERAS_BACKEND={backend} python benchmarks/searched.py --data {options.data.name}{flags}",
        columns=("data", "examples per class", *(WAYS[way] for way in ways), "times as long"),
        rows=[
            (
                name,
                f"{options.each}",
                *(f"{statistics.mean(c['accuracy'] for c in found[way]):.3f}" for way in ways),
                ", ".join(f"{seconds[way] / seconds['fit']:.1f}" for way in ways[1:]),
            )
        ],
        notes=[
            "Accuracy on the test part, on one draw of examples unless the command says more. The standard error "
            "of an accuracy on 500 test examples is 1 to 2 points. Times are relative to the fit."
        ],
        details=cells,
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
