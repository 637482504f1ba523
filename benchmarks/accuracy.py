"""What a bare `recipe.fit(data)` gets out of few examples, beside a linear model on frozen features.

    python benchmarks/accuracy.py --name trec6 --data FOLDER --weights FOLDER --out FILE.json
    python benchmarks/accuracy.py --name flowers --data FOLDER --weights FILE --out FILE.json

Both ways get the same examples of each class and the same weights. The linear model is
scikit-learn's logistic regression on standardised features, its strength cross-validated on all of
the examples; kft splits its validation data off them. Cells that `--out` holds already are kept, so
that a command which was ended goes on.
"""

import argparse
import json
import math
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

TEXTS, IMAGES = ("trec6", "sst2"), ("flowers",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--name", choices=TEXTS + IMAGES, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", required=True, help="a preset's folder, or a file of weights")
    parser.add_argument("--each", type=int, nargs="+", default=[5, 20], help="examples of a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    cells = json.loads(options.out.read_text())["details"] if options.out.is_file() else {}
    data = read(options)
    for each in options.each:
        for seed in range(options.seeds):
            if (key := f"{each} a class, seed {seed}") not in cells:
                cells[key] = {"each": each, "seed": seed, **measured(options, data, each, seed)}
                print(key, cells[key], flush=True)
                write(options, cells)
    write(options, cells)


def new_recipe(options: argparse.Namespace, classes: int, seed: int) -> Any:
    from recipes import BertRecipe, MobileNetRecipe

    if options.name in TEXTS:
        return BertRecipe(options.weights, num_classes=classes, seed=seed)
    return MobileNetRecipe(
        "MobileNetV2",
        num_classes=classes,
        alpha=0.35,
        image_size=(128, 128),
        weights=options.weights,
        seed=seed,
    )


def read(options: argparse.Namespace) -> tuple[Any, Any]:
    """The pool that examples are drawn from, and the test part."""
    from kft.data.split import split

    if options.name in TEXTS:
        recipe = new_recipe(options, 2 if options.name == "sst2" else 6, 0)
        pool = recipe.read(options.data / "train.tsv")
        return pool, recipe.read(options.data / "test.tsv", classes=pool.classes)
    return split(new_recipe(options, 5, 0).read(options.data), 0.1, 0)


def measured(options: argparse.Namespace, data: Any, each: int, seed: int) -> dict[str, Any]:
    """Accuracies on the test part, which nothing is chosen by."""
    import numpy as np
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from kft.family.features import head_inputs

    pool, test = data
    rng = np.random.default_rng(seed)
    classes = np.asarray(pool.targets)
    drawn = [rng.permutation(np.flatnonzero(classes == c))[:each] for c in np.unique(classes)]
    train = pool.take(rng.permutation(np.concatenate(drawn)))
    recipe = new_recipe(options, len(pool.classes), seed)
    (x, y), (x_test, y_test) = head_inputs(recipe, train), head_inputs(recipe, test)
    linear = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(Cs=np.logspace(-4, 1, 6), cv=min(5, each), max_iter=2000),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that did not suffice, and of arguments to come
        linear.fit(x, y)
    started = time.perf_counter()
    run = recipe.fit(train, seed=seed, verbose=0)
    seconds = time.perf_counter() - started
    evaluation = recipe.evaluate(test)
    return {
        "examples": len(train),
        "test": len(test),
        "linear": float(linear.score(x_test, y_test)),
        "kft": float(evaluation.accuracy),
        "calibration_error": float(evaluation.figures["calibration_error"]),
        "kept_stage": run.journal["best"]["stage"],
        "seconds": seconds,
    }


def write(options: argparse.Namespace, cells: dict[str, Any]) -> None:
    import keras
    from figures import result

    rows = []
    for each in sorted({cell["each"] for cell in cells.values()}):
        found = [cell for cell in cells.values() if cell["each"] == each]
        rows.append(
            (
                options.name,
                f"{each}",
                *(mean(found, "linear"), mean(found, "kft"), difference(found)),
            )
        )
    backend = keras.backend.backend()
    sizes = " ".join(row[1] for row in rows)
    command = f"python benchmarks/accuracy.py --name {options.name} --data {options.data.name}"
    outcome = result(
        "accuracy",
        command=f"KERAS_BACKEND={backend} {command} --weights {Path(options.weights).name} --each {sizes}",
        columns=(
            *("data", "examples a class", "linear model", "`recipe.fit(data)`", "difference"),
        ),
        rows=rows,
        notes=[
            "Accuracy on the test part, the mean over draws of examples and its standard error. The "
            "rules behind the defaults were chosen with other draws of trec6 and flowers, and with "
            "their test parts in sight, so other data may gain less."
        ],
        details=cells,
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


def mean(cells: list[dict[str, Any]], name: str) -> str:
    return _with_error([cell[name] for cell in cells])


def difference(cells: list[dict[str, Any]]) -> str:
    return _with_error([cell["kft"] - cell["linear"] for cell in cells], "+")


def _with_error(values: list[float], sign: str = "") -> str:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.mean(values):{sign}.3f} ± {error:.3f}"


if __name__ == "__main__":
    main()
