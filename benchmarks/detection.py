"""Detection of blood cells by training in stages, the head alone, and from scratch.

    python benchmarks/detection.py --data BCCD --weights FILE --out benchmarks/results/detection.json

Each way trains MobileNetV2 0.35 with `kft.tasks.Detection()` for the same number of epochs on the training
part of BCCD, keeps the epoch with the lowest loss on its validation part, and is compared on its test
part, by which nothing is chosen. Results that `--out` already contains are kept.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import mean_and_error, result

WAYS = {
    "stages": "the head, then everything",
    "head": "the head alone",
    "scratch": "everything, from random weights",
}
FIGURES = {"mean_ap": "AP", "ap50": "AP50", "ap75": "AP75"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder BCCD of the data set")
    parser.add_argument("--weights", required=True, help="MobileNetV2 0.35 without classifier")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, nargs=2, default=[4, 8], help="of the two stages")
    parser.add_argument("--limit", type=int, help="examples of each part, to try the command")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    cells = json.loads(options.out.read_text())["details"] if options.out.exists() else []
    for seed in range(options.seeds):
        for way in options.ways:
            if not any((one["way"], one["seed"]) == (way, seed) for one in cells):
                cells.append({"way": way, "seed": seed, **measured(options, way, seed)})
                print(cells[-1], flush=True)
                options.out.write_text(json.dumps(outcome(options, cells), indent=1) + "\n")


def measured(options: argparse.Namespace, way: str, seed: int) -> dict[str, Any]:
    """Train one way, and return the figures on the test part."""
    import kft
    from recipes import MobileNetRecipe

    weights = None if way == "scratch" else options.weights
    recipe = MobileNetRecipe(
        "MobileNetV2", task=kft.tasks.Detection(), weights=weights, alpha=0.35, seed=seed
    )
    parts = read(recipe, options.data, options.limit)
    first, second = options.epochs
    head = kft.Stage(0, first, 1e-3, name="head")
    every = kft.Stage("all", second, 1e-3, warmup=0.1, decay="cosine", layer_decay=0.9, name="all")
    stages = {
        "stages": [head, every],
        "head": [kft.Stage(0, first + second, 1e-3, decay="cosine", name="head")],
        "scratch": [kft.Stage("all", first + second, 1e-3, warmup=0.1, decay="cosine", name="all")],
    }
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        recipe.fit(
            parts["train"],
            parts["val"],
            stages=stages[way],
            augment="light",
            early_stopping=None,
            batch_size=8,
            seed=seed,
            run_dir=Path(folder, "run"),
            verbose=2,
        )
    found = recipe.evaluate(parts["test"])
    return {"seconds": round(time.perf_counter() - began), **found.to_dict()}


def read(recipe: Any, folder: Path, limit: int | None) -> dict[str, Any]:
    """Return the parts of the data set, without images with empty boxes."""
    examples = recipe.read(folder, on_bad_example="skip")
    places = {Path(path).stem: place for place, path in enumerate(examples.inputs)}
    parts = {}
    for part in ("train", "val", "test"):
        names = (folder / "ImageSets" / "Main" / f"{part}.txt").read_text().split()
        parts[part] = examples.take([places[name] for name in names if name in places][:limit])
    return parts


def outcome(options: argparse.Namespace, cells: list[dict[str, Any]]) -> dict[str, Any]:
    import keras

    backend, counts = keras.backend.backend(), {one["examples"] for one in cells}
    seeds = len({one["seed"] for one in cells})
    of_seeds = f"the mean over {seeds} seeds and its standard error" if seeds > 1 else "one seed"
    first, second = options.epochs
    return result(
        "detection",
        command=f"KERAS_BACKEND={backend} python benchmarks/detection.py --data BCCD --weights FILE "
        f"--seeds {options.seeds} --epochs {first} {second}",
        columns=("trained", *FIGURES.values(), *names(cells)),
        rows=[row(cells, way) for way in WAYS if any(one["way"] == way for one in cells)],
        notes=[
            f"Average precision on the {min(counts)} images of BCCD's test part, of each class over the "
            f"overlaps 0.5 to 0.95; {of_seeds}. Images are resized to 224 x 224, {first + second} epochs "
            "each."
        ],
        details=cells,
        backend=backend,
    )


def names(cells: list[dict[str, Any]]) -> list[str]:
    return [one["class"] for one in cells[0]["per_class"]]


def row(cells: list[dict[str, Any]], way: str) -> tuple[str, ...]:
    found = [one for one in cells if one["way"] == way]
    figures = [mean_and_error([one[name] for one in found]) for name in FIGURES]
    classes = [
        mean_and_error([one["per_class"][place]["average_precision"] for one in found])
        for place in range(len(names(cells)))
    ]
    return (WAYS[way], *figures, *classes)


if __name__ == "__main__":
    main()
