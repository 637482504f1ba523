"""What a fit of photographs ends with: the solved head, halfway to the fine-tuned model, or all the way.

    python benchmarks/ends.py --data FOLDER --weights FILE --each 20 --out FILE.json

Three fits per draw differ in nothing but the weights that they end with. Each is evaluated on the test
part, and some of its images are corrupted with `perturb="standard"`. Arguments are as for
`accuracy.py`; draws that `--out` contains already are kept.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from accuracy import compare_draws, new_recipe, parser_of
from figures import mean_and_error, result

ENDS = {
    "head": "solved head",
    "between": "`recipe.fit(data)`",
    "last": "`restore_best=None`, the fine-tuned model",
}
FIGURES = {
    "clean": "accuracy",
    "perturbed": "on corrupted images",
    "calibration_error": "calibration error",
}


def main() -> None:
    parser = parser_of(__doc__, seeds=3, test_share=0.2)
    parser.add_argument("--each", type=int, default=20, help="examples per class")
    parser.add_argument("--corrupted", type=int, default=100, help="test examples to corrupt")
    options = parser.parse_args()
    options.texts = False
    compare_draws(options, ENDS, measured, write, "end")


def measured(
    options: argparse.Namespace, end: str, train: Any, test: Any, seed: int
) -> dict[str, float]:
    """Fit, and return the figures on the test part, by which nothing is chosen."""
    import kft

    ways: dict[str, dict[str, Any]] = {
        "head": {
            "stages": [kft.Stage(0, solve=True)],
            "finish": kft.Finish(calibrate=True, refit=True),
        },
        "between": {},
        "last": {"restore_best": None},
    }
    recipe = new_recipe(options, seed)
    recipe.fit(train, seed=seed, verbose=0, **ways[end])
    evaluation = recipe.evaluate(test)
    corrupted = recipe.evaluate(test.take(range(options.corrupted)), perturb="standard")
    return {
        "clean": float(evaluation.accuracy),
        "perturbed": corrupted.mean,
        "calibration_error": float(evaluation.figures["calibration_error"]),
    }


def write(options: argparse.Namespace, cells: dict[str, Any]) -> None:
    import keras

    backend = keras.backend.backend()
    name = options.name or options.data.name
    asked = f" --name {options.name}" if options.name else ""
    first = f" --first {options.first}" if options.first else ""
    outcome = result(
        "ends",
        command=f"KERAS_BACKEND={backend} python benchmarks/ends.py --data {options.data.name}{asked} "
        f"--weights {Path(options.weights).name} --each {options.each} --seeds {options.seeds}{first} "
        f"--test-share {options.test_share:g} --corrupted {options.corrupted}",
        columns=("data, examples per class", "the fit ends with", *FIGURES.values()),
        rows=[
            (
                f"{name}, {options.each}",
                shown,
                *(
                    mean_and_error([c[figure] for c in cells.values() if c["end"] == end])
                    for figure in FIGURES
                ),
            )
            for end, shown in ENDS.items()
        ],
        notes=[
            "Means over draws of examples and their standard errors. On corrupted images: the mean accuracy "
            "over nine kinds of corruption with five severities each."
        ],
        details=cells,
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
