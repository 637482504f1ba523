"""Fitting any compiled model in stages, with frozen work done once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np

from kft.arguments import check_choice, check_training, check_verbose, shown
from kft.arguments.calls import checked_call
from kft.cache.settings import Cache
from kft.cache.store import opened_store
from kft.callbacks import RunCheckpoint, StagedUnfreezing
from kft.callbacks.staged_unfreezing import RestoreBest
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.sequences import as_rows, numeric
from kft.data.targets import TargetKind
from kft.errors import InputError
from kft.stages.plan import BatchNorm, plan
from kft.stages.solving import refuse_solving
from kft.stages.stage import Stage, checked_stages
from kft.stages.table import plan_table
from kft.training.cached_stages import decide
from kft.training.staged import check_callbacks, run_stages


@checked_call
def fit_in_stages(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    stages: Sequence[Stage],
    validation_data: tuple[np.ndarray, np.ndarray] | None = None,
    early_stopping: keras.callbacks.EarlyStopping | None = None,
    restore_best: RestoreBest | Literal["auto"] = "auto",
    monitor: str | tuple[str, str] | None = None,
    batch_norm: BatchNorm = "frozen",
    batch_size: int = 32,
    cache: Cache | bool | str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    seed: int = 0,
    verbose: int | str = "auto",
) -> keras.callbacks.History:
    """Fit a compiled model in stages, running the layers that a stage freezes only once over the data.

    The result is that of `model.fit` with `kft.callbacks.StagedUnfreezing`, up to rounding, since
    operations may run in another order. Each stage is cut at the deepest tensors below which
    nothing trains; the part below runs once, its outputs go to disk, and the part above trains on
    them, while callbacks see the whole model.

    Args:
        model: A compiled functional model. Its parts are compiled with its compile configuration.
        x: Inputs `[n, ...]`.
        y: Targets `[n, ...]`, as the model's loss takes them.
        stages: The stages.
        validation_data: Inputs and targets to validate on.
        early_stopping: Ends a stage, as for `StagedUnfreezing`.
        restore_best: Which weights stages and the fit end with, as for `StagedUnfreezing`.
        monitor: The metric that compares epochs, as for `StagedUnfreezing`.
        batch_norm: What BatchNorm layers do, as for `StagedUnfreezing`.
        batch_size: Examples per step. Defaults to 32.
        cache: `"auto"` caches where it saves time, True wherever results stay the same, False never;
            a `kft.Cache` also names the directory, in which later calls find the features again.
        callbacks: Keras callbacks. With a `kft.callbacks.RunCheckpoint` among them the fit can resume.
        seed: Seed of the order of the examples, which changes every epoch.
        verbose: As for the `fit` of a recipe: 0 prints nothing, 1 follows the steps, 2 prints a line
            per epoch.

    Returns:
        One history over all stages.

    Raises:
        InputError: An argument is invalid, or the stages do not suit the model.

    Example:

    ```python
    history = kft.fit_in_stages(model, x, y, stages=stages, validation_data=(x_val, y_val))
    ```
    """
    kept = Cache.of(cache)
    _check(model, kept, batch_norm, verbose)
    check_training(batch_size=batch_size, seed=seed)
    check_callbacks(callbacks)
    stages = checked_stages(stages)
    refuse_solving(stages, "fit_in_stages")
    train, held_out = _examples(x, y, "x and y"), _held_out(validation_data)
    unfreezing = StagedUnfreezing(
        stages,
        early_stopping,
        batch_norm=batch_norm,
        restore_best=restore_best,
        monitor=monitor,
        verbose=int(verbose != 0),
    )
    batches = Batches(train, np.asarray, batch_size=batch_size, seed=seed, shuffle=True)
    planned, settings = plan(model, stages, batch_norm), model.get_compile_config()
    resumes = any(isinstance(one, RunCheckpoint) for one in callbacks)
    with opened_store(kept.path, kept.dtype, verbose) as store:
        decisions = decide(
            model,
            planned,
            store,
            examples=len(train) + (0 if held_out is None else len(held_out)),
            augments=False,
            cache=kept.on if settings else False,
            # A fit that resumes could not know what a measurement had decided.
            sample=None if resumes else lambda: batches[0][0],
        )
        if verbose != 0:
            print(plan_table(model, stages, batch_norm, cache=[one.reason for one in decisions]))
        return run_stages(
            model,
            batches,
            None if held_out is None else Batches(held_out, np.asarray, batch_size=batch_size),
            unfreezing=unfreezing,
            stages=decisions,
            store=store,
            compile_like=lambda part: part.compile_from_config(settings),
            identity="arrays",
            callbacks=callbacks,
            verbose=verbose,
        )


def _check(model: Any, cache: Cache, batch_norm: str, verbose: Any) -> None:
    """Check that the model and the settings can be used."""
    if cache.views:
        raise InputError(
            f"`cache=kft.Cache(views={cache.views})` keeps augmented inputs, and `fit_in_stages` changes "
            "none: leave it out."
        )
    check_choice("batch_norm", batch_norm, get_args(BatchNorm))
    check_verbose(verbose)
    if not isinstance(model, keras.Model):
        raise InputError(f"`model={shown(model)}`: pass a compiled Keras model.")
    if not model.compiled:
        raise InputError("The model is not compiled: call model.compile(...) first.")


def _held_out(validation_data: Any) -> Examples | None:
    if validation_data is None:
        return None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise InputError("`validation_data` is not a pair: pass inputs and targets, (x, y).")
    x, y = validation_data
    return _examples(x, y, "validation_data")


def _examples(x: Any, y: Any, name: str) -> Examples:
    x, y = _array(x, f"the inputs of {name}"), _array(y, f"the targets of {name}")
    if not len(x) or len(x) != len(y):
        raise InputError(
            f"`{name}` have {len(x)} inputs and {len(y)} targets: pass one target for each input."
        )
    return Examples("arrays", x, y, None, name, task=TargetKind())


def _array(values: Any, name: str) -> np.ndarray:
    rows = as_rows(values, name)
    array = rows if isinstance(rows, np.ndarray) else numeric(rows)
    if array is None or array.dtype.hasobject:
        raise InputError(
            f"{name} are not an array of numbers: pass one row of numbers per example."
        )
    return array
