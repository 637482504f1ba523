"""What follows the stages of a fit: a temperature for the scores, and training on everything."""

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
from kft.printing import how_many
from kft.stages.lengths import epochs_behind

_MOST = 20_000  # examples that a temperature is found on


def found_temperatures(
    recipe: Family,
    data: Examples,
    batch_size: int,
    kept: tuple[keras.Model, Batches] | None,
    seed: int,
) -> dict[str, float]:
    """Return the temperatures of a recipe's heads, by the layers that they belong to.

    Args:
        recipe: The trained recipe.
        data: Examples that it was not trained on; of more than 20,000 a random 20,000 count.
        batch_size: Examples a step.
        kept: As for `kft.family.answers.answers`.
        seed: Decides which examples count.
    """
    counts = np.zeros(len(data), bool)
    counts[np.random.default_rng(seed).permutation(len(data))[:_MOST]] = True
    pairs, done = [], 0
    for targets, outputs, _ in answers(recipe, data, batch_size, kept):
        rows = counts[done : done + len(keras.tree.flatten(targets)[0])]
        done += len(rows)
        pairs.append((taken(targets, rows), taken(outputs, rows)))
    targets, outputs = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *pairs)
    return processes.from_first(recipe.task.temperatures(recipe.model, outputs, targets))


def divide(model: keras.Model, temperatures: Mapping[str, float]) -> None:
    """Divide what Dense layers put out by their temperatures."""
    for name, value in temperatures.items():
        layer = model.get_layer(name)
        layer.set_weights([weight / np.float32(value) for weight in layer.get_weights()])


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """The state that a model had before it was trained.

    Attributes:
        model: The model.
        values: The values of its variables, those of random number generators among them.
    """

    model: keras.Model
    values: list[np.ndarray]

    @classmethod
    def of(cls, model: keras.Model) -> Start:
        """Take the state that the model has."""
        values = [np.array(keras.ops.convert_to_numpy(one)) for one in model.variables]
        return cls(model, values)

    def restore(self) -> None:
        """Give it back."""
        # What a fit adds to the variables, such as those of metrics, comes after the model's own.
        for variable, value in zip(self.model.variables, self.values, strict=False):
            variable.assign(value)


def refit(planned: PlannedFit, run: Run, start: Start, store: FeatureStore) -> dict[str, Any]:
    """Train the model once more from the start, on training and validation data together.

    Args:
        planned: The fit.
        run: What came out of it.
        start: The state that the model had before.
        store: Where frozen features are kept.

    Returns:
        What the page says of it: `examples`, `epochs` by stage and `seconds`.
    """
    began = time.perf_counter()
    settings, best = planned.settings, (run.journal or {}).get("best")
    less = best is None or best["mode"] == "min"
    stages = epochs_behind(settings.stages, run.history, best, less)
    everything = joined(planned.train, planned.validation, "pass refit=False")
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
            callbacks=(),
            optimizer=_anew(settings.optimizer),
            finish=Finish(calibrate=False, refit=False, report=False),
        ),
    )
    start.restore()
    recipe = planned.recipe
    raw, distances = recipe.raw_examples, recipe.distances
    said = (
        f"Training again on all {how_many(len(everything), 'example')}, validation data included."
    )
    with training_pass(again, store, prepared(again), announced=said) as fit:
        fit.run()
    recipe.raw_examples, recipe.distances = raw, distances
    return {
        "examples": len(everything),
        "epochs": [stage.epochs for stage in stages],
        "seconds": time.perf_counter() - began,
    }


def _anew(optimizer: keras.optimizers.Optimizer | None) -> keras.optimizers.Optimizer | None:
    """Return an optimizer with the same settings that has taken no step."""
    if optimizer is None:
        return None
    return type(optimizer).from_config(optimizer.get_config())
