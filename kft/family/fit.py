"""The steps of one fit: train, finish, save, evaluate, report."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import keras

from kft.cache.store import FeatureStore
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.distribution import processes
from kft.family import run_files
from kft.family.answers import evaluate_held_out
from kft.family.finishing import Start, divide_scores, find_temperatures, refit
from kft.family.planned import PlannedFit
from kft.family.raw_examples import raw_examples
from kft.family.reopening import load_finished
from kft.family.run import Run, with_warm_start
from kft.family.training_pass import prepared, training_pass
from kft.family.warm_start import warm_start
from kft.model.values import put_back
from kft.printing import listed_numbers
from kft.runs.places import REPORT
from kft.runs.signals import deferred_signals, end_if_signalled
from kft.training.contrastive import USUAL_TEMPERATURE

_T = TypeVar("_T")
_Kept = tuple[keras.Model, Batches] | None

# What is safe when a step after the training of the stages fails.
_TRAINED = "The stages are trained and the fit continues"
_IN_MEMORY = "The run is finished and the recipe has its weights"
_ON_DISK = "The run is finished and its weights are kept"


def loaded(planned: PlannedFit) -> Run:
    """Load a finished run into its recipe, and complete it if its page is missing."""
    path = planned.directory.path
    assert path is not None
    run = load_finished(planned.recipe, path, verbose=planned.settings.verbose)
    run = dataclasses.replace(run, training=planned.train, validation=planned.validation)
    if not planned.settings.finish.report or os.path.isfile(path / REPORT):
        return run
    if "refit" in (run.journal or {}):
        warnings.warn(
            f"{path} has no page, and its model has been trained on its validation data since: pass "
            f"others to `kft report {path} --data DATA`.",
            stacklevel=3,
        )
        return run
    return _with_page(planned, _evaluated(planned, run, None, is_kept=True))


def trained(planned: PlannedFit) -> Run:
    """Train and save the weights, then evaluate and write the page.

    A temperature or training on all data comes before saving, together with the evaluation that they
    need; until the weights are saved the last commit has them. A failure after the training is only a
    warning, so that no page costs a trained model. Training that fails or is interrupted restores the
    weights that the recipe had before.

    Raises:
        NonFiniteLossError: If the loss is not a finite number.
        Interrupted: After SIGTERM or SIGINT, once the state is committed.
    """
    recipe, finish = planned.recipe, planned.settings.finish
    optimizer = prepared(planned)
    recipe.distances = None
    if isinstance(planned.train, Examples):
        recipe.raw_examples = raw_examples(recipe, planned.train) if finish.keep_examples else []
    needs = 4 * recipe.model.count_params()
    cache = planned.settings.cache
    verbose = planned.settings.verbose
    with planned.directory.held(cache.path, cache.dtype, needs, verbose) as store:
        start = Start.of(planned)
        before = recipe.is_fitted, recipe.loaded_from, recipe.origin
        thresholds = recipe.thresholds
        first = finish.calibrate or finish.refit or _finds_thresholds(planned)
        try:
            recipe.use_thresholds({})
            warmed = warm_start(planned)
            with training_pass(planned, store, optimizer) as fit:
                run = with_warm_start(fit.run(), warmed)
                kept = fit.kept_part() if finish.report or finish.calibrate else None
            recipe.is_fitted, recipe.loaded_from = True, None  # the weights are back on one device
            recipe.origin = {"plan": planned.plan, "history": run.history}
            if first:
                run = _finished(planned, run, kept, start, store)
        except BaseException:  # a repeated call, resumed or not, must begin like this one
            put_back(start.values)
            recipe.is_fitted, recipe.loaded_from, recipe.origin = before
            recipe.use_thresholds(thresholds)
            raise
        draws = first and run.evaluation is not None  # a refit would change what the page shows
        draw = (lambda folder: _write_page(run, folder, _TRAINED)) if draws else None
        with deferred_signals():
            planned.directory.keep(lambda: run_files.keep(run, planned.plan, draw))
        end_if_signalled()
        if first or not finish.report:
            return run
        return _with_page(planned, _evaluated(planned, run, kept, is_kept=True))


def _finished(planned: PlannedFit, run: Run, kept: _Kept, start: Start, store: FeatureStore) -> Run:
    """Find a temperature and thresholds, evaluate, and train on all data, as far as requested."""
    recipe, settings, data = planned.recipe, planned.settings, planned.validation
    noted: dict[str, Any] = dict(run.journal or {})
    temperatures: dict[str, float] = {}
    calibrates = settings.finish.calibrate and recipe.task.calibrates(recipe.model)
    if calibrates and isinstance(data, Examples):
        usual = USUAL_TEMPERATURE if settings.contrast else 1.0
        found = _attempt(
            _TRAINED,
            "finding the temperature of its scores",
            "finish=kft.Finish(calibrate=True) in another run_dir",
            lambda: find_temperatures(
                recipe, data, settings.batch_size, kept, settings.seed, usual
            ),
        )
        temperatures = found or {}
        divide_scores(recipe.model, temperatures)
    if temperatures:
        noted["temperature"] = temperatures
        _say(planned, f"Scores are divided by a temperature of {listed_numbers(temperatures)}")
    if settings.finish.report:
        run = _evaluated(planned, run, kept, is_kept=False)
        if _finds_thresholds(planned) and _use_best_thresholds(planned, run):
            noted["thresholds"] = recipe.thresholds
            run = _evaluated(planned, run, kept, is_kept=False)
    if settings.finish.refit:
        noted["refit"] = refit(planned, run, start, store)
        divide_scores(recipe.model, temperatures)
    return dataclasses.replace(run, journal=noted)


def _use_best_thresholds(planned: PlannedFit, run: Run) -> bool:
    """Answer with the thresholds that an evaluation finds best; return whether it finds any."""
    task, evaluation = planned.recipe.task, run.evaluation
    if evaluation is None:
        return False
    found = _attempt(
        _TRAINED,
        "finding the thresholds of its answers",
        "a fit in another run_dir",
        lambda: processes.from_first(task.thresholds(evaluation)),
    )
    if found:
        planned.recipe.use_thresholds(found)
        _say(planned, f"Threshold of the answers: {listed_numbers(found)}")
    return bool(found)


def _say(planned: PlannedFit, finding: str) -> None:
    if planned.settings.verbose != 0:
        print(f"{finding}, found on the validation data.")


def _finds_thresholds(planned: PlannedFit) -> bool:
    """Return whether the task's thresholds are to be found on the validation data."""
    finish, data = planned.settings.finish, planned.validation
    return finish.report and data is not None and planned.recipe.task.finds_thresholds


