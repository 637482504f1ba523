"""The pieces of `Recipe.fit`: the plan that identifies a run, its callbacks, and what comes out."""

from __future__ import annotations

import hashlib
import io
import math
import numbers
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np

from kft.arguments import is_number, shown
from kft.callbacks import RunCheckpoint
from kft.data.examples import Examples
from kft.data.overlap import overlap
from kft.data.split import split
from kft.data.stream_checks import plain_errors
from kft.data.streams import Stream, with_known_length
from kft.errors import InputError, NonFiniteLossError
from kft.family import distances, saving
from kft.family.description import class_path, damage_named, versions
from kft.family.hooks import Family
from kft.family.known import title_of
from kft.model.pretrained import StartingWeights
from kft.printing import how_many
from kft.report import write_report
from kft.runs import atomic, json_files
from kft.runs.places import REPORT
from kft.stages.stage import checked_stages
from kft.stages.table import plan_table
from kft.training.cached_stages import CachedStage
from kft.training.journal import Journal
from kft.training.savings import savings

if TYPE_CHECKING:
    from kft.tasks import Evaluation

HISTORY = "history.json"
JOURNAL = "journal.json"
RAW_EXAMPLES = "examples.json"

_FIT_FACTS = ("seed", "batch_size", "batch_norm", "balance", "augment", "train", "validation")


class Measurement(Protocol):
    """What was measured of a recipe, such as a `kft.insight.forgetting.Forgetting`."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """What `fit` gives back.

    Attributes:
        recipe: The trained recipe.
        history: A list with a value for each epoch for every name that Keras logs, over all stages,
            `stage` and `learning_rate` among them.
        run_dir: Where the run lies, None if it was not kept.
        evaluation: The trained recipe on the validation data.
        training: The training data.
        validation: The validation data.
        stages_table: The plan as an HTML table.
        journal: What was noted: time, memory and rates by stage, movement by block, what the cache
            saved and what the data hold.
    """

    recipe: Family
    history: dict[str, list]
    run_dir: Path | None = None
    evaluation: Evaluation | None = None
    training: Examples | Stream | None = None
    validation: Examples | Stream | None = None
    stages_table: str = ""
    journal: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        epochs = len(self.history.get("loss", ()))
        where = f" in {self.run_dir}" if self.run_dir else ""
        return f"<Run of {type(self.recipe).__name__}: {how_many(epochs, 'epoch')}{where}>"

    def report(
        self, path: str | os.PathLike | None = None, *, forgetting: Measurement | None = None
    ) -> Path:
        """Write a page about the run: curves, stages, evaluation, mistakes, data, time.

        Args:
            path: The HTML file to write. Defaults to `report.html` in the run directory.
            forgetting: What of another task was forgotten, as `kft.insight.forgetting.forgetting(recipe,
                data)` measures it, to be shown too. Defaults to none.

        Returns:
            The path of the page.

        Raises:
            InputError: If there is neither a run directory nor a path.
        """
        if path is None:
            if self.run_dir is None:
                raise InputError("the run has no run_dir: pass the path of an HTML file to write.")
            path = self.run_dir / REPORT
            if self.evaluation is None and forgetting is None and path.is_file():
                return path  # a finished run that was loaded: written when it was trained
        recipe, journal = self.recipe, with_overlap(self)
        if forgetting is not None:
            journal = {**journal, "forgetting": forgetting.to_dict()}
        plan = recipe.origin.get("plan") or {}
        return write_report(
            path,
            title=self.run_dir.name if self.run_dir else type(recipe).__name__,
            history=self.history,
            stages_table_html=self.stages_table,
            evaluation=self.evaluation,
            examples=self.validation if isinstance(self.validation, Examples) else None,
            journal=journal,
            facts={
                "recipe": class_path(recipe),
                **recipe.arguments(),
                "fit": {name: plan[name] for name in _FIT_FACTS if name in plan},
                **versions(),
            },
        )


class FiniteLoss(keras.callbacks.Callback):
    """Ends training with an error in the first epoch whose loss is NaN or infinite."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the losses of the epoch."""
        logs = logs or {}
        for name in ("loss", "val_loss"):
            value = logs.get(name)
            if value is not None and not math.isfinite(value):
                rate = logs.get("learning_rate")
                at = "" if rate is None else f" at learning_rate={float(rate):.2g}"
                raise NonFiniteLossError(
                    f"`{name}` is {float(value)} in epoch {epoch + 1}{at}, but a finite number is "
                    "expected: look for NaN in the data and for class numbers outside 0 to "
                    "num_classes - 1, lower the stage's learning_rate, or pass "
                    "an optimizer with clipnorm=1.0, or resume=kft.Resume(retries=2), which "
                    "goes on from the last commit at half the rate."
                )


