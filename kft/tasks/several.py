"""Several tasks on one backbone: one head per task, trained together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import keras
import numpy as np

from kft.answers import Ops, Rules
from kft.arguments import shown
from kft.data.kinds import Combined
from kft.errors import InputError
from kft.tasks.evaluation.figures import Better
from kft.tasks.evaluation.several import SeveralEvaluation, SeveralScorer
from kft.tasks.linear import Solved
from kft.tasks.predictions import SeveralPredictions
from kft.tasks.task import Task


@dataclass(frozen=True, kw_only=True, repr=False)
class Several(Task, Combined):
    """Multi-task learning: targets, outputs and figures are dicts keyed by the names of the tasks.

    Each example has a target for every task. The loss is the sum of the tasks' losses.

    Args:
        tasks: A dict of names to tasks, at least one; the names are Python identifiers.

    Raises:
        InputError: If a name is not an identifier, or a value is not a single task.

    Example:

    ```python
    task = Several({"kind": Classification(3), "age": Regression()})
    recipe = MobileNetRecipe("MobileNetV2", task=task)
    run = recipe.fit((x, {"kind": kinds, "age": ages}))
    ```
    """

    name: ClassVar[str] = "several"

    tasks: Mapping[str, Task] = field(kw_only=False)

    def __post_init__(self) -> None:
        if not isinstance(self.tasks, Mapping) or not self.tasks:
            raise InputError(f"`tasks={shown(self.tasks)}`: pass a dict of names to tasks.")
        for name, task in self.tasks.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise InputError(f"`tasks` has the name {name!r}: pass Python identifiers.")
            if not isinstance(task, Task) or isinstance(task, Several):
                raise InputError(f"`tasks` has {name}={shown(task)}: pass single tasks.")
        inner = {
            name: dataclasses.replace(task, seed=self.seed, prefix=f"{self.prefix}{name}_")
            for name, task in self.tasks.items()
        }
        object.__setattr__(self, "tasks", inner)

    @property
    def parts(self) -> Mapping[str, Task]:
        """The tasks by name, each with its own labels."""
        return self.tasks

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The kinds of features that the tasks take, without duplicates."""
        return tuple(dict.fromkeys(task.needs for task in self.tasks.values()))

    @property
    def augmentable(self) -> bool:  # type: ignore[override]
        """Whether the labels of all tasks stay true; none may be moved with the images, as masks are."""
        return all(one.augmentable and not one.moves_with_images for one in self.tasks.values())

    def head(self, features: Any, inputs: Any) -> dict[str, Any]:
        """Put all heads on the features.

        Args:
            features: A dict of the tasks' `needs` to Keras tensors.
            inputs: The model's inputs.
        """
        return {name: task.head(features[task.needs], inputs) for name, task in self.tasks.items()}

    def loss(self) -> dict[str, Any]:
        """Return the loss of each task."""
        return {name: task.loss() for name, task in self.tasks.items()}

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of each task."""
        return {name: task.metrics() for name, task in self.tasks.items()}

    @property
    def directions(self) -> dict[str, Better]:  # type: ignore[override]
        """The directions of each task's metrics, under the names that Keras logs."""
        return {
            f"{name}_{metric}": better
            for name, task in self.tasks.items()
            for metric, better in (*task.directions.items(), ("loss", "min"))
        }

    def for_classes(self, classes: Mapping[str, Any] | None) -> Self:
        """Return the task with its tasks adapted to the classes of the training data."""
        known = classes or {}
        tasks = {name: task.for_classes(known.get(name)) for name, task in self.tasks.items()}
        return self if tasks == self.tasks else dataclasses.replace(self, tasks=tasks)

    def for_images(self, size: tuple[int, int]) -> Self:
        """Return the task with its tasks adapted to images of this size."""
        tasks = {name: task.for_images(size) for name, task in self.tasks.items()}
        return self if tasks == self.tasks else dataclasses.replace(self, tasks=tasks)

    def embedded(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Return the embedding of each kind of features by the first task that takes it."""
        first = {task.needs: task for task in reversed(list(self.tasks.values()))}
        return {need: first[need].embedded(one) for need, one in features.items()}

    def scorer(self, classes: Mapping[str, Any] | None) -> SeveralScorer:
        """Return a scorer that combines those of all tasks.

        Args:
            classes: A dict of task names to class names; None where the data name none.
        """
        named = classes or {}
        scorers = {name: task.scorer(named.get(name)) for name, task in self.tasks.items()}
        return SeveralScorer(scorers, self.name)

    def reduced(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return each task's reduced outputs."""
        return {name: task.reduced(outputs[name]) for name, task in self.tasks.items()}

    def predictions(
        self, names: Sequence[str], outputs: Mapping[str, Any], classes: Mapping[str, Any] | None
    ) -> SeveralPredictions:
        """Return the combined predictions of all tasks.

        Args:
            names: The name of each input.
            outputs: A dict of task names to reduced outputs.
            classes: As for `scorer`.
        """
        named = classes or {}
        found = {
            name: task.predictions(names, outputs[name], named.get(name))
            for name, task in self.tasks.items()
        }
        return SeveralPredictions(names, found)

    def distances(self, outputs: Any, targets: Any) -> dict[str, Any] | None:
        """Return the distances of each task that defines them; None if no task does."""
        found = {
            name: task.distances(outputs[name], targets[name]) for name, task in self.tasks.items()
        }
        return {name: one for name, one in found.items() if one is not None} or None

    def covering(
        self,
        names: Sequence[str],
        outputs: Mapping[str, Any],
        classes: Mapping[str, Any] | None,
        reach: Callable[[Any], np.ndarray],
        distances: Mapping[str, Any],
    ) -> SeveralPredictions:
        """Return sets and intervals for the tasks that define distances, plain predictions for others."""
        named = classes or {}
        found = {
            name: task.covering(names, outputs[name], named.get(name), reach, own)
            if (own := distances.get(name)) is not None
            else task.predictions(names, outputs[name], named.get(name))
            for name, task in self.tasks.items()
        }
        return SeveralPredictions(names, found)

    def learn(self, targets: Any) -> dict[str, Any]:
        """Return what each task learns from its targets."""
        return {name: task.learn(targets[name]) for name, task in self.tasks.items()}

    @property
    def unlearnt(self) -> dict[str, Any]:
        """The state of each task before it learns."""
        return {name: task.unlearnt for name, task in self.tasks.items()}

    def calibrates(self, model: keras.Model) -> bool:
        """Return whether any task can be calibrated."""
        return any(task.calibrates(model) for task in self.tasks.values())

    def temperatures(
        self, model: keras.Model, outputs: Any, targets: Any, usual: float = 1.0
    ) -> dict[str, float]:
        """Return the temperatures of all heads that can be calibrated."""
        return {
            layer: value
            for name, task in self.tasks.items()
            if task.calibrates(model)
            for layer, value in task.temperatures(
                model, outputs[name], targets[name], usual
            ).items()
        }

    @property
    def finds_thresholds(self) -> bool:
        """Whether a fit has to find a threshold of any task."""
        return any(task.finds_thresholds for task in self.tasks.values())

    def thresholds(self, evaluation: SeveralEvaluation) -> dict[str, Any]:
        """Return the thresholds of each task that has to find some."""
        found = {
            name: task.thresholds(evaluation.tasks[name])
            for name, task in self.tasks.items()
            if task.finds_thresholds
        }
        return {name: one for name, one in found.items() if one}

    def with_thresholds(self, found: Mapping[str, Any]) -> Self:
        """Return the tasks with the thresholds that a fit found for each."""
        tasks = {n: task.with_thresholds(found.get(n, {})) for n, task in self.tasks.items()}
        return dataclasses.replace(self, tasks=tasks)

    def apply(self, model: keras.Model, learnt: dict[str, Any]) -> None:
        """Set up each head with what its task learned."""
        for name, task in self.tasks.items():
            task.apply(model, learnt[name])

    def solves(self, model: keras.Model, features: Any) -> bool:
        """Return whether each head can be solved."""
        return all(
            type(task).solver_rows is Task.solver_rows and task.solves(model, features[task.needs])
            for task in self.tasks.values()
        )

    def solve(
        self,
        model: keras.Model,
        features: Mapping[str, np.ndarray],
        targets: Any,
        *,
        weights: np.ndarray | None = None,
        seed: int = 0,
    ) -> dict[str, Solved]:
        """Solve each head.

        Args:
            model: A model for which `solves` is true.
            features: A dict of the tasks' `needs` to features.
            targets: A dict of task names to targets.
            weights: The weight of each example.
            seed: As for a single task.
        """
        found: dict[str, Solved] = {}
        for name, task in self.tasks.items():
            given = features[task.needs]
            found |= task.solve(model, given, targets[name], weights=weights, seed=seed)
        return found

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return each task's answer, with names prefixed by the task's: `kind_label`, `age_value`.

        Args:
            outputs: A dict of task names to outputs.
            classes: A dict of task names to class names, or None for numbered classes.
            ops: The operations, in NumPy or TensorFlow.

        Raises:
            InputError: If two tasks answer with an output of the same name.
        """
        found: dict[str, Any] = {}
        for name, task in self.tasks.items():
            named = None if classes is None else classes.get(name)
            for key, value in task.answer(outputs[name], named, ops).items():
                if f"{name}_{key}" in found:
                    raise InputError(
                        f"two tasks answer with `{name}_{key}`: choose other names than {name!r}."
                    )
                found[f"{name}_{key}"] = value
        return found

    def answer_rules(self) -> Rules:
        """Return the rules of each task for its part of the answer."""
        parts = [task.answer_rules().prefixed(f"{name}_") for name, task in self.tasks.items()]
        rankings = tuple(ranking for part in parts for ranking in part.rankings)
        largest = {k: v for part in parts for k, v in part.largest.items()}
        pictures = tuple(name for part in parts for name in part.pictures)
        boxes = tuple(one for part in parts for one in part.detections)
        return Rules(rankings, largest, pictures, boxes)

    def config(self) -> dict[str, Any]:
        """Return the tasks, by name, as `Task.described` returns them."""
        return {"tasks": {name: task.described() for name, task in self.tasks.items()}}
