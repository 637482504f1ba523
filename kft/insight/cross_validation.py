"""Cross-validation of a recipe: each example is predicted by a model that has not seen it."""

from __future__ import annotations

import dataclasses
import os
import statistics
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.arguments import check_seed, check_verbose, check_whole, path_of
from kft.arguments.calls import check_call, checked_call
from kft.data.examples import Examples
from kft.data.folds import folds_of
from kft.errors import InputError
from kft.family.answers import answers
from kft.family.policies import Finish
from kft.family.settings import is_auto
from kft.insight.given import check_recipe
from kft.printing import how_many
from kft.report.progress import Progress
from kft.runs.places import check_apart_from_data, fold_run
from kft.stages.lengths import USUAL_BATCH
from kft.tasks import Evaluation
from kft.tasks.evaluation.scorer import Scorer

if TYPE_CHECKING:
    from kft.family.hooks import Family

__all__ = ["CrossValidation", "cross_validate"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """The evaluations of cross-validation; prints as lines and tables.

    Attributes:
        evaluation: The evaluation of all predictions together. Its intervals assume independence, but the
            models share most of their training examples, so they are slightly too narrow.
        folds: The evaluation of each fold alone.
    """

    evaluation: Evaluation
    folds: tuple[Evaluation, ...]

    @property
    def figure(self) -> str:
        """Name of the figure that is shown for each fold: the first of the task's, such as `"accuracy"`."""
        return next(iter(self.evaluation.figures))

    @property
    def values(self) -> tuple[float | None, ...]:
        """The value of that figure in each fold; None where it is undefined."""
        return tuple(one.figures[self.figure] for one in self.folds)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers."""
        return {
            "figure": self.figure,
            "folds": list(self.values),
            "evaluation": self.evaluation.to_dict(),
        }

    def __repr__(self) -> str:
        return f"<CrossValidation: {self._line}>"

    def __str__(self) -> str:
        return f"{self._line}\n\n{self.evaluation}"

    @property
    def _line(self) -> str:
        known = [float(one) for one in self.values if one is not None]
        label = self.evaluation.figures.figure(self.figure).label
        line = f"{label} in {how_many(len(self.folds), 'fold')}: {', '.join(f'{one:.3f}' for one in known)}"
        if len(known) < 2:
            return line
        return f"{line} (mean {statistics.mean(known):.3f}, standard deviation {statistics.stdev(known):.3f})"


@checked_call
def cross_validate(
    recipe: Family,
    data: Any,
    *,
    folds: int = 5,
    run_dir: str | os.PathLike | None = None,
    seed: int = 0,
    verbose: int | str = "auto",
    **settings: Any,
) -> CrossValidation:
    """Fit a recipe once for each fold of the data, and evaluate it on that fold.

    A few validation examples say little about a model: if 20 of 20 are right, the true accuracy may be
    anything above 84 %. Here every example is predicted once, by a model trained without it, and all
    predictions are evaluated together. The result assesses the way of training, not one model: train
    the model to keep by `fit` on all data.

    Args:
        recipe: A recipe that has not been fitted; it does not change.
        data: As `train` of `fit`, but not a stream. Examples with equal content, or of one group, are
            never in both the training and the held-out part.
        folds: The number of folds, and of models. Defaults to 5.
        run_dir: Directory with a run for each fold, so that the same call resumes after a kill.
        seed: Seed of the folds and of each fit.
        verbose: 0 prints nothing, other values show progress.
        **settings: Other arguments of `fit`, the same for each fold, except `callbacks`, whose state
            would carry over from one fold to the next.

    Returns:
        The figures of all predictions together and of each fold.

    Raises:
        InputError: If an argument is wrong, the recipe has been fitted, or the data are a stream, have
            times, or are too few for the folds.

    Example:

    ```python
    found = kft.cross_validate(BertRecipe(preset, num_classes=2), "labelled.csv")
    print(found.evaluation.accuracy)
    ```
    """
    check_recipe(recipe)
    check_whole("folds", folds, "folds", least=2)
    check_seed(seed)
    check_verbose(verbose)
    check_call(recipe.fit, (data,), settings)
    if settings.get("callbacks"):
        raise InputError(
            "`callbacks` would carry over from one fold to the next: leave them out, or call `fit` for each fold."
        )
    examples = _read(recipe, data, settings.get("on_bad_example", "error"))
    fold = folds_of(examples, folds, seed)
    parent = None if run_dir is None else path_of("run_dir", run_dir)
    check_apart_from_data({"run_dir": parent}, [examples])
    # Thresholds are found with the report.
    finish = dataclasses.replace(
        Finish.of(settings.pop("finish", None)), report=recipe.task.finds_thresholds
    )
    size = settings.get("batch_size", "auto")
    size = USUAL_BATCH if is_auto(size) else size
    every: Scorer | None = None
    each: list[Evaluation] = []
    with Progress("Cross-validating", folds, verbose=verbose) as progress:
        for number in range(folds):
            held = np.flatnonzero(fold == number)
            one = recipe.pretrained()
            one.fit(
                examples.take(np.flatnonzero(fold != number)),
                run_dir=None if parent is None else fold_run(parent, number),
                seed=seed,
                verbose=0,
                finish=finish,
                **{**settings, "optimizer": _copied(settings.get("optimizer"))},
            )
            if every is None:  # the answers of all folds share the thresholds of the first one
                every = one.task.scorer_of(examples, examples.classes)
            part = examples.take(held)
            own = one.task.scorer_of(part, one.classes)
            for targets, outputs, rows in answers(one, part, size):
                own.update(targets, outputs, rows)
                every.update(targets, outputs, held if rows is None else held[rows])
            each.append(own.result())
            progress.advance()
    assert every is not None
    return CrossValidation(every.result(), tuple(each))


def _read(recipe: Family, data: Any, on_bad_example: str) -> Examples:
    if recipe.is_fitted:
        raise InputError(
            f"the {type(recipe).__name__} has been fitted, on examples that would be held out: pass a new "
            "recipe with the same arguments."
        )
    examples = recipe.read(data, on_bad_example=on_bad_example)
    if not isinstance(examples, Examples):
        raise InputError(
            f"{examples.source} is a stream, which cannot be divided: pass files, a table or arrays."
        )
    return examples


def _copied(optimizer: keras.optimizers.Optimizer | None) -> keras.optimizers.Optimizer | None:
    return None if optimizer is None else type(optimizer).from_config(optimizer.get_config())
