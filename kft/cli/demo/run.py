"""The demo itself: a source model, three ways to go on from there, a page and an export."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from kft.backends import backend
from kft.cli.demo.comparison import WAYS, Comparison
from kft.cli.demo.digits import Digits, Task, make_task
from kft.cli.demo.page import write_page
from kft.cli.demo.recipe import DigitsRecipe
from kft.errors import InputError
from kft.stages.stage import Stage

EPOCHS = 30  # for each way
TURNS = 5  # of each example an epoch, so that there are fewer epochs to judge
WEIGHTS = "source.weights.h5"
BACKBONE_OUTPUT = "block3_pool"
# One rate and one decay for everybody, chosen with the number of examples on seeds not shown here:
# for training from scratch 1e-2 was the best tried; for the head alone 3e-2 did as well.
RATE = 1e-2
STAGES = {
    "from scratch": [Stage("all", EPOCHS, RATE, warmup=0.1, decay="cosine")],
    "head only": [Stage(0, EPOCHS, RATE, warmup=0.1, decay="cosine")],
    "stages": [
        Stage(0, 5, RATE),
        Stage(1, 5, RATE, warmup=0.1),
        Stage("all", EPOCHS - 10, RATE, warmup=0.1, decay="cosine"),
    ],
}


def run_demo(
    directory: str | os.PathLike,
    *,
    seeds: Sequence[int] = range(3),
    examples: int = 5,
    console: Console | None = None,
) -> Comparison:
    """Compare training from scratch, the head only, and stages, on digits that a model never saw.

    Nothing is chosen by the test digits: there is no early stopping, and the weights that a fit
    ends with are the ones that are judged. The curves look at the test digits all the same.

    Args:
        directory: Gets the runs, the page and the export; new or empty.
        seeds: One repetition each: other examples, other initial weights, another order.
        examples: Examples of each new digit to learn from.
        console: Where to print. Defaults to standard output.

    Returns:
        The figures.

    Raises:
        InputError: If the directory is not empty.
    """
    directory, console = Path(directory), console or Console(highlight=False)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(
            f"directory={str(directory)!r} is not empty: remove it, or name another one."
        )
    directory.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    task = make_task()
    console.print(
        f"A source model learns the digits 0 to 4 from {len(task.source)} pictures "
        f"(Keras on {backend().name})."
    )
    weights = train_source(task.source, directory)
    comparison = Comparison(examples=examples, test=len(task.test))
    console.print(
        f"Then {examples} pictures each of 5 to 9 train it on, three ways, {EPOCHS} epochs each; "
        f"{len(task.test)} other pictures judge."
    )
    staged, plan = None, ""
    for seed in seeds:
        for way in WAYS:
            recipe, run = fit(way, task, weights, examples, seed, directory)
            comparison.add(way, seed, run.history)
            if way == "stages" and staged is None:
                staged, plan = recipe, run.stages_table
        figures = ", ".join(f"{way} {comparison.accuracy(way, seed):.1%}" for way in WAYS)
        console.print(f"  seed {seed}: {figures}")
    console.print(_table(comparison))
    console.print(comparison.verdict())
    page = write_page(directory / "report.html", comparison, plan)
    (directory / "results.json").write_text(json.dumps(comparison.to_dict(), indent=1) + "\n")
    console.print(f"Curves: {page}", soft_wrap=True)

    assert staged is not None
    version = staged.export(directory / "serving")
    console.print(f"SavedModel: {version}, loaded again and asked:", soft_wrap=True)
    for digit, label, score in ask(version, task.test.take(np.arange(5))):
        console.print(f"  a picture of {digit}: {label} ({score:.0%})")
    console.print(f"{time.monotonic() - started:.0f} seconds.")
    return comparison


def train_source(source: Digits, directory: Path) -> Path:
    """Train the source model and keep its backbone's weights, as pretrained weights are kept."""
    recipe = DigitsRecipe(num_classes=5)
    recipe.fit(
        tuple(source),
        stages=[Stage(unfreeze="all", epochs=5, learning_rate=3e-3)],
        batch_norm="train",
        batch_size=64,
        early_stopping=None,
        verbose=0,
    )
    path = directory / WEIGHTS
    features = recipe.model.get_layer(BACKBONE_OUTPUT).output
    keras.Model(recipe.model.input, features).save_weights(path)
    return path


def fit(
    way: str, task: Task, weights: Path, examples: int, seed: int, directory: Path
) -> tuple[DigitsRecipe, Any]:
    """Train one way; the first seed's run is kept in the directory."""
    recipe = DigitsRecipe(
        num_classes=5, weights=None if way == "from scratch" else str(weights), seed=seed
    )
    few = task.few(examples, seed)
    run = recipe.fit(
        tuple(few.take(np.tile(np.arange(len(few)), TURNS))),
        tuple(task.test),
        stages=STAGES[way],
        batch_norm="train" if way == "from scratch" else "frozen",
        batch_size=25,
        early_stopping=None,
        restore_best=None,  # the validation data are the test digits, by which nothing is chosen
        seed=seed,
        verbose=0,
        run_dir=directory / "runs" / way.replace(" ", "-") if seed == 0 else None,
    )
    return recipe, run


def ask(version: Path, digits: Digits) -> list[tuple[str, str, float]]:
    """Load a SavedModel as a stranger would and give it PNG files.

    Returns:
        For each picture its digit, the label that the model gave and its probability.
    """
    import tensorflow as tf
    from PIL import Image

    answer = tf.saved_model.load(str(version)).signatures["serving_default"]
    (name,) = answer.structured_input_signature[1]
    files = []
    for picture in digits.pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, format="PNG")
        files.append(file.getvalue())
    said = answer(**{name: tf.constant(files)})
    labels = [label.decode() for label in said["label"].numpy()]
    scores = said["scores"].numpy().max(axis=-1)
    return list(zip(digits.labels, labels, scores.tolist(), strict=True))


def _table(comparison: Comparison) -> Table:
    table = Table(title="Accuracy on the same test digits")
    table.add_column("way")
    for seed in comparison.seeds:
        table.add_column(f"seed {seed}", justify="right")
    for heading in ("mean", "spread"):
        table.add_column(heading, justify="right")
    for way, accuracies in comparison.rows():
        spread = f"{np.ptp(accuracies):.1%}"
        table.add_row(way, *map("{:.1%}".format, accuracies), f"{np.mean(accuracies):.1%}", spread)
    return table
