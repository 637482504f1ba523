"""Accuracy of a bare `recipe.fit(data)` on few examples, compared with other ways from the same weights.

    python benchmarks/accuracy.py --data FOLDER --weights FOLDER --out FILE.json  # texts
    python benchmarks/accuracy.py --data FOLDER --weights FILE --out FILE.json    # photographs

`--data` is a folder with `train.tsv` and `test.tsv`, whose columns are `label` and `text`, or a folder
of photographs with one sub-folder per class, a share of which is the test part. All ways get the
same examples of each class and the same weights. The linear model is scikit-learn's logistic
regression on standardised features, with its regularization cross-validated on all of the examples;
kft splits its validation data off them; the ways in `rivals.py` train on all of them. Results that
`--out` already contains are kept, so an interrupted command resumes when it is run again.
"""

import argparse
import csv
import json
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from figures import mean_and_error, result

COLUMNS = {
    "linear": "linear model",
    "kft": "`recipe.fit(data)`",
    "kft_plain": "with `few_shot=None`",
    "keras_guide": "Keras' guide",
    "fastai": "fastai's `fine_tune`",
    "bit_hyperrule": "BiT-HyperRule",
    "trainer": "Hugging Face's `Trainer`",
    "setfit": "SetFit",
}
SEEDS = 3
OF_IMAGES = ("keras_guide", "fastai", "bit_hyperrule")
OF_TEXTS = ("kft_plain", "trainer", "setfit")


def main() -> None:
    parser = parser_of(__doc__, seeds=SEEDS)
    parser.add_argument("--ways", choices=COLUMNS, nargs="+", default=["linear", "kft"])
    parser.add_argument("--each", type=int, nargs="+", default=[5, 20], help="examples per class")
    parser.add_argument(
        "--unseen", action="store_true", help="no rule of kft was chosen on these data"
    )
    options = parser.parse_args()
    options.texts = are_texts(options.data)
    if wrong := set(options.ways) & set(OF_IMAGES if options.texts else OF_TEXTS):
        kind = "texts" if options.texts else "photographs"
        parser.error(f"--ways {' '.join(sorted(wrong))}: not for {kind}, which {options.data} has")
    cells = kept(options.out)
    pool, test = read(options)
    for each in options.each:
        for seed in range(options.first, options.first + options.seeds):
            for way in options.ways:
                if (key := f"{each} per class, seed {seed}, {way}") not in cells:
                    reached = measured(options, way, drawn(pool, each, seed), test, seed)
                    cells[key] = {"each": each, "seed": seed, "way": way, **reached}
                    print(key, cells[key], flush=True)
                    write(options, cells)
    write(options, cells)


