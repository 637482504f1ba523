"""Accuracy on the known classes after a trained recipe has learnt two more.

    python benchmarks/more_classes.py --out FILE.json

A small network learns scikit-learn's digits 0 to 7, placed at random on a dark image, and is loaded
with two more classes. It then trains on 20 images each of 8 and 9 and on a few of each known digit:
by a bare `recipe.fit`, and with all layers at one rate, as people do by hand. Works offline.
"""

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from figures import mean_and_error, result

NEW, OF_NEW, TESTS = ("8", "9"), 20, 600
WAYS = {"bare": "`recipe.fit(data)`", "all": "30 epochs of everything at 1e-3"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--kept", type=int, nargs="+", default=[2, 5, 20], help="of each known digit"
    )
    parser.add_argument("--seeds", type=int, default=3, help="draws of examples")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    import keras

    known, new, tests = data()
    with tempfile.TemporaryDirectory() as folder:
        before = source(Path(folder, "known"), known, tests)
        cells = []
        for kept, way, seed in product(options.kept, WAYS, range(options.seeds)):
            train = [drawn(known, kept, seed), drawn(new, OF_NEW, seed)]
            found = added(Path(folder, "known"), train, tests, way, seed)
            cells.append({"kept": kept, "way": way, "seed": seed, **found})
    backend = keras.backend.backend()
    kept = " ".join(map(str, options.kept))
    draws = f" --seeds {options.seeds}" if options.seeds != 3 else ""
    outcome = result(
        "more_classes",
        command=f"KERAS_BACKEND={backend} python benchmarks/more_classes.py --kept {kept}{draws}",
        columns=("known pictures kept of each digit", "trained by", "0 to 7", "8 and 9", "all"),
        rows=[
            ("all", "before 8 and 9 came", f"{before:.3f}", "—", "—"),
            *(row(cells, kept, way) for kept in options.kept for way in WAYS),
        ],
        notes=[
            f"Accuracy on {TESTS} test pictures, the mean over {options.seeds} draws of examples and its "
            f"standard error. {OF_NEW} pictures each of 8 and 9 are trained on."
        ],
        details={"before": before, "cells": cells},
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


def data() -> tuple[Any, Any, dict[str, Any]]:
    """Return the known and the new digits to train on, and test images of each and of all."""
    import numpy as np
    from sklearn.datasets import load_digits

    from kft.cli.demo.digits import placed

    digits, numbers = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    every = placed(digits.reshape(-1, 8, 8) / 16 * 255, numbers.astype(str), rng)
    order = rng.permutation(len(every))
    test, pool = every.take(order[:TESTS]), every.take(order[TESTS:])
    tests = {"all": test, "old": test.take(old(test)), "new": test.take(~old(test))}
    return pool.take(old(pool)), pool.take(~old(pool)), tests


def old(pictures: Any) -> Any:
    import numpy as np

    return ~np.isin(pictures.labels, NEW)


def source(directory: Path, known: Any, tests: dict[str, Any]) -> float:
    """Train on the known digits, and return the accuracy on them."""
    import kft
    from kft.cli.demo.recipe import DigitsRecipe

    recipe = DigitsRecipe(num_classes=8)
    stages = [kft.Stage("all", epochs=12, learning_rate=3e-3)]
    recipe.fit(tuple(known), run_dir=directory, stages=stages, verbose=0)
    return float(recipe.evaluate(tuple(tests["old"])).accuracy)


def added(
    directory: Path, parts: list[Any], tests: dict[str, Any], way: str, seed: int
) -> dict[str, float]:
    """Return the accuracies of the recipe after it has learnt two more digits."""
    import numpy as np

    import kft
    from kft.cli.demo.recipe import DigitsRecipe

    recipe = kft.load(directory, recipe=DigitsRecipe, more_classes=NEW)
    x = np.concatenate([one.pictures for one in parts])
    y = np.concatenate([one.labels for one in parts])
    by_hand = {
        "stages": [kft.Stage("all", epochs=30, learning_rate=1e-3)],
        "early_stopping": None,
        "restore_best": None,
    }
    recipe.fit((x, y), seed=seed, verbose=0, **(by_hand if way == "all" else {}))
    return {name: float(recipe.evaluate(tuple(one)).accuracy) for name, one in tests.items()}


def drawn(pictures: Any, each: int, seed: int) -> Any:
    """Draw a number of images of each digit."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(pictures))
    labels = pictures.labels[order]
    return pictures.take(np.concatenate([order[labels == d][:each] for d in np.unique(labels)]))


def row(cells: list[dict[str, Any]], kept: int, way: str) -> tuple[str, ...]:
    found = [one for one in cells if (one["kept"], one["way"]) == (kept, way)]
    figures = (mean_and_error([one[name] for one in found]) for name in ("old", "new", "all"))
    return (f"{kept}", WAYS[way], *figures)


if __name__ == "__main__":
    main()
