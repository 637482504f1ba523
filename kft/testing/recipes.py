"""The contract of a recipe: each promise of `kft.Recipe`, checked on tiny data."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kft.errors import InputError
from kft.family.policies import Finish, Resume
from kft.family.saving import load
from kft.model.blocks import find_anatomy
from kft.stages.stage import Stage
from kft.stages.table import plan_table
from kft.tasks.saved import own_classes
from kft.testing.checks import end_in_second_epoch, equal, require, weights_of


@dataclasses.dataclass(frozen=True)
class _Case:
    """The recipe, data and settings of a check.

    Attributes:
        make: Creates the recipe.
        data: Labelled data.
        folder: The directory to write to.
        stages: The stages of each fit.
    """

    make: Callable[[], Any]
    data: Any
    folder: Path
    stages: list[Stage]

    def fit(self, recipe: Any, name: str | None, **settings: Any) -> Any:
        """Fit a recipe with the settings that all fits share."""
        plain = {"batch_size": 8, "verbose": 0, "finish": Finish(report=False)}
        given = {"stages": self.stages, **plain, **settings}
        run_dir = None if name is None else self.folder / name
        return recipe.fit(self.data, self.data, run_dir=run_dir, **given)

    @cached_property
    def pair(self) -> tuple[Any, Any]:
        """Two recipes that must be equal, and that the first fits without and with a cache train."""
        return self.make(), self.make()

    @cached_property
    def whole(self) -> tuple[Any, Any]:
        """A recipe and its uninterrupted run without a cache, which several steps use."""
        recipe = self.pair[0]
        return recipe, self.fit(recipe, "whole", cache=False, finish=Finish())


def check_recipe(
    make: Callable[[], Any],
    data: Any,
    *,
    directory: Any = None,
    leave_out: Collection[str] = (),
) -> None:
    """Check step by step that a recipe fulfils the contract of kft's recipes.

    Args:
        make: Creates the recipe; each call must create an equal one. A class is enough if all
            arguments have defaults, otherwise pass for example `lambda: MyRecipe(num_classes=2)`.
        data: Labelled data as for `fit`; two dozen examples are enough.
        directory: The directory for runs. Defaults to a temporary directory.
        leave_out: Names from `STEPS` to skip, such as `{"export"}` for a class in a notebook, which
            another process cannot import.

    Raises:
        ContractError: If a promise is broken; the message names the step.
        InputError: If a name is not a step, or kft itself refuses the recipe.

    Example:

    ```python
    def test_my_recipe():
        kft.testing.check_recipe(lambda: MyRecipe(num_classes=2), (images, labels))
    ```
    """
    unknown = sorted(set(leave_out) - STEPS.keys())
    if unknown:
        raise InputError(f"`leave_out={unknown}`: pass some of {', '.join(map(repr, STEPS))}.")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder if directory is None else directory)
        stages = [Stage(0, 2, 1e-3, name="head"), Stage("all", 1, 1e-4, name="all")]
        case = _Case(make, data, place, stages)
        for name, step in STEPS.items():
            if name not in leave_out:
                step(case)


def _plan(case: _Case) -> None:
    one, other = case.pair
    require(one is not other, "plan", "`make` returned the same recipe twice: make a new one")
    first, second = weights_of(one.model), weights_of(other.model)
    require(
        equal(first, second),
        "plan",
        "two recipes with the same seed start from different weights: pass seeds to initializers, or "
        "draw from `keras.random` with the recipe's seed",
    )
    head = find_anatomy(one.model).head
    require(head.weights, "plan", "the head has no weights to train")
    str(plan_table(one.model, one.usual_stages()))


def _cache(case: _Case) -> None:
    """Compare losses, not weights: Adam amplifies the rounding errors of a gradient of zero to steps."""
    plain = case.whole[1].history["loss"]
    kept = case.fit(case.pair[1], None, cache=True).history["loss"]
    require(
        len(plain) == len(kept) and np.allclose(plain, kept, rtol=1e-3),
        "cache",
        f"training on kept features has the losses {kept}, without them {plain}: something below the "
        "head is random or has state other than weights",
    )


def _resume(case: _Case) -> None:
    whole, killed, resumed = case.whole[0], case.make(), case.make()
    settings = {"resume": Resume(every="epoch"), "cache": False}
    end_in_second_epoch(lambda ending: case.fit(killed, "killed", callbacks=[ending], **settings))
    case.fit(resumed, "killed", **settings)
    require(
        equal(weights_of(whole.model), weights_of(resumed.model)),
        "resume",
        "a fit that was killed and resumed ends with other weights: a layer, a loss or `load` keeps "
        "state or draws random numbers without a Keras seed generator",
    )


def _outcome(case: _Case) -> None:
    recipe, run = case.whole
    evaluation = run.evaluation
    require(evaluation is not None, "outcome", "the run has no evaluation, see the warning above")
    require(str(evaluation).strip(), "outcome", "the evaluation prints no text")
    json.dumps(evaluation.to_dict())
    page = case.folder / "whole" / "report.html"
    require(page.is_file(), "outcome", "the run has no page, see the warning above")
    inputs = recipe.read(case.data).inputs
    rows = keras.tree.map_structure(lambda values: values[:3], inputs)
    predictions = recipe.predict(rows)
    require(len(predictions) == 3, "outcome", "`predict` did not answer each of three inputs")
    lengths = {name: len(column) for name, column in predictions.columns().items()}
    require(
        set(lengths.values()) == {3}, "outcome", f"the columns of predictions are {lengths} long"
    )
    require(str(predictions).strip(), "outcome", "the predictions print no text")
    own = own_classes(recipe.task)
    loaded: Any = load(case.folder / "whole", recipe=type(recipe), task=own)
    require(
        equal(weights_of(recipe.model), weights_of(loaded.model)),
        "outcome",
        "a loaded recipe has other weights",
    )
    require(
        str(loaded.predict(rows)) == str(predictions),
        "outcome",
        "a loaded recipe answers differently: keep what `learn` finds in `state()`, and arguments as "
        "attributes of the same names",
    )


def _export(case: _Case) -> None:
    recipe = case.make()
    case.fit(recipe, None)
    recipe.export(case.folder / "serving")


def _tune(case: _Case) -> None:
    search = case.make().tune(
        case.data,
        case.data,
        run_dir=case.folder / "search",
        max_trials=2,
        stages=case.stages,
        batch_size=8,
        verbose=0,
    )
    failed = [trial for trial in search.trials if trial.score is None]
    require(not failed, "tune", f"a trial failed: {failed[0].reason if failed else ''}")


STEPS: dict[str, Callable[[_Case], None]] = {
    "plan": _plan,
    "cache": _cache,
    "resume": _resume,
    "outcome": _outcome,
    "export": _export,
    "tune": _tune,
}