def parser_of(doc: str | None, *, seeds: int, test_share: float = 0.1) -> argparse.ArgumentParser:
    """Return a parser of the arguments that all comparisons on draws of examples have.

    Args:
        doc: The documentation of the benchmark.
        seeds: The default number of draws.
        test_share: The default share of photographs to test on.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", help="what the table calls the data; default: the folder's name")
    parser.add_argument("--weights", required=True, help="a preset's folder, or a file of weights")
    parser.add_argument("--seeds", type=int, default=seeds, help="draws of examples")
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first draw: earlier ones chose a rule"
    )
    parser.add_argument("--test-share", type=float, default=test_share, help="of photographs")
    parser.add_argument("--most-tests", type=int, default=500, help="test examples at most")
    parser.add_argument("--out", type=Path, required=True)
    return parser


def are_texts(data: Path) -> bool:
    """Return whether a folder has tables of texts rather than photographs."""
    return all((data / f"{part}.tsv").is_file() for part in ("train", "test"))


def kept(out: Path) -> dict[str, Any]:
    """Return the measurements that a file contains already, by what was measured."""
    return json.loads(out.read_text())["details"] if out.is_file() else {}


def compare_draws(
    options: argparse.Namespace,
    ways: Iterable[str],
    measured: Callable[..., dict[str, Any]],
    write: Callable[[argparse.Namespace, dict[str, Any]], None],
    column: str = "way",
) -> None:
    """Measure each way on each draw of `--each` examples per class, and write what is known after each.

    Args:
        options: The arguments, with those of `parser_of`, `each` and `texts`.
        ways: The ways.
        measured: Measures a way, given the options, the way, the training and the test examples, and the
            number of the draw.
        write: Writes all measurements.
        column: The name under which a measurement has its way.
    """
    cells = kept(options.out)
    pool, test = read(options)
    for seed in range(options.first, options.first + options.seeds):
        train = drawn(pool, options.each, seed)
        for way in ways:
            if (key := f"draw {seed}, {way}") not in cells:
                cells[key] = {
                    "seed": seed,
                    column: way,
                    **measured(options, way, train, test, seed),
                }
                print(key, cells[key], flush=True)
                write(options, cells)
    write(options, cells)


def new_recipe(options: argparse.Namespace, seed: int) -> Any:
    from recipes import BertRecipe, MobileNetRecipe

    if options.texts:
        with open(options.data / "train.tsv", newline="", encoding="utf-8") as file:
            classes = {row["label"] for row in csv.DictReader(file, delimiter="\t")}
        return BertRecipe(options.weights, num_classes=len(classes), seed=seed)
    return MobileNetRecipe(
        "MobileNetV2",
        num_classes=sum(path.is_dir() for path in options.data.iterdir()),
        alpha=0.35,
        image_size=(128, 128),
        weights=options.weights,
        seed=seed,
    )


def read(options: argparse.Namespace) -> tuple[Any, Any]:
    """Return the pool from which examples are drawn, and the test part."""
    import numpy as np

    from kft.data.split import split

    recipe = new_recipe(options, 0)
    if options.texts:
        pool = recipe.read(options.data / "train.tsv")
        test = recipe.read(options.data / "test.tsv", classes=pool.classes)
    else:
        pool, test = split(recipe.read(options.data), options.test_share, 0)
    if len(test) > options.most_tests:
        test = test.take(np.random.default_rng(0).permutation(len(test))[: options.most_tests])
    return pool, test


def drawn(pool: Any, each: int, seed: int) -> Any:
    """Draw a number of examples of each class, or all if a class has fewer."""
    import numpy as np

    return pool.take(drawn_rows(np.asarray(pool.targets), each, seed))


def drawn_rows(classes: Any, each: int, seed: int) -> Any:
    """Return the rows that `drawn` takes, given the class of each."""
    import numpy as np

    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(classes == c))[:each] for c in np.unique(classes)]
    return rng.permutation(np.concatenate(chosen))


def measured(
    options: argparse.Namespace, way: str, train: Any, test: Any, seed: int
) -> dict[str, Any]:
    """Train in one way, and return the figures on the test part, by which nothing is chosen."""
    import rivals

    from kft.tasks import evaluate

    recipe = new_recipe(options, seed)
    started = time.perf_counter()
    if way in ("kft", "kft_plain"):
        if way == "kft_plain":
            recipe.few_shot = None
        run = recipe.fit(train, seed=seed, verbose=0)
        seconds = time.perf_counter() - started
        evaluation = recipe.evaluate(test)
        notes = {"kept_stage": run.journal["best"]["stage"]}
    else:
        answers = (linear if way == "linear" else getattr(rivals, way))(recipe, train, seed)
        seconds = time.perf_counter() - started
        evaluation = evaluate(*answers(test), task="single_label")
        notes = {}
    return {
        "examples": len(train),
        "test": len(test),
        "accuracy": float(evaluation.accuracy),
        "calibration_error": float(evaluation.figures["calibration_error"]),
        "seconds": seconds,
        **notes,
    }


def linear(recipe: Any, train: Any, seed: int) -> Any:
    """Train a linear model on frozen features, with the interface of `rivals.py`."""
    from kft.family.features import head_inputs

    model = linear_model(*head_inputs(recipe, train))

    def answers(test: Any) -> tuple[Any, Any]:
        x_test, y_test = head_inputs(recipe, test)
        return y_test, model.predict_proba(x_test)

    return answers


def linear_model(x: Any, y: Any) -> Any:
    """Fit a logistic regression to standardised features, its regularization by cross-validation."""
    import numpy as np
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = min(5, *np.bincount(y))
    model = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(Cs=np.logspace(-4, 1, 6), cv=folds, max_iter=2000),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about convergence and deprecated arguments
        model.fit(x, y)
    return model


def write(options: argparse.Namespace, cells: dict[str, Any]) -> None:
    import keras

    ways = [way for way in COLUMNS if any(cell["way"] == way for cell in cells.values())]
    sizes = sorted({cell["each"] for cell in cells.values()})
    backend = keras.backend.backend()
    name = f" --name {options.name}" if options.name else ""
    table = "unseen" if options.unseen else "texts" if options.texts else "images"
    flags = "".join(
        [
            "" if options.texts else f" --test-share {options.test_share:g}",
            f" --seeds {options.seeds}" if options.seeds != SEEDS else "",
            f" --first {options.first}" if options.first else "",
            " --unseen" if options.unseen else "",
        ]
    )
    outcome = result(
        f"accuracy_{table}",
        command=f"KERAS_BACKEND={backend} python benchmarks/accuracy.py --data {options.data.name}{name} "
        f"--weights {Path(options.weights).name} --each {' '.join(map(str, sizes))} "
        f"--ways {' '.join(ways)}{flags}",
        columns=("data", "examples per class", *(COLUMNS[way] for way in ways)),
        rows=[
            (
                options.name or options.data.name,
                f"{each}",
                *(accuracy(cells, each, way) for way in ways),
            )
            for each in sizes
        ],
        notes=[
            "Accuracy on the test part, the mean over draws of examples and its standard error, or "
            "that of a single draw. The rules behind the defaults were chosen on other data, except for "
            "one that the text names."
            if options.unseen
            else "Accuracy on the test part, the mean over draws of examples and its standard error. "
            "The rules behind the defaults were chosen with other draws of trec6 and flowers, and with "
            "their test parts in sight, so other data may gain less."
        ],
        details=cells,
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


def accuracy(cells: dict[str, Any], each: int, way: str) -> str:
    """Return the mean over the draws and its standard error."""
    return mean_and_error(
        [c["accuracy"] for c in cells.values() if (c["each"], c["way"]) == (each, way)]
    )


if __name__ == "__main__":
    main()
