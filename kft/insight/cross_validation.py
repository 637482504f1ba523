"""How good a recipe is on few examples: each is answered by a model that has not seen it."""

from __future__ import annotations

import dataclasses
import os
import statistics
from pathlib import Path
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
from kft.printing import how_many
from kft.report.progress import Progress
from kft.stages.lengths import USUAL_BATCH
from kft.tasks import Evaluation

if TYPE_CHECKING:
    from kft.family.hooks import Family

__all__ = ["CrossValidation", "cross_validate"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """The answers of models to what each of them has not seen; prints as lines and tables.

    Attributes:
        evaluation: All answers together. Its intervals take them as independent, though the models share most
            of their training examples: they are a little too narrow.
        folds: The evaluation of each fold by itself.
    """

    evaluation: Evaluation
    folds: tuple[Evaluation, ...]

    @property
    def figure(self) -> str:
        """Name of the figure that is shown for each fold: the first of the task's, such as `"accuracy"`."""
        return next(iter(self.evaluation.figures))

    @property
    def values(self) -> tuple[float | None, ...]:
        """That figure in each fold; None where a fold does not define it."""
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

    A validation part of few examples says little of a model: with 20 of them, all right, anything from
    84 % on may be true. Here every example is answered once, by a model that was trained without it, and
    all answers count together. What comes out judges the way of training, not a model: train the one to
    keep by `fit` on all data.

    Args:
        recipe: A recipe that has not been fitted; it stays as it is.
        data: As `train` of `fit`; no stream. Examples with the same content, and those of one group, are
            never on both sides.
        folds: How many parts the data are divided into, and models are trained. Defaults to 5.
        run_dir: Directory that gets a run for each fold, so that the same call goes on after a kill.
        seed: Decides the folds, and is the `seed` of each fit.
        verbose: 0 prints nothing, everything else how far it is.
        **settings: Other arguments of `fit`, the same for each fold, but for `callbacks`, which would go
            on from one to the next.

    Returns:
        The figures of all answers together and of each fold.

    Raises:
        InputError: If an argument is wrong, the recipe has been fitted, or the data are a stream, have
            times, or are too few for the folds.

    Example:

    ```python
    found = kft.cross_validate(BertRecipe(preset, num_classes=2), "labelled.csv")
    print(found.evaluation.accuracy)
    ```
    """
    check_whole("folds", folds, "folds", least=2)
    check_seed(seed)
    check_verbose(verbose)
    check_call(recipe.fit, (data,), settings)
    if settings.get("callbacks"):
        raise InputError(
            "`callbacks` would go on from one fold to the next: leave them out, or call `fit` for each fold."
        )
    examples = _read(recipe, data)
    fold = folds_of(examples, folds, seed)
    parent = None if run_dir is None else path_of("run_dir", run_dir)
    finish = dataclasses.replace(Finish.of(settings.pop("finish", None)), report=False)
    size = settings.get("batch_size", "auto")
    size = USUAL_BATCH if is_auto(size) else size
    every, each = recipe.task.scorer_of(examples, examples.classes), []
    with Progress("Cross-validating", folds, verbose=verbose) as progress:
        for number in range(folds):
            held = np.flatnonzero(fold == number)
            one = recipe.pretrained()
            one.fit(
                examples.take(np.flatnonzero(fold != number)),
                run_dir=None if parent is None else _of_fold(parent, number),
                seed=seed,
                verbose=0,
                finish=finish,
                **{**settings, "optimizer": _copied(settings.get("optimizer"))},
            )
            part = examples.take(held)
            own = one.task.scorer_of(part, one.classes)
            for targets, outputs, rows in answers(one, part, size):
                own.update(targets, outputs, rows)
                every.update(targets, outputs, held if rows is None else held[rows])
            each.append(own.result())
            progress.advance()
    return CrossValidation(every.result(), tuple(each))


def _read(recipe: Family, data: Any) -> Examples:
    if recipe.is_fitted:
        raise InputError(
            f"the {type(recipe).__name__} has been fitted, on examples that would be held out: pass a new "
            "recipe with the same arguments."
        )
    examples = recipe.read(data)
    if not isinstance(examples, Examples):
        raise InputError(
            f"{examples.source} is a stream, which cannot be divided: pass files, a table or arrays."
        )
    return examples


def _copied(optimizer: keras.optimizers.Optimizer | None) -> keras.optimizers.Optimizer | None:
    return None if optimizer is None else type(optimizer).from_config(optimizer.get_config())


def _of_fold(parent: Path, number: int) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    return parent / f"fold-{number + 1}"
