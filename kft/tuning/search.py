"""The implementation of `Recipe.tune`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras_tuner

from kft.arguments import is_number
from kft.data.dataset_parts import sources
from kft.data.examples import Examples
from kft.distribution.refusals import refuse_search
from kft.errors import InputError
from kft.family.description import class_path
from kft.family.fit_data import is_fraction, read_both, read_training
from kft.family.hooks import Family
from kft.family.policies import Resume
from kft.family.settings import as_json
from kft.printing import how_many
from kft.runs.atomic import try_writing
from kft.runs.differences import plan_difference
from kft.runs.files import writing_to
from kft.runs.json_files import read_json, write_json
from kft.runs.places import check_apart_from_data, is_empty
from kft.runs.reading import check_tree
from kft.stages.stage import write_stages
from kft.tuning.ahead import asked_ahead
from kft.tuning.best_plan import Asked
from kft.tuning.hypermodel import StagedHyperModel
from kft.tuning.oracles import depends_on_no_score, make_oracle
from kft.tuning.parts import Part, fold_parts
from kft.tuning.result import STAGES, Search
from kft.tuning.settings import SearchSettings
from kft.tuning.sharing import why_little_is_shared
from kft.tuning.space import declare, default_space
from kft.tuning.trials import all_failed
from kft.tuning.tuner import StagedTuner
from kft.tuning.workers import Workers

SEARCH = "search.json"
FEW = 100  # validation examples; the standard error of an accuracy is then up to 5 points


def search(recipe: Family, train: Any, validation_data: Any, settings: SearchSettings) -> Search:
    """Search for the best plan; `Recipe.tune` documents the arguments."""
    _check_validation(validation_data, settings.folds)
    refuse_search()
    run_dir = settings.path
    check_apart_from_data({"run_dir": run_dir}, (train, validation_data))
    workers = Workers.of(settings.workers, settings.host, run_dir)
    hypermodel = StagedHyperModel(
        recipe,
        settings.space,
        stages=settings.stages,
        objective=settings.objective,
        share_backbone=True,
    )
    oracle = _oracle(hypermodel, settings)
    split = settings.folds is None and is_fraction(validation_data)
    train, validation_data, note = sources(train, validation_data, recipe.modality, split=split)
    asked = Asked.of(recipe, train, validation_data, settings.on_bad_example)
    data, parts = _read(recipe, train, validation_data, settings, note)
    workers.wait_for_chief(run_dir / SEARCH)
    _claim(run_dir, _identity(hypermodel, oracle, data, settings))
    if settings.verbose:
        _announce(hypermodel, settings, workers, data)
    tuner = _tuner(oracle, hypermodel, settings, workers)
    stopped = _run(tuner, parts, workers)
    if tuner.best is None:
        raise all_failed(tuner.trials)
    if workers.concludes and stopped is None and len(oracle.trials) < settings.max_trials:
        stopped = "the space has no other trial"
    outcome = Search(
        recipe=recipe,
        objective=hypermodel.objective,
        trials=tuple(sorted(tuner.trials, key=lambda trial: trial.number)),
        run_dir=run_dir,
        stopped=stopped,
        data=data,
        settings=settings.shared,
        asked=asked,
    )
    if workers.concludes:
        with writing_to(run_dir):
            write_stages(run_dir / STAGES, outcome.best_stages)
        _show(outcome)
    return outcome


def _check_validation(validation_data: Any, folds: int | None) -> None:
    """Raise `InputError` unless this is validation data, or the default with folds."""
    if folds is None:
        is_fraction(validation_data)
    elif not (is_number(validation_data) and validation_data == Asked.fraction):
        raise InputError(
            f"`folds={folds}` validates on each part of the training data in turn: leave out "
            "`validation_data`."
        )


def _read(
    recipe: Family, train: Any, validation_data: Any, settings: SearchSettings, note: str
) -> tuple[tuple[Any, Any], tuple[Part, ...]]:
    """Read the data.

    Returns:
        The training and the validation data, with folds all data and None, and the data of each fit
        of a trial.
    """
    on_bad = settings.on_bad_example
    if settings.folds is None:
        data = read_both(recipe, train, validation_data, settings.seed, on_bad, note)
        return data, (Part(*data),)
    everything = read_training(recipe, train, on_bad, note)
    return (everything, None), fold_parts(everything, settings.folds, settings.seed)


def _show(outcome: Search) -> None:
    """Write the page, and only warn if that fails, so that the result is not lost."""
    try:
        outcome.report()
    except InputError as error:
        warnings.warn(
            f"The search is finished and kept in `{outcome.run_dir}`, but its page is not written: "
            f"{error}. To repeat it: `search.report()`, or make the same call again.",
            stacklevel=2,
        )


def _oracle(hypermodel: StagedHyperModel, settings: SearchSettings) -> Any:
    """Return the oracle of the search over the declared space; the default of a grid is coarser."""
    hyperparameters = keras_tuner.HyperParameters()
    if settings.space is None and settings.algorithm == "grid":
        default_space(hyperparameters, hypermodel.recipe, coarse=True)
        hypermodel.space = hyperparameters.copy()
    else:
        declare(hyperparameters, settings.space, hypermodel.recipe)
    return make_oracle(
        settings.algorithm,
        objective=hypermodel.objective,
        max_trials=settings.max_trials,
        hyperparameters=hyperparameters,
        seed=settings.seed,
    )


def _identity(
    hypermodel: StagedHyperModel, oracle: Any, data: tuple[Any, Any], settings: SearchSettings
) -> dict[str, Any]:
    """Return everything that affects which trials a search runs and their results."""
    recipe, (train, validation) = hypermodel.recipe, data
    return {
        "recipe": class_path(recipe),
        "arguments": recipe.arguments(),
        "train": _identity_of(train),
        "validation": _identity_of(validation),
        "objective": [hypermodel.objective.name, hypermodel.objective.direction],
        "space": oracle.hyperparameters.get_config()["space"],
        "stages": [stage.to_dict() for stage in hypermodel.stages],
        **settings.identity(),
    }


def _announce(
    hypermodel: StagedHyperModel, settings: SearchSettings, workers: Workers, data: tuple[Any, Any]
) -> None:
    """Print what slows the trials down, which data they use, and which weights they start from."""
    recipe, (train, validation) = hypermodel.recipe, data
    slow = why_little_is_shared(recipe, hypermodel.stages, settings.batch_norm)
    if slow is not None and not workers.is_worker:
        print(slow)
    if isinstance(train, Examples) and train.note:
        print(train.note)
    if isinstance(validation, Examples) and len(validation) < FEW:
        print(
            f"{how_many(len(validation), 'validation example')} can hardly tell the trials apart, so the "
            "luckiest may win. folds=5 (--folds 5) compares them on all examples."
        )
    print(f"Weights: {recipe.starting_weights}")


def _tuner(
    oracle: Any, hypermodel: StagedHyperModel, settings: SearchSettings, workers: Workers
) -> StagedTuner:
    return workers.tuner(
        oracle,
        hypermodel,
        settings.path,
        settings={
            **settings.shared,
            "resume": Resume.of(settings.resume),
            "distribution": settings.distribution,
        },
        units=settings.units,
        prune=settings.prune == "median",
        bounds=settings.bounds,
        say=print if settings.verbose else lambda line: None,
        verbose="auto" if settings.verbose else 0,
        ahead=lambda: _ahead(hypermodel, settings),
    )


def _ahead(hypermodel: StagedHyperModel, settings: SearchSettings) -> list[Any]:
    """Return the hyperparameters of the first trials, up to the first that depends on a score."""
    foreseen = partial(depends_on_no_score, settings.algorithm, settings.max_trials)
    return asked_ahead(_oracle(hypermodel, settings), foreseen, hypermodel.plan)


def _run(tuner: StagedTuner, parts: Sequence[Part], workers: Workers) -> str | None:
    """Run the trials; return why they ended before the last one, None if they did not."""
    try:
        with workers.alone_in(tuner.run_dir), warnings.catch_warnings():
            # Warnings are expected from a Gaussian process that is fitted to a few trials.
            warnings.filterwarnings("ignore", module=r"sklearn\.gaussian_process")
            return workers.search(tuner, parts)
    finally:
        tuner.garbage.close()


def _claim(run_dir: Path, plan: dict[str, Any]) -> None:
    """Claim the directory for this search, or check that it belongs to it.

    Raises:
        InputError: If it belongs to another search, or holds something else.
    """
    path = run_dir / SEARCH
    plan = as_json(plan)
    if not os.path.exists(path):
        if os.path.exists(run_dir) and not (os.path.isdir(run_dir) and is_empty(run_dir)):
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


def _identity_of(data: Any) -> dict[str, Any] | None:
    if data is None:
        return None
    if isinstance(data, Examples):
        return {"examples": len(data), "sha256": data.fingerprint()}
    return {"stream": data.source}
