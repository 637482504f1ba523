"""What comes out of a fit: the trained recipe, its history, and what was noted on the way."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kft.data.examples import Examples
from kft.data.overlap import overlap
from kft.data.streams import Stream
from kft.errors import InputError
from kft.family.description import class_path, versions
from kft.family.hooks import Family
from kft.printing import how_many
from kft.report import write_report
from kft.runs.places import REPORT
from kft.training.cached_stages import CachedStage
from kft.training.journal import Journal
from kft.training.saved_work import savings

if TYPE_CHECKING:
    from kft.tasks import Evaluation

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


def with_warm_start(run: Run, said: Mapping[str, Any] | None) -> Run:
    """Return a run whose journal tells of what came before the stages."""
    return (
        run if said is None else replace(run, journal={**(run.journal or {}), "warm_start": said})
    )


def with_overlap(run: Run) -> Mapping[str, Any]:
    """A run's journal with what its data hold, which takes a while: only a page needs it."""
    journal, training, validation = run.journal or {}, run.training, run.validation
    known = "data" in journal
    if known or not isinstance(training, Examples) or not isinstance(validation, Examples):
        return journal
    return {**journal, "data": overlap({"training": training, "validation": validation})}


def plain_history(history: Mapping[str, Sequence]) -> dict[str, list]:
    """Keras' history as plain numbers and strings."""
    return {
        name: [value if isinstance(value, (str, int)) else float(value) for value in values]
        for name, values in history.items()
    }
