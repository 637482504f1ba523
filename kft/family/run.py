"""The result of a fit: the trained recipe, its history and its journal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kft.data.examples import Examples
from kft.data.overlap import overlap
from kft.data.streams import Stream
from kft.data.whole_texts import whole_texts
from kft.errors import InputError
from kft.family.description import class_path, versions
from kft.family.hooks import Family
from kft.printing import how_many
from kft.report.page import write_report
from kft.runs.places import REPORT
from kft.tasks.evaluation.kept import KeptEvaluation
from kft.training.cached_stages import CachedStage
from kft.training.journal import Journal
from kft.training.saved_work import savings

if TYPE_CHECKING:
    from kft.tasks import Evaluation

_FIT_FACTS = ("seed", "batch_size", "batch_norm", "balance", "augment", "train", "validation")


class Measurement(Protocol):
    """A measurement of a recipe, such as a `kft.insight.forgetting.Forgetting`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the measurement as JSON values."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """The result of `fit`.

    Attributes:
        recipe: The trained recipe.
        history: A list with a value for each epoch, over all stages, for every name that Keras logs,
            including `stage` and `learning_rate`.
        run_dir: The directory of the run, None if it was not saved.
        evaluation: The evaluation of the trained recipe on the validation data. Of a finished run that
            `fit` loaded it has the figures, and neither tables by class nor mistakes, which are on the page.
        training: The training data.
        validation: The validation data.
        stages_table: The plan as an HTML table.
        journal: Facts about the run: time, memory and rates by stage, movement by block, the savings
            of the cache and the contents of the data.
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

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain dicts, lists, strings and numbers.

        Returns:
            `run_dir`; `epochs`, how many were trained; `best`, the epoch whose weights were kept, with its
            stage and the logged value that decided, None if that was not recorded; `refit`, what the
            training on all data took, None if there was none; and `figures` of the evaluation on the
            validation data, for each its `value`, its `interval` or None, and whether `"min"` or `"max"` is
            `better`; None without validation data.
        """
        journal = self.journal or {}
        figures = journal.get("figures") if self.evaluation is None else figures_of(self.evaluation)
        return {
            "run_dir": None if self.run_dir is None else str(self.run_dir),
            "epochs": len(self.history.get("loss", ())),
            "best": journal.get("best"),
            "refit": journal.get("refit"),
            "figures": figures,
        }

    def report(
        self, path: str | os.PathLike | None = None, *, forgetting: Measurement | None = None
    ) -> Path:
        """Write an HTML page about the run: curves, stages, evaluation, mistakes, data, time.

        Args:
            path: The HTML file to write. Defaults to `report.html` in the run directory.
            forgetting: What the recipe forgot of another task, as `kft.insight.forgetting.forgetting(recipe,
                data)` measures it, to include. Defaults to none.

        Returns:
            The path of the page.

        Raises:
            InputError: If there is neither a run directory nor a path.
        """
        if path is None:
            if self.run_dir is None:
                raise InputError("the run has no run_dir: pass the path of an HTML file to write.")
            path = self.run_dir / REPORT
            is_loaded = self.evaluation is None or isinstance(self.evaluation, KeptEvaluation)
            if is_loaded and forgetting is None and os.path.isfile(path):
                return path  # a loaded run already has its page
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
            examples=whole_texts(self.validation)
            if isinstance(self.validation, Examples)
            else None,
            journal=journal,
            facts={
                "recipe": class_path(recipe),
                **recipe.arguments(),
                "fit": {name: plan[name] for name in _FIT_FACTS if name in plan},
                **versions(),
            },
        )


def figures_of(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Return the figures of an evaluation as JSON values.

    Args:
        evaluation: The evaluation.
    """
    return {
        one.name: {
            "value": one.value,
            "interval": None if one.interval is None else list(one.interval),
            "better": one.better,
        }
        for one in evaluation.figures.described
    }


def journal_content(
    journal: Journal,
    stages: Sequence[CachedStage],
    training: Examples | Stream,
    validation: Examples | Stream | None,
) -> dict[str, Any]:
    """Return the journal of a run as JSON values.

    Args:
        journal: The records of the training.
        stages: The cache decision for each stage.
        training: The training data.
        validation: The validation data, or None.
    """
    content: dict[str, Any] = dict(journal.content())
    if isinstance(training, Examples) and isinstance(validation, Examples):
        count = len(training) + len(validation)
        content["cache"] = savings(stages, journal.epochs, count, journal.passes)
    return content


def with_warm_start(run: Run, noted: Mapping[str, Any] | None) -> Run:
    """Return a run whose journal includes the warm start before its stages."""
    return (
        run if noted is None else replace(run, journal={**(run.journal or {}), "warm_start": noted})
    )


def with_overlap(run: Run) -> Mapping[str, Any]:
    """Return a run's journal with the overlap of its data, which is slow and needed only by a page."""
    journal, training, validation = run.journal or {}, run.training, run.validation
    known = "data" in journal
    if known or not isinstance(training, Examples) or not isinstance(validation, Examples):
        return journal
    return {**journal, "data": overlap({"training": training, "validation": validation})}


def plain_history(history: Mapping[str, Sequence]) -> dict[str, list]:
    """Convert Keras' history to plain numbers and strings."""
    return {
        name: [value if isinstance(value, (str, int)) else float(value) for value in values]
        for name, values in history.items()
    }
