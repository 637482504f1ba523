"""The steps after the stages of a fit: a temperature for the scores, and training on all data."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kft.cache.store import FeatureStore
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.joined import joined
from kft.data.trees import taken
from kft.distribution import processes
from kft.family.answers import answers
from kft.family.hooks import Family
from kft.family.planned import PlannedFit
from kft.family.policies import Finish
from kft.family.run import Run
from kft.family.training_pass import prepared, training_pass
from kft.family.warm_start import warm_start
from kft.model.values import Values, put_back, values_of
from kft.printing import how_many
from kft.stages.fresh_optimizer import fresh_copy
from kft.stages.lengths import epochs_behind

_MOST = 20_000  # examples on which a temperature is fitted


def find_temperatures(
    recipe: Family,
    data: Examples,
    batch_size: int,
    kept: tuple[keras.Model, Batches] | None,
    seed: int,
    usual: float = 1.0,
) -> dict[str, float]:
    """Return the temperatures of a recipe's heads, by the names of their layers.

    Args:
        recipe: The trained recipe.
        data: Examples that it was not trained on; of more than 20,000 a random 20,000 are used.
        batch_size: Examples per step.
        kept: As for `kft.family.answers.answers`.
        seed: Seed that selects the examples.
        usual: The temperature to expect. Defaults to 1.
    """
    counts = np.zeros(len(data), bool)
    counts[np.random.default_rng(seed).permutation(len(data))[:_MOST]] = True
    pairs, done = [], 0
    for targets, outputs, _ in answers(recipe, data, batch_size, kept):
        rows = counts[done : done + len(keras.tree.flatten(targets)[0])]
        done += len(rows)
        pairs.append((taken(targets, rows), taken(outputs, rows)))
    targets, outputs = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *pairs)
    return processes.from_first(recipe.task.temperatures(recipe.model, outputs, targets, usual))


def divide_scores(model: keras.Model, temperatures: Mapping[str, float]) -> None:
    """Divide the outputs of Dense layers by their temperatures."""
    for name, value in temperatures.items():
        layer = model.get_layer(name)
        layer.set_weights([weight / np.float32(value) for weight in layer.get_weights()])


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """The state of the model and the optimizer before a fit.

    Attributes:
        values: The model's variables, including those of random number generators, and their values.
        optimizer: A copy of the optimizer that was passed to `fit`, before its first step; None for the
            default one, or without a final training on all data.
    """

    values: Values
    optimizer: keras.optimizers.Optimizer | None

    @classmethod
    def of(cls, planned: PlannedFit) -> Start:
        """Record the state before a fit begins."""
        variables, settings = planned.recipe.model.variables, planned.settings
        optimizer = settings.optimizer if settings.finish.refit else None
        if optimizer is not None:
            optimizer = fresh_copy(optimizer, [(one, one) for one in variables])
        return cls(values_of(variables), optimizer)


def refit(planned: PlannedFit, run: Run, start: Start, store: FeatureStore) -> dict[str, Any]:
    """Train the model once more from the start, on training and validation data together.

    Args:
        planned: The fit.
        run: The result of the fit.
        start: The state that the fit began with.
        store: The store of frozen features.

    Returns:
        What the report shows of it: `examples`, `epochs` by stage and `seconds`.
    """
    began = time.perf_counter()
    settings, best = planned.settings, (run.journal or {}).get("best")
    stages = epochs_behind(settings.stages, run.history, best)
    assert isinstance(planned.train, Examples)
    assert isinstance(planned.validation, Examples)
    everything = joined(planned.train, planned.validation)
    again = dataclasses.replace(
        planned,
        train=everything,
        validation=None,
        directory=planned.directory.for_refit(),
        settings=dataclasses.replace(
            settings,
            stages=tuple(stages),
            early_stopping=None,
            restore_best=None,
            monitor=None,
            tolerance=None,
            interpolate=False,
            callbacks=(),
            optimizer=start.optimizer,
            finish=Finish(calibrate=False, refit=False, report=False),
        ),
    )
    put_back(start.values)
    title = (
        f"Training again on all {how_many(len(everything), 'example')}, validation data included."
    )
    share = None if best is None else best.get("share")
    optimizer = prepared(again)
    warm_start(again)
    with training_pass(again, store, optimizer, title, share) as fit:
        fit.run()
    return {
        "examples": len(everything),
        "epochs": [stage.epochs for stage in stages],
        "seconds": time.perf_counter() - began,
    }