def with_retries(
    fit: Callable[[], keras.callbacks.History],
    checkpoint: Sequence[RunCheckpoint],
    retries: int,
    before_retry: Callable[[], None],
) -> keras.callbacks.History:
    """Fit; after a loss that is no number, go on from the last commit at half the rate.

    Args:
        fit: Fits, from the newest commit if there is one.
        checkpoint: The callback that commits, if there is one.
        retries: How many times to resume.
        before_retry: Makes the model ready to be fitted again.

    Raises:
        NonFiniteLossError: If the loss was no number once more than `retries`.
    """
    for attempt in range(retries + 1):
        try:
            with plain_errors():
                return fit()
        except NonFiniteLossError as error:
            if attempt == retries:
                raise
            warnings.warn(
                f"{error} Retry {attempt + 1} of {retries}, at half the learning rate.",
                stacklevel=3,
            )
            for one in checkpoint:
                one.slow_down(0.5)
            before_retry()
    raise AssertionError("unreachable: the last attempt returns or raises")


def read_both(
    recipe: Family, train: Any, validation_data: Any, seed: int, on_bad: str
) -> tuple[Examples | Stream, Examples | Stream]:
    """Read training and validation data, or split the latter off.

    Args:
        recipe: The recipe, which takes over the classes of the training data.
        train: What was passed to `fit`.
        validation_data: What was passed to `fit`: data, or the part of `train` that is split off.
        seed: Seed of the split.
        on_bad: What to do with bad examples, `"error"` or `"skip"`.

    Raises:
        InputError: If the data are wrong, or a stream would have to be split.
    """
    data = recipe.read(train, classes=recipe.classes, on_bad_example=on_bad)
    recipe.name_classes(data.classes, data.source)
    if not is_fraction(validation_data):
        validation = recipe.read(validation_data, classes=recipe.classes, on_bad_example=on_bad)
        return data, validation
    if isinstance(data, Stream):
        raise InputError(f"a {data.source} cannot be split: pass validation_data.")
    return split(data, float(validation_data), seed)


def is_fraction(validation_data: Any) -> bool:
    """Return whether what was passed as `validation_data` is a part of the training data.

    Raises:
        InputError: If it is neither data nor a fraction between 0 and 1.
    """
    if is_number(validation_data) and 0 < validation_data < 1:
        return True
    if validation_data is None or isinstance(validation_data, numbers.Number | np.generic):
        raise InputError(
            f"`validation_data={shown(validation_data)}`: pass data, or a fraction of the training "
            "data between 0 and 1, such as 0.2."
        )
    return False


def batches_of(
    recipe: Family, data: Examples | Stream, batch_size: int, steps: int | None = None
) -> Any:
    """Batches of data in their own order, as `fit` and `evaluate` take them.

    Args:
        recipe: The recipe that turns raw inputs into the model's.
        data: What `Recipe.read` returned.
        batch_size: Examples a batch; a stream has batches of its own.
        steps: Batches to take of a stream that never ends.
    """
    if isinstance(data, Examples):
        return recipe.batches(data, batch_size=batch_size)
    if data.is_infinite and steps is None:
        raise InputError(
            f"the {data.source} never ends: pass recipe.read(data, steps_per_epoch=n) for training, or "
            "end it with take(n)."
        )
    return recipe.from_stream(data.dataset)


def counted(stream: Stream) -> Stream:
    """A stream to train on that knows how many batches an epoch has."""
    if stream.steps is not None or stream.batches is not None:
        return stream
    return replace(stream, dataset=with_known_length(stream.dataset))


def noted(
    journal: Journal,
    stages: Sequence[CachedStage],
    training: Examples | Stream,
    validation: Examples | Stream | None,
) -> dict[str, Any]:
    """What was noted while a run went on, as JSON values.

    Args:
        journal: What was noted.
        stages: What was decided for each stage.
        training: The training data.
        validation: The validation data, None for none.
    """
    content: dict[str, Any] = dict(journal.content())
    if isinstance(training, Examples) and isinstance(validation, Examples):
        count = len(training) + len(validation)
        content["cache"] = savings(stages, journal.epochs, count, journal.passes)
    return content


def with_overlap(run: Run) -> Mapping[str, Any]:
    """A run's journal with what its data hold, which takes a while: only a page needs it."""
    journal, training, validation = run.journal or {}, run.training, run.validation
    known = "data" in journal
    if known or not isinstance(training, Examples) or not isinstance(validation, Examples):
        return journal
    return {**journal, "data": overlap({"training": training, "validation": validation})}


def keep(run: Run, plan: Mapping[str, Any], draw: Callable[[Path], Any] | None = None) -> None:
    """Write a trained run to its directory, all of it or nothing.

    Args:
        run: The run.
        plan: What identifies it.
        draw: Writes the page to a directory. By default it comes later.
    """
    assert run.run_dir is not None
    with atomic.being_written(run.run_dir) as hidden:
        saving.write(run.recipe, hidden, plan=plan)
        json_files.write_json(hidden / HISTORY, run.history)
        json_files.write_json(hidden / JOURNAL, run.journal)
        if draw is not None:
            draw(hidden)


