"""The result of a search."""

from __future__ import annotations

import dataclasses
import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from kft.data.examples import Examples
from kft.data.joined import check_joins, joined
from kft.errors import InputError
from kft.family import saving
from kft.family.hooks import Family
from kft.family.policies import BestEpoch, Finish
from kft.family.run import Run
from kft.printing import as_text, captioned, how_many
from kft.stages.stage import Stage
from kft.tuning.best_plan import BEST, Asked, python_call
from kft.tuning.refit import stages_to_the_best
from kft.tuning.study import write_study
from kft.tuning.trials import Trial
from kft.tuning.tuner import best_of
from kft.tuning.values import searched, shown

STAGES = "best_stages.yaml"
REPORT = "report.html"
_COLUMNS = ("trial", "score", "stage", "epochs", "seconds", "values")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Search:
    """A finished search, displayed as a table by `print` and in a notebook.

    Attributes:
        recipe: The recipe of the search, untrained.
        objective: The `keras_tuner.Objective`.
        trials: All trials in the order in which they began, including failed ones.
        run_dir: The directory of the search.
        stopped: Why it ended before its last trial; None if it did not.
        data: The training and the validation data; with folds all data and None.
        settings: The arguments of `Recipe.fit` that all trials shared.
        asked: The arguments of the call.
        script: The shell command that trains the best plan, for a search from the command line;
            None for one from Python.
    """

    recipe: Family
    objective: Any
    trials: Sequence[Trial]
    run_dir: Path
    stopped: str | None = None
    data: tuple[Any, Any] = (None, None)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    asked: Asked = dataclasses.field(default_factory=Asked)
    script: str | None = None

    @property
    def best_trial(self) -> Trial:
        """The trial with the best score; the earliest of those with equal scores."""
        best = best_of(tuple(self.trials), self.objective)
        assert best is not None, "a search in which every trial fails raises"
        return best

    @property
    def best_score(self) -> float:
        """The score of the best trial: the objective in its best epoch, with folds their mean."""
        assert self.best_trial.score is not None
        return self.best_trial.score

    @property
    def best_stages(self) -> list[Stage]:
        """The stages of the best trial, for `fit(stages=...)`."""
        return list(self.best_trial.stages)

    @property
    def best_recipe(self) -> Family:
        """The recipe of the best trial with the weights of its best epoch, loaded on each access.

        Raises:
            InputError: If the trials were fitted on folds, so that no model has seen all data.
        """
        trial = self.best_trial
        assert trial.run_dir is not None
        if trial.fold_scores:
            raise InputError(
                f"trial {trial.number} has a model for each of {len(trial.fold_scores)} folds, and none has "
                "seen all data: train its plan on all of them by `search.refit()`."
            )
        recipe = self.new_recipe(trial)
        saving.restore(recipe, trial.run_dir)
        return recipe

    def new_recipe(self, trial: Trial | None = None) -> Family:
        """Return an untrained recipe with the arguments of a trial, to fit its stages on other data.

        Args:
            trial: One of `trials`. Defaults to the best.
        """
        arguments = (trial or self.best_trial).arguments
        return dataclasses.replace(self.recipe, **arguments)

    def refit(
        self,
        *,
        run_dir: str | os.PathLike | None = None,
        trial: Trial | None = None,
        verbose: int | str = "auto",
    ) -> Run:
        """Train a trial's plan from scratch on the training and validation data together.

        Each stage takes the epochs that led to the trial's best weights. No data are held out: the
        `val_` figures in the history are of examples that it trains on, and the run is not
        evaluated. Evaluate it on data that the search has not seen.

        Args:
            run_dir: As in `Recipe.fit`.
            trial: One of `trials`. Defaults to the best.
            verbose: As in `Recipe.fit`.

        Returns:
            The `Run`; its recipe is the trained one.

        Raises:
            InputError: If the trial has failed, or the data are streams.
        """
        trial = self._finished(trial)
        everything, shown = self._all_data()
        return self.new_recipe(trial).fit(
            everything,
            shown,
            stages=stages_to_the_best(trial, self.objective),
            augment=trial.augment,
            run_dir=run_dir,
            finish=Finish(report=False),
            verbose=verbose,
            restore_best=None,
            **{**self.settings, "early_stopping": None},
        )

    def train_further(
        self,
        stages: Sequence[Stage] | None = None,
        *,
        run_dir: str | os.PathLike | None = None,
        verbose: int | str = "auto",
    ) -> Run:
        """Train the best trial's model further on the data of the search.

        Args:
            stages: What to train. Defaults to a repeat of the last stage of the best trial.
            run_dir: As in `Recipe.fit`.
            verbose: As in `Recipe.fit`.

        Returns:
            The `Run`; its recipe is the trained one.
        """
        return self.best_recipe.fit(
            *self.data,
            stages=self.best_stages[-1:] if stages is None else stages,
            augment=self.best_trial.augment,
            run_dir=run_dir,
            verbose=verbose,
            restore_best=BestEpoch(monitor=(self.objective.name, self.objective.direction)),
            **self.settings,
        )

    def _all_data(self) -> tuple[Any, Any]:
        """Return all data together, and the part of them for the `val_` figures."""
        train, validation = self.data
        if validation is None:
            return train, train
        check_joins(train, validation, "fit `search.new_recipe()` on data of your own")
        return joined(train, validation), validation

    def _finished(self, trial: Trial | None) -> Trial:
        chosen = trial or self.best_trial
        if chosen.failed:
            raise InputError(f"trial {chosen.number} failed: {chosen.reason} Pass another one.")
        return chosen

    def report(self, path: str | os.PathLike | None = None) -> Path:
        """Write an HTML page with the trials, parallel coordinates, importance, and rate by depth.

        Args:
            path: The HTML file to write. Defaults to `report.html` in the run directory.

        Returns:
            The path of the page.
        """
        return write_study(self, self.run_dir / REPORT if path is None else Path(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain dicts, lists, strings and numbers.

        Returns:
            `objective` and its `direction`; `best`, the number of the best trial; `stages`, its stages;
            `command`, what trains its plan; `stopped`, why the search ended early, or None; and `trials`, a
            dict for each: `number`, `values`, `score`, `standard_error`, `epochs`, `seconds`, `reason` of a
            failure and `run_dir`.
        """
        return {
            "objective": self.objective.name,
            "direction": self.objective.direction,
            "best": self.best_trial.number,
            "stages": [stage.to_dict() for stage in self.best_stages],
            "command": self.command,
            "stopped": self.stopped,
            "trials": [
                {
                    "number": trial.number,
                    "values": searched(trial),
                    "score": trial.score,
                    "standard_error": trial.standard_error,
                    "epochs": trial.epochs,
                    "seconds": trial.seconds,
                    "reason": trial.reason,
                    "run_dir": None if trial.run_dir is None else str(trial.run_dir),
                }
                for trial in self.trials
            ],
        }

    @property
    def command(self) -> str:
        """The shell command, or for a search from Python the code, that trains the best plan."""
        if self.script is not None:
            return self.script
        return python_call(self, str(self.run_dir / STAGES), str(self.run_dir / BEST))

    @property
    def title(self) -> str:
        """A summary of the search in one line."""
        failed = sum(trial.failed for trial in self.trials)
        title = f"{how_many(len(self.trials), 'trial')} of {type(self.recipe).__name__}"
        title += f" by {self.objective.name}"
        folds = len(self.best_trial.fold_scores)
        if folds:
            title += f", the mean of {folds} folds"
        elif isinstance(validation := self.data[1], Examples):
            title += f" on {how_many(len(validation), 'validation example')}"
        title += f", {failed} failed" if failed else ""
        return title + (f"; ended as {self.stopped}" if self.stopped else "")

    def rows(self) -> list[tuple[str, ...]]:
        """Return the trials as rows of strings, the best first and the failed ones last."""
        sign = -1 if self.objective.direction == "max" else 1
        ranked = sorted(
            self.trials, key=lambda t: (t.failed, 0.0 if t.score is None else sign * t.score)
        )
        return [_row(trial) for trial in ranked]

    def __rich__(self) -> Group:
        table = Table()
        for column in _COLUMNS:
            numeric = column not in ("stage", "values")
            table.add_column(column, justify="right" if numeric else "left", overflow="fold")
        for row in self.rows():
            table.add_row(*row)
        return captioned(self.title, table)

    def __str__(self) -> str:
        # Below the table: a cell would wrap the command, and it could not be pasted into a shell.
        return f"{as_text(self, piped=140)}\n\nTo train the best plan:\n\n{self.command}"

    def __repr__(self) -> str:
        return f"<Search: {self.title}, best {self.best_score:.4f}>"

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in _COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows()
        )
        return (
            f"<table><caption>{html.escape(self.title)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
            f"<p>To train the best plan:</p><pre>{html.escape(self.command)}</pre>"
        )


def _row(trial: Trial) -> tuple[str, ...]:
    values = ", ".join(f"{name} {shown(value)}" for name, value in searched(trial).items())
    stage = "-"
    if trial.best_stage is not None:
        stage = f"{trial.stages[trial.best_stage - 1].label}, epoch {trial.best_epoch}"
    cell = values if trial.reason is None else f"{values}: {trial.reason}"
    return (
        str(trial.number),
        trial.shown_score,
        stage,
        str(trial.epochs),
        f"{trial.seconds:.1f}",
        cell,
    )
