"""A search from beginning to end; `Recipe.tune` calls it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from kft.arguments import check_choice, check_training, check_verbose, path_of
from kft.cache.settings import CACHING
from kft.callbacks.stage_early_stopping import describe_rule
from kft.data.examples import Examples
from kft.distribution.refusals import refuse_search
from kft.distribution.strategies import resolve
from kft.errors import InputError
from kft.family.description import class_path
from kft.family.fit_data import is_fraction, read_both
from kft.family.hooks import Family
from kft.family.policies import Resume
from kft.family.settings import CHOICES, as_json, stopping_rule
from kft.runs.atomic import try_writing
from kft.runs.differences import plan_difference
from kft.runs.files import writing_to
from kft.runs.json_files import read_json, write_json
from kft.runs.places import check_apart_from_data, is_empty
from kft.runs.reading import check_tree
from kft.stages.stage import Stage, write_stages
from kft.tuning.best_plan import Asked
from kft.tuning.bounds import Bounds
from kft.tuning.hypermodel import StagedHyperModel
from kft.tuning.oracles import ALGORITHMS, hyperband_units, make_oracle
from kft.tuning.result import STAGES, Search
from kft.tuning.sharing import why_little_is_shared
from kft.tuning.space import declare, default_space
from kft.tuning.tuner import all_failed
from kft.tuning.workers import Workers

SEARCH = "search.json"
PRUNE = ("median",)


def search(
    recipe: Family,
    train: Any,
    validation_data: Any,
    *,
    run_dir: str | os.PathLike,
    max_trials: int,
    max_seconds: float | None,
    max_epochs: int | None,
    workers: int | None,
    host: str | None,
    prune: str | None,
    algorithm: str,
    space: Any,
    objective: Any,
    stages: Sequence[Stage] | None,
    early_stopping: Any,
    seed: int,
    resume: Resume | None,
    distribution: Any,
    on_bad_example: str,
    verbose: int | str,
    **settings: Any,
) -> Search:
    """As `Recipe.tune`, which documents the arguments; `settings` are those that trials share."""
    check_training(batch_size=settings["batch_size"], seed=seed)
    is_fraction(validation_data)
    bounds = Bounds(max_trials, max_seconds, max_epochs)
    check_choice("prune", prune, (None, *PRUNE))
    check_choice("algorithm", algorithm, ALGORITHMS)
    check_choice("on_bad_example", on_bad_example, CHOICES["on_bad_example"])
    check_choice("cache", settings["cache"], CACHING)
    for name in CHOICES.keys() & settings.keys():
        check_choice(name, settings[name], CHOICES[name])
    check_verbose(verbose)
    resume = Resume.of(resume)
    resolve(distribution)
    refuse_search()
    stopping_rule(early_stopping)
    run_dir = path_of("run_dir", run_dir)
    check_apart_from_data({"run_dir": run_dir}, (train, validation_data))
    search_workers = Workers.of(workers, host, run_dir)
    hypermodel = StagedHyperModel(
        recipe, space, stages=stages, objective=objective, share_backbone=True
    )
    hyperparameters = keras_tuner.HyperParameters()
    if space is None and algorithm == "grid":
        default_space(hyperparameters, recipe, coarse=True)
        hypermodel.space = hyperparameters.copy()
    else:
        declare(hyperparameters, space, recipe)
    oracle = make_oracle(
        algorithm,
        objective=hypermodel.objective,
        max_trials=max_trials,
        hyperparameters=hyperparameters,
        seed=seed,
    )
    asked = Asked.of(recipe, train, validation_data, on_bad_example)
    train, validation = read_both(recipe, train, validation_data, seed, on_bad_example)
    units = hyperband_units(max_trials) if algorithm == "hyperband" else 1
    search_workers.wait_for_chief(run_dir / SEARCH)
    _claim(
        run_dir,
        {
            "recipe": class_path(recipe),
            "arguments": recipe.arguments(),
            "train": _identity(train),
            "validation": _identity(validation),
            "algorithm": algorithm,
            "prune": prune,
            "units": units,
            "objective": [hypermodel.objective.name, hypermodel.objective.direction],
            "space": hyperparameters.get_config()["space"],
            "stages": [stage.to_dict() for stage in hypermodel.stages],
            "early_stopping": _described(early_stopping),
            "seed": seed,
            **settings,
        },
    )
    say = print if verbose else lambda line: None
    slow = why_little_is_shared(recipe, hypermodel.stages, settings["batch_norm"])
    if slow is not None and not search_workers.is_worker:
        say(slow)
    shared = {**settings, "early_stopping": early_stopping, "seed": seed}
    tuner = search_workers.tuner(
        oracle,
        hypermodel,
        run_dir,
        settings={**shared, "resume": resume, "distribution": distribution},
        units=units,
        prune=prune == "median",
        bounds=bounds,
        say=say,
        verbose="auto" if verbose else 0,
    )
    if verbose:
        print(f"Weights: {recipe.starting_weights}")
    try:
        with search_workers.alone_in(run_dir), warnings.catch_warnings():
            # Of a Gaussian process over a handful of trials there is nothing else to be expected.
            warnings.filterwarnings("ignore", module=r"sklearn\.gaussian_process")
            stopped = search_workers.search(tuner, train, validation)
    finally:
        tuner.garbage.close()
    if tuner.best is None:
        raise all_failed(tuner.trials)
    if search_workers.concludes and stopped is None and len(oracle.trials) < max_trials:
        stopped = "the space has no other trial"
    outcome = Search(
        recipe=recipe,
        objective=hypermodel.objective,
        trials=tuple(sorted(tuner.trials, key=lambda trial: trial.number)),
        run_dir=run_dir,
        stopped=stopped,
        data=(train, validation),
        settings=shared,
        asked=asked,
    )
    if search_workers.concludes:
        write_stages(run_dir / STAGES, outcome.best_stages)
        outcome.report()
    return outcome


def _claim(run_dir: Path, plan: dict[str, Any]) -> None:
    """Makes the directory this search's own, or finds that it is.

    Raises:
        InputError: it belongs to another search, or holds something else.
    """
    path = run_dir / SEARCH
    plan = as_json(plan)
    if not path.exists():
        if run_dir.exists() and not (run_dir.is_dir() and is_empty(run_dir)):
            raise InputError(
                f"`run_dir={str(run_dir)!r}` holds files, but no search: pass a new directory."
            )
        try_writing(run_dir)
        hidden = run_dir / f".{SEARCH}"
        with writing_to(run_dir):
            write_json(hidden, plan)
            hidden.replace(path)
        return
    check_tree(run_dir)
    difference = plan_difference(read_json(path), plan)
    if difference:
        raise InputError(
            f"`run_dir={str(run_dir)!r}` belongs to another search: {'; '.join(difference)}. Pass "
            "another run_dir, or the same settings; max_trials and the other bounds may change."
        )


def _identity(data: Any) -> dict[str, Any]:
    if isinstance(data, Examples):
        return {"examples": len(data), "sha256": data.fingerprint()}
    return {"stream": data.source}


def _described(early_stopping: Any) -> Any:
    if isinstance(early_stopping, keras.callbacks.EarlyStopping):
        return describe_rule(early_stopping)
    return early_stopping
