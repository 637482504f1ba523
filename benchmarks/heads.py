"""Accuracy of the solved head compared with a linear model on the same features, over many draws.

    python benchmarks/heads.py --data FOLDER --weights FOLDER --out FILE.json  # texts
    python benchmarks/heads.py --data FOLDER --weights FILE --out FILE.json    # photographs

`--data` and the linear model are as for `accuracy.py`. Frozen features are computed only once, so there
can be enough draws of examples to tell a difference of half a point from chance. The head is solved on
all examples of a draw, as at the end of a bare `recipe.fit(data)` that keeps it, but without its
temperature. Draws that `--out` contains already are kept, and with `--features FILE.npz` the features
are too, so an interrupted command resumes when it is run again.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import drawn_rows, linear_model, new_recipe, read

WAYS = ("linear", "no_prior", "solved")
LEAST = 30  # examples of each class that are drawn from, if the class has them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", help="what the table calls the data; default: the folder's name")
    parser.add_argument("--weights", required=True, help="a preset's folder, or a file of weights")
    parser.add_argument("--each", type=int, nargs="+", default=[5, 10, 20], help="per class")
    parser.add_argument("--draws", type=int, default=100, help="draws of examples")
    parser.add_argument("--test-share", type=float, default=0.3, help="of photographs")
    parser.add_argument("--pool", type=int, default=1000, help="examples that are drawn from")
    parser.add_argument("--most-tests", type=int, default=1000, help="test examples at most")
    parser.add_argument("--features", type=Path, help="a file that keeps the features")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.texts = all((options.data / f"{part}.tsv").is_file() for part in ("train", "test"))
    recipe = new_recipe(options, 0)
    features = features_of(options, recipe)
    draws = json.loads(options.out.read_text())["details"] if options.out.is_file() else {}
    written = time.perf_counter()
    for each in options.each:
        for seed in range(options.draws):
            if (key := f"{each} per class, draw {seed}") not in draws:
                draws[key] = {"each": each, "seed": seed, **compared(recipe, features, each, seed)}
            if time.perf_counter() - written > 60:
                write(options, draws)
                written = time.perf_counter()
        print(*rows_of(options, draws)[-1], flush=True)
    write(options, draws)


def features_of(options: argparse.Namespace, recipe: Any) -> dict[str, np.ndarray]:
    """Return the head's inputs and the labels of a pool and of the test part."""
    from kft.family.features import head_inputs

    if options.features is not None and options.features.is_file():
        return dict(np.load(options.features))
    pool, test = read(options)
    classes = np.asarray(pool.targets)
    most = max(LEAST, options.pool // len(np.unique(classes)))
    x, y = head_inputs(recipe, pool.take(drawn_rows(classes, most, 0)))
    x_test, y_test = head_inputs(recipe, test)
    found = {"x": x, "y": y, "x_test": x_test, "y_test": y_test}
    if options.features is not None:
        np.savez(options.features, **found)
    return found


def compared(
    recipe: Any, features: dict[str, np.ndarray], each: int, seed: int
) -> dict[str, float]:
    """Return accuracy and log loss of each way on the test part, after training on one draw."""
    rows = drawn_rows(features["y"], each, seed)
    x, y, x_test = features["x"][rows], features["y"][rows], features["x_test"]
    (solved,) = recipe.task.solve(recipe.model, x, y, seed=seed).values()
    answers = {
        "linear": linear_model(x, y).predict_proba(x_test),
        "no_prior": probabilities(head_without_prior(x, y, seed), x_test),
        "solved": probabilities(solved, x_test),
    }
    found = {"strength": solved.strength}
    for way, given in answers.items():
        right = given[np.arange(len(given)), features["y_test"]]
        found[way] = float((given.argmax(axis=1) == features["y_test"]).mean())
        found[f"{way}_log_loss"] = float(-np.log(np.maximum(right, 1e-12)).mean())
    return found


def head_without_prior(x: np.ndarray, y: np.ndarray, seed: int) -> Any:
    """Solve the head with the penalty that the held-out examples alone choose."""
    from kft.tasks.linear import Softmax, solve

    class Alone(Softmax):
        is_likelihood = False

    return solve(x, y, int(y.max()) + 1, Alone(), seed=seed)


def probabilities(head: Any, x: np.ndarray) -> np.ndarray:
    outputs = (x @ head.kernel + head.bias).astype("float64")
    scores = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def rows_of(options: argparse.Namespace, draws: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a row of the table for each number of examples per class."""
    rows = []
    for each in sorted({one["each"] for one in draws.values()}):
        found = [one for one in draws.values() if one["each"] == each]
        of = {way: np.array([one[way] for one in found]) for way in WAYS}
        losses = [np.mean([one[f"{way}_log_loss"] for one in found]) for way in WAYS]
        points = 100 * (of["solved"] - of["linear"])
        rows.append(
            (
                options.name or options.data.name,
                f"{each}",
                f"{len(found)}",
                f"{of['linear'].mean():.3f}",
                f"{of['solved'].mean():.3f}",
                mean_of(points),
                f"{(points < -1).mean():.0%}",
                f"{(points < -3).mean():.0%}",
                mean_of(100 * (of["solved"] - of["no_prior"])),
                *(f"{loss:.2f}" for loss in losses),
            )
        )
    return rows


def mean_of(points: np.ndarray) -> str:
    """Return the mean and its standard error."""
    error = points.std(ddof=1) / math.sqrt(len(points)) if len(points) > 1 else math.nan
    return f"{points.mean():+.1f} ± {error:.1f}"


def write(options: argparse.Namespace, draws: dict[str, Any]) -> None:
    import keras
    from figures import result

    backend = keras.backend.backend()
    sizes = sorted({one["each"] for one in draws.values()})
    most = max(one["seed"] for one in draws.values()) + 1
    name = f" --name {options.name}" if options.name else ""
    pool = f" --pool {options.pool} --most-tests {options.most_tests}"
    share = "" if options.texts else f" --test-share {options.test_share:g}"
    outcome = result(
        "heads",
        command=f"KERAS_BACKEND={backend} python benchmarks/heads.py --data {options.data.name}{name} "
        f"--weights {Path(options.weights).name} --each {' '.join(map(str, sizes))} "
        f"--draws {most}{pool}{share}",
        columns=(
            *("data", "examples per class", "draws", "linear model", "solved head"),
            *("difference in points", "worse by > 1", "worse by > 3", "gain by the prior"),
            *("log loss: linear model", "without the prior", "with it"),
        ),
        rows=rows_of(options, draws),
        notes=[
            "Accuracy and log loss on the test part, means over draws of examples; means of paired "
            "differences with their standard errors; and the share of draws in which the solved head is "
            "worse than the linear model by more than one and by more than three points. No probabilities "
            "are calibrated."
        ],
        details=draws,
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
