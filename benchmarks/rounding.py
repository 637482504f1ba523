"""The effect of features in half precision on the accuracy, on photographs of flowers.

    python benchmarks/rounding.py --data FOLDER --weights FILE [--seeds 3] [--out FILE.json]

The head, then the top block with it, of MobileNetV2 0.35 with ImageNet's weights, on features cached
in float32, float16 and bfloat16. Each seed draws another test part (20 %) and another validation part
(16 %), the same for all three.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

DTYPES = ("float32", "float16", "bfloat16")
STAGES = [
    {"unfreeze": 0, "epochs": 10, "learning_rate": 3e-3},
    {"unfreeze": 1, "epochs": 5, "learning_rate": 3e-4, "warmup": 0.1, "decay": "linear"},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="a folder with a folder per class")
    parser.add_argument("--weights", required=True, help="MobileNetV2 0.35 without classifier")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions")
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()
    for path in (options.data, options.weights):
        if not Path(path).exists():
            sys.exit(f"{path} is missing: pass the folder as --data and the file as --weights.")

    import keras
    from figures import publish, result

    from kft.data.read import read
    from kft.data.split import split

    photos = read(options.data, task="single_label", modality="image")
    runs: dict[str, list[dict[str, Any]]] = {dtype: [] for dtype in DTYPES}
    for seed in range(options.seeds):
        rest, test = split(photos, 0.2, seed)
        parts = (*split(rest, 0.2, seed), test)
        for dtype in DTYPES:
            runs[dtype].append(fit(options.weights, parts, dtype, seed))
            print(f"seed {seed}, {dtype}: {runs[dtype][-1]}", flush=True)

    rows = []
    for dtype in DTYPES:
        accuracies = [one["accuracy"] for one in runs[dtype]]
        rows.append(
            (
                dtype,
                f"{runs[dtype][0]['bytes'] / 1e6:.0f}",
                f"{statistics.median(accuracies):.3f}",
                ", ".join(f"{accuracy:.3f}" for accuracy in accuracies),
            )
        )
    backend = keras.backend.backend()
    command = f"python benchmarks/rounding.py --data {Path(options.data).name} "
    command += f"--weights {Path(options.weights).name} --seeds {options.seeds}"
    publish(
        result(
            "rounding",
            command=f"KERAS_BACKEND={backend} {command}",
            columns=("features in", "MB on disk", "test accuracy, median", "each seed"),
            rows=rows,
            notes=[
                f"{len(parts[0])} photographs to train, {len(parts[1])} to validate, {len(test)} to "
                "test, 128 px; 10 epochs of the head, and 5 of the top block at a rate that falls to 0."
            ],
            details=runs,
            backend=backend,
        ),
        options.out,
    )


def fit(weights: str, parts: tuple, dtype: str, seed: int) -> dict[str, Any]:
    """Train on one split, and return its test accuracy and the size of the features."""
    import keras

    import kft
    from recipes import MobileNetRecipe

    train, validation, test = parts
    recipe = MobileNetRecipe(
        "MobileNetV2", num_classes=len(train.classes), alpha=0.35, image_size=(128, 128),
        weights=weights, seed=seed,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        recipe.fit(
            train, validation, stages=STAGES,
            cache=kft.Cache(True, directory=folder, dtype=dtype), early_stopping=None, seed=seed, verbose=0,
        )  # fmt: skip
        kept = sum(path.stat().st_size for path in Path(folder).rglob("*.npy"))
    outcome = {"accuracy": recipe.evaluate(test).accuracy, "bytes": kept}
    keras.utils.clear_session()
    return outcome


if __name__ == "__main__":
    main()