def add_page(run: Run, folder: Path) -> Mapping[str, Any]:
    """Write the page of a run, and note in its journal what the page found.

    Args:
        run: The run.
        folder: Where it is kept.

    Returns:
        That journal.
    """
    distances.write(run.recipe.distances, folder)
    journal = with_overlap(run)
    replace(run, journal=journal).report(folder / REPORT)
    json_files.write_json(folder / f".{JOURNAL}", journal)
    (folder / f".{JOURNAL}").replace(folder / JOURNAL)
    return journal


def take_over(recipe: Family, run_dir: Path, *, verbose: int | str) -> Run:
    """Load a finished run into the recipe that was about to be fitted in the same way."""
    saving.restore(recipe, run_dir)
    journal = read_journal(run_dir)
    if verbose != 0:
        print(f"{run_dir} is finished: loaded, not trained again.")
    return Run(
        recipe,
        read_history(run_dir),
        run_dir,
        stages_table=stages_table(recipe, run_dir, journal),
        journal=journal,
    )


def stages_table(recipe: Family, run_dir: Path, journal: Mapping[str, Any] | None) -> str:
    """Return the plan of a run that was loaded, as an HTML table.

    Args:
        recipe: The recipe that was loaded.
        run_dir: Where it was loaded from.
        journal: What the run noted of itself.

    Raises:
        InputError: If the run describes no stages.
    """
    with damage_named(run_dir, class_path(recipe)):
        plan = recipe.origin["plan"]
        noted = (journal or {}).get("starting_weights")
        table = plan_table(
            recipe.model,
            checked_stages(plan["stages"]),
            plan["batch_norm"],
            weights=noted and StartingWeights(str(noted["source"]), bool(noted["pretrained"])),
            title=title_of(recipe),
        )
    return table._repr_html_()


def read_history(run_dir: Path) -> dict[str, list]:
    """Read the history of a run: lists of numbers, of which stages may have names instead.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    history = json_files.read_json(run_dir / HISTORY)
    if not isinstance(history, dict) or not all(map(_is_column, history.values())):
        raise InputError(f"`{run_dir / HISTORY}` is damaged: restore it from a copy.")
    return history


def read_journal(run_dir: Path) -> Mapping[str, Any] | None:
    """Read what a run noted of itself; None where it noted nothing.

    Raises:
        InputError: If the file is damaged.
    """
    if not (run_dir / JOURNAL).exists():
        return None
    journal = json_files.read_json(run_dir / JOURNAL)
    if journal is not None and not isinstance(journal, dict):
        raise InputError(f"`{run_dir / JOURNAL}` is damaged: restore it from a copy.")
    return journal


def raw_examples(examples: Examples, count: int = 4) -> list[str | bytes]:
    """A few raw inputs, encoded images or texts, for the warmup and the check of an export."""
    if isinstance(examples.inputs, dict):
        return []  # an export takes one input
    chosen = list(examples.inputs[:count])
    if examples.kind == "image_files":
        return [Path(path).read_bytes() for path in chosen]
    if examples.kind == "arrays":
        return [_as_png(image) for image in chosen]
    return chosen


def encoded(recipe: Family, raw: Any) -> list[str | bytes]:
    """Raw inputs as an export takes them: encoded images or texts.

    Args:
        recipe: The recipe, which checks them.
        raw: As for `Recipe.predict`.
    """
    inputs = recipe.raw_inputs(raw)
    if recipe.modality != "image":
        return list(inputs)
    return [_as_encoded(image) for image in inputs]


def weights_digest(model: keras.Model) -> str:
    """SHA-256 of all weights, which tells a run that goes on from them from one that does not."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()


def identity_of(
    recipe: Family, train: Examples | Stream, validation: Examples | Stream
) -> dict[str, Any]:
    """Return what recipe and data contribute to the identity of a run.

    Args:
        recipe: The recipe, before it is trained; one that is fitted already counts with its weights.
        train: The training data; their content counts, not where they lie.
        validation: The validation data.
    """
    return {
        "recipe": class_path(recipe),
        "arguments": recipe.arguments(),
        "train": _identity(train),
        "validation": _identity(validation),
        "trained before": weights_digest(recipe.model) if recipe.is_fitted else None,
    }


def plain_history(history: Mapping[str, Sequence]) -> dict[str, list]:
    """Keras' history as plain numbers and strings."""
    return {
        name: [value if isinstance(value, (str, int)) else float(value) for value in values]
        for name, values in history.items()
    }


def _is_column(values):
    kinds = (str, int, float, type(None))
    return isinstance(values, list) and all(isinstance(value, kinds) for value in values)


def _identity(data):
    if isinstance(data, Examples):
        return {"examples": len(data), "sha256": data.fingerprint()}
    # What a stream will yield cannot be known, so two streams count as equal.
    return {"stream": data.source, "batches": data.batches}


def _as_encoded(image):
    if isinstance(image, np.ndarray):
        return _as_png(image)
    return image if isinstance(image, bytes) else Path(image).read_bytes()


def _as_png(image):
    from PIL import Image

    pixels = np.clip(np.rint(np.asarray(image)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(file, "PNG")
    return file.getvalue()
