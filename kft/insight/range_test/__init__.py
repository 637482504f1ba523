"""The learning-rate range test: which rates suit a stage, tried before training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import keras

from kft.arguments import (
    check_choice,
    check_training,
    check_verbose,
    check_whole,
    is_number,
    shown,
)
from kft.arguments.calls import checked_call
from kft.data.balance import check_balance
from kft.data.examples import Examples
from kft.data.plain_errors import plain_errors
from kft.errors import InputError
from kft.family.known import title_of
from kft.family.usual import usual_plan
from kft.insight.given import check_recipe
from kft.insight.range_test.batches import model_batches, recipe_batches, recipe_data
from kft.insight.range_test.restoring import restored
from kft.insight.range_test.result import LearningRates
from kft.insight.range_test.solved import solve_head, stages_for
from kft.insight.range_test.sweep import Sweep
from kft.insight.range_test.trainer import planned_stages, trainers_for_model, trainers_for_recipe
from kft.model import graph
from kft.printing import name_of
from kft.stages.lengths import USUAL_BATCH
from kft.stages.optimizer import check_optimizer
from kft.stages.plan import BatchNorm
from kft.stages.stage import Stage, checked_stages

if TYPE_CHECKING:
    from kft.family.hooks import Family

__all__ = ["LearningRates", "find_learning_rate"]


@checked_call
def find_learning_rate(
    recipe_or_model: Family | keras.Model,
    data: Any,
    stages: Sequence[Stage] | None = None,
    *,
    validation_data: Any = 0.2,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    settle: int | None = None,
    batch_size: int | Literal["auto"] = "auto",
    optimizer: keras.optimizers.Optimizer | None = None,
    batch_norm: BatchNorm = "frozen",
    balance: str | None = None,
    augment: Any = None,
    smoothing: float = 0.9,
    divergence: float = 4.0,
    seed: int = 0,
    verbose: int | str = "auto",
) -> LearningRates:
    """Try rising learning rates on each stage, and suggest one.

    The range test of Smith 2017 (https://arxiv.org/abs/1506.01186): the rate rises exponentially,
    one step per rate, until the loss diverges. The rates of all groups of a stage rise together, in
    the ratio of its `layer_decay`. A stage starts from where the earlier ones would have led: each
    test is followed by `settle` steps at the rate found, and a first stage that solves the head does so
    before the tests.

    Afterwards everything is restored to the last bit: weights, BatchNorm statistics, seed generators,
    `trainable` flags, the optimizer and compiled functions, Python's and NumPy's random states, and
    what a recipe knows about its data.

    Args:
        recipe_or_model: A recipe, fitted or not, or a compiled functional model.
        data: For a recipe as `train` of `fit`; for a model `(x, y)` or `(x, y, sample_weight)`
            arrays, a batched `tf.data.Dataset` or a `PyDataset`.
        stages: `kft.Stage`s; their rates and epochs do not matter. Defaults to those of a `fit` on the
            same data; for a model to a single test of the weights that train now. A first stage that
            solves the head has no rate: it is not tested, and remains the first of the returned
            stages.
        validation_data: For a recipe as in `fit`. A fraction is split off and left out; other data
            are ignored. Defaults to 0.2.
        lowest: The first rate of the head. Defaults to 1e-7.
        highest: The last rate. Defaults to 10.
        steps: Rates per stage, one batch each, at least 10. Defaults to 100.
        settle: Steps at the rate found before the test of the next stage; 0 tests every stage from
            the current weights. Defaults to `steps`.
        batch_size: Examples per step, for data that are not batched yet. `"auto"` is that of the same
            `fit`: 32, but with its default stages few enough for 10 steps per epoch, at least 8.
        optimizer: The optimizer to copy. Defaults to the compiled one of a model, and the default
            one of a recipe's `fit`.
        batch_norm: As in `kft.callbacks.StagedUnfreezing`.
        balance: For a recipe as in `fit`.
        augment: For a recipe as in `fit`.
        smoothing: The weight of the running average of the loss in each step, from 0 to below 1.
            Defaults to 0.9.
        divergence: A test ends when the loss has risen from its lowest value by more than this
            number minus one, times that value or its fall so far, whichever is larger. Defaults to 4.
        seed: Seed of the order of the examples, and of augmentation. Defaults to 0.
        verbose: How progress is shown on standard error: 0 not at all, 1 as a bar, 2 as a line
            every half minute. `"auto"` shows the bar at a terminal or in a notebook, and lines
            elsewhere.

    Returns:
        A test for each stage: prints as a table, draws by `plot()`, and returns the stages with the
        rates found by `stages()`.

    Raises:
        InputError: If an argument or the data are wrong, or the model is not compiled, is
            subclassed, or has its own `train_step`.
        KftError: If the loss is not finite at the lowest rate.

    Example:

    ```python
    found = kft.find_learning_rate(recipe, "photos")
    print(found)
    run = recipe.fit("photos", stages=found.stages())
    ```
    """
    chosen = None if isinstance(batch_size, str) and batch_size == "auto" else batch_size
    check_training(batch_size=USUAL_BATCH if chosen is None else chosen, seed=seed)
    _check_sweep(lowest, highest, steps, settle, smoothing, divergence)
    check_choice("batch_norm", batch_norm, get_args(BatchNorm))
    check_optimizer(optimizer)
    check_balance(balance)
    check_verbose(verbose)
    sweep = Sweep(lowest, highest, steps, smoothing, divergence, verbose)
    settle = steps if settle is None else settle
    if isinstance(recipe_or_model, keras.Model):
        model = _checked(recipe_or_model)
        if balance is not None or augment is not None:
            raise InputError("`balance` and `augment` are for recipes: pass data that have both.")
        with restored(model):
            batches = model_batches(data, chosen or USUAL_BATCH, seed)
            trainer = trainers_for_model(model, optimizer)
            planned = planned_stages(model, stages, batch_norm)
            return LearningRates(name_of(model), sweep.run(trainer, planned, batches, settle))
    check_recipe(recipe_or_model, or_model=True)
    recipe = recipe_or_model
    model = _checked(recipe.model)
    with restored(model, recipe), plain_errors():
        augmentation = recipe.augmentation(augment)
        read = recipe_data(recipe, data, validation_data, seed)
        size, usual = usual_plan(recipe, read, chosen)
        if stages is not None:
            size, usual = chosen or USUAL_BATCH, checked_stages(stages)
        if isinstance(read, Examples):
            recipe.learn(read)
        first, stepping = stages_for(recipe, read, usual)
        batches = recipe_batches(recipe, read, size, balance, augmentation, seed)
        trainer = trainers_for_recipe(recipe, optimizer)
        planned = planned_stages(model, stepping, batch_norm)
        title = f"{title_of(recipe)}, weights: {recipe.starting_weights}"
        if first is not None:
            solve_head(recipe, read, steps * size, size, balance, seed)
        tests = sweep.run(trainer, planned, batches, settle)
        known: Any = size if isinstance(read, Examples) else "auto"
        return LearningRates(title, tests, first, known)


def _check_sweep(
    lowest: Any, highest: Any, steps: Any, settle: Any, smoothing: Any, divergence: Any
) -> None:
    if not (is_number(lowest) and is_number(highest) and 0 < lowest < highest):
        raise InputError(
            f"`lowest={shown(lowest)}`, `highest={shown(highest)}`: pass finite rates with "
            "0 < lowest < highest."
        )
    check_whole("steps", steps, "rates", least=10)
    if settle is not None:
        check_whole("settle", settle, "steps", least=0)
    if not (is_number(smoothing) and 0 <= smoothing < 1):
        raise InputError(f"`smoothing={shown(smoothing)}`: pass a fraction from 0 to below 1.")
    if not (is_number(divergence) and divergence > 1):
        raise InputError(f"`divergence={shown(divergence)}`: pass a finite number above 1.")


def _checked(model: keras.Model) -> keras.Model:
    if not graph.is_functional(model):
        raise InputError(
            f"Model {model.name!r} is subclassed or not built: pass a functional or a built "
            "Sequential model, or a recipe."
        )
    if type(model).train_step is not keras.Model.train_step:
        raise InputError(
            f"{type(model).__name__} overrides `train_step`, which a range test would "
            "ignore: pass a model that trains as keras.Model does."
        )
    return model
