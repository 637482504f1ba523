"""The demo: a source model, three ways of learning from few examples, a page and an export."""

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
from kft.cli.demo.comparison import FIT, LINEAR, SCRATCH, WAYS, Comparison
from kft.cli.demo.digits import Digits, Task, make_task
from kft.cli.demo.page import write_page
from kft.cli.demo.recipe import DigitsRecipe
from kft.errors import InputError
from kft.family.policies import Finish
from kft.report.progress import Progress, duration
from kft.stages.stage import Stage

FOLDERS = {SCRATCH: "from-scratch", LINEAR: "linear-model", FIT: "fit"}
SIZES = (5, 10, 20)  # examples of each new digit
WEIGHTS = "source.weights.h5"
BACKBONE_OUTPUT = "block3_pool"
SOURCE = [Stage("all", 6, 3e-3, decay="cosine")]
# From scratch there are no blocks to unfreeze one by one. As many steps as in the default stages, at
# 1e-1: of the rates tried with five examples on other seeds, 3e-3, 1e-2 and 3e-2 were worse, and 3e-1
# no better.
EPOCHS, STEPS, BATCH = 10, 50, 25
FROM_SCRATCH = [Stage("all", EPOCHS, 1e-1, warmup=0.1, decay="cosine")]


def run_demo(
    directory: str | os.PathLike,
    *,
    seeds: Sequence[int] = range(3),
    examples: Sequence[int] | None = None,
    console: Console | None = None,
) -> Comparison:
    """Compare `recipe.fit(data)` with two other ways, on digits that the source model never saw.

    The others are a linear model on the frozen features of the same source model, and the same
    network trained from scratch. No choice is made on the test digits.

    Args:
        directory: Directory for the runs, the page and the export; new or empty.
        seeds: One repetition each: other examples, other initial weights, another order.
        examples: Numbers of examples of each new digit; all ways are compared with each. Defaults
            to 5, 10 and 20.
        console: Where to print. Defaults to standard output.

    Returns:
        The figures.

    Raises:
        InputError: If the directory is not empty.
    """
    directory, console = Path(directory), console or Console(highlight=False)
    if os.path.exists(directory) and (not os.path.isdir(directory) or any(directory.iterdir())):
        raise InputError(
            f"directory={str(directory)!r} is not empty: remove it, or name another one."
        )
    directory.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    task = make_task()
    sizes = examples or SIZES
    console.print(
        f"A source model learns the digits 0 to 4 from {len(task.source):,} rotated and mirrored "
        f"pictures (Keras on {backend().name})."
    )
    with Progress("Training", 1 + len(sizes) * len(seeds) * len(WAYS)) as progress:
        weights = train_source(task.source, directory)
        progress.advance()
        with progress.aside():
            console.print(
                "Then it learns 5 to 9 from a few pictures each, in three ways, which are tested on "
                f"{len(task.test)} other pictures."
            )
        comparison, recipe, plan = compare(
            task, weights, sizes, seeds, directory, console, progress
        )
    console.print(_table(comparison))
    console.print(comparison.verdict())
    page = write_page(directory / "report.html", comparison, plan)
    (directory / "results.json").write_text(json.dumps(comparison.to_dict(), indent=1) + "\n")
    console.print(f"Report: {page}", soft_wrap=True)
    _serve(recipe, task, directory, console)
    console.print(f"This took {duration(time.monotonic() - started)}.")
    return comparison


def compare(
    task: Task,
    weights: Path,
    examples: Sequence[int],
    seeds: Sequence[int],
    directory: Path,
    console: Console,
    progress: Progress,
) -> tuple[Comparison, DigitsRecipe, str]:
    """Train in each way, with each number of examples and each seed; each is a step of `progress`.

    Returns:
        The figures; the last recipe that the default `fit` trained, and its plan as HTML.
    """
    comparison = Comparison(test=len(task.test))
    for each in examples:
        for seed in seeds:
            few = task.few(each, seed)
            accuracies = {}
            for way in WAYS:
                run_dir = (
                    directory / "runs" / f"{FOLDERS[way]}-{each}" if seed == seeds[0] else None
                )
                recipe, run = fit(way, few, task, weights, seed, run_dir)
                accuracies[way] = recipe.evaluate(tuple(task.test)).accuracy
                comparison.add(way, each, seed, accuracies[way])
                progress.advance()
            figures = ", ".join(f"{way} {reached:.1%}" for way, reached in accuracies.items())
            with progress.aside():
                console.print(f"{each:2} each, seed {seed}: {figures}", soft_wrap=True)
    return comparison, recipe, run.stages_table


def train_source(source: Digits, directory: Path) -> Path:
    """Train the source model, and save its backbone's weights like pretrained ones."""
    recipe = DigitsRecipe(num_classes=len(np.unique(source.labels)))
    recipe.fit(
        tuple(source),
        stages=SOURCE,
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
    way: str, few: Digits, task: Task, weights: Path, seed: int, run_dir: Path | None
) -> tuple[DigitsRecipe, Any]:
    """Train on few examples in one of the ways, and save the run if a directory is named."""
    recipe = DigitsRecipe(
        num_classes=5, weights=None if way == SCRATCH else str(weights), seed=seed
    )
    common: dict[str, Any] = {"seed": seed, "verbose": 0, "run_dir": run_dir}
    if way == FIT:
        return recipe, recipe.fit(tuple(few), **common)
    if way == LINEAR:
        # Like `recipe.fit(data)`, it learns from all examples in the end.
        common["finish"] = Finish(refit=True)
        return recipe, recipe.fit(tuple(few), stages=[Stage(0, solve=True)], **common)
    turns = STEPS * BATCH // len(few)  # repeats per epoch, so that there are fewer epochs
    run = recipe.fit(
        tuple(few.take(np.tile(np.arange(len(few)), turns))),
        tuple(task.test),  # logged only; no choice is made on them
        stages=FROM_SCRATCH,
        batch_norm="train",
        batch_size=BATCH,
        early_stopping=None,
        restore_best=None,
        **common,
    )
    return recipe, run


def ask(version: Path, digits: Digits) -> list[tuple[str, str, float]]:
    """Load a SavedModel without kft, and send it PNG files.

    Returns:
        For each picture its digit, the model's label and its probability.
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
    served = answer(**{name: tf.constant(files)})
    labels = [label.decode() for label in served["label"].numpy()]
    scores = served["scores"].numpy().max(axis=-1)
    return list(zip(digits.labels, labels, scores.tolist(), strict=True))


def _serve(recipe: DigitsRecipe, task: Task, directory: Path, console: Console) -> None:
    version = recipe.export(directory / "serving")
    console.print(f"The SavedModel {version}, loaded again, answers:", soft_wrap=True)
    for digit, label, score in ask(version, task.test.take(np.arange(5))):
        console.print(f"  a picture of {digit}: {label} ({score:.0%})")


def _table(comparison: Comparison) -> Table:
    table = Table(title="Accuracy on the same test digits")
    table.add_column("of each digit", justify="right")
    table.add_column("way")
    for seed in comparison.seeds:
        table.add_column(f"seed {seed}", justify="right")
    table.add_column("mean", justify="right")
    for examples, way, accuracies in comparison.rows():
        cells = map("{:.1%}".format, (*accuracies, np.mean(accuracies)))
        table.add_row(str(examples), way, *cells, end_section=way == WAYS[-1])
    return table