def _evaluated(planned: PlannedFit, run: Run, kept: _Kept, *, is_kept: bool) -> Run:
    """Evaluate a trained run on its validation data; warn if that fails."""
    path, data, settings = planned.directory.path, planned.validation, planned.settings
    assert data is not None
    state = _TRAINED
    if is_kept:
        state = _IN_MEMORY if path is None else _ON_DISK
    evaluation = _attempt(
        state,
        "evaluating the run",
        "`recipe.evaluate(data)`" if path is None else f"`kft evaluate {path} --data DATA`",
        lambda: evaluate_held_out(
            planned.recipe, data, settings.batch_size, kept, settings.seed, settings.verbose
        ),
    )
    return dataclasses.replace(run, evaluation=evaluation)


def _with_page(planned: PlannedFit, run: Run) -> Run:
    """Write the page of a run whose weights are saved."""
    path = planned.directory.path
    if path is None or run.evaluation is None:
        return run
    journal = processes.on_first(lambda: _write_page(run, path, _ON_DISK))
    return run if journal is None else dataclasses.replace(run, journal=journal)


def _write_page(run: Run, folder: Path, state: str) -> Mapping[str, Any] | None:
    """Write the page of a run to a folder, and return its journal; warn if that fails."""
    return _attempt(
        state,
        "writing the page of the run",
        f"`kft report {run.run_dir} --data DATA`",
        lambda: run_files.add_page(run, folder),
    )


def _attempt(state: str, what: str, again: str, function: Callable[[], _T]) -> _T | None:
    """Return the result of a function, or turn its exception into a warning with a way out.

    Args:
        state: What is safe already.
        what: What the function does.
        again: How to repeat it.
        function: The function.
    """
    try:
        return function()
    except Exception as error:  # the training is worth more than whatever failed
        warnings.warn(
            f"{state}, but {what} failed with {type(error).__name__}: {error} To repeat it: {again}.",
            stacklevel=3,
        )
        return None
