"""Several tasks on one backbone: a head each, trained together."""

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
from kft.tasks.evaluation.several import SeveralScorer
from kft.tasks.linear import Solved
from kft.tasks.predictions import SeveralPredictions
from kft.tasks.task import Task


@dataclass(frozen=True, kw_only=True, repr=False)
class Several(Task, Combined):
    """Heads side by side: targets, outputs and figures are dicts with the names of the tasks.

    Each example has a target of every task. The loss is the sum of the tasks' losses.

    Args:
        tasks: Name to task, at least one; the names are Python identifiers.

    Raises:
        InputError: If a name or a task is none.

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
        """The tasks by name: each has labels of its own."""
        return self.tasks

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The features that the tasks take, each once."""
        return tuple(dict.fromkeys(task.needs for task in self.tasks.values()))

    @property
    def augmentable(self) -> bool:  # type: ignore[override]
        """Whether the labels of each task stay true; masks would have to move with the images."""
        return all(one.augmentable and not one.moves_with_images for one in self.tasks.values())

    def head(self, features: Any, inputs: Any) -> dict[str, Any]:
        """Put all heads on the features.

        Args:
            features: What a task `needs` to its Keras tensor.
            inputs: The model's inputs.
        """
        return {name: task.head(features[task.needs], inputs) for name, task in self.tasks.items()}

    def loss(self) -> dict[str, Any]:
        """The loss of each task."""
        return {name: task.loss() for name, task in self.tasks.items()}

    def metrics(self) -> dict[str, Any]:
        """The metrics of each task."""
        return {name: task.metrics() for name, task in self.tasks.items()}

    @property
    def directions(self) -> dict[str, Better]:  # type: ignore[override]
        """The directions of the metrics of each task, by the names that Keras logs them under."""
        return {
            f"{name}_{metric}": better
            for name, task in self.tasks.items()
            for metric, better in (*task.directions.items(), ("loss", "min"))
        }

    def for_classes(self, classes: Mapping[str, Any] | None) -> Self:
        """Return this task for data whose classes are known, which each of its tasks may look at."""
        known = classes or {}
        tasks = {name: task.for_classes(known.get(name)) for name, task in self.tasks.items()}
        return self if tasks == self.tasks else dataclasses.replace(self, tasks=tasks)

    def for_images(self, size: tuple[int, int]) -> Self:
        """Return this task for a model that takes images of a size, which its tasks may look at."""
        tasks = {name: task.for_images(size) for name, task in self.tasks.items()}
        return self if tasks == self.tasks else dataclasses.replace(self, tasks=tasks)

    def embedded(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Return of each kind of features what the first task that takes it returns."""
        first = {task.needs: task for task in reversed(list(self.tasks.values()))}
        return {need: first[need].embedded(one) for need, one in features.items()}

    def scorer(self, classes: Mapping[str, Any] | None) -> SeveralScorer:
        """Return the scorers of all tasks side by side.

        Args:
            classes: Name of a task to the names of its classes; None where the data name none.
        """
        named = classes or {}
        scorers = {name: task.scorer(named.get(name)) for name, task in self.tasks.items()}
        return SeveralScorer(scorers, self.name)

    def reduced(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what each task needs of its output."""
        return {name: task.reduced(outputs[name]) for name, task in self.tasks.items()}

    def predictions(
        self, names: Sequence[str], outputs: Mapping[str, Any], classes: Mapping[str, Any] | None
    ) -> SeveralPredictions:
        """Return the answers of all tasks side by side.

        Args:
            names: What to call each input.
            outputs: Name of a task to what `reduced` left of what its head puts out.
            classes: As for `scorer`.
        """
        named = classes or {}
        found = {
            name: task.predictions(names, outputs[name], named.get(name))
            for name, task in self.tasks.items()
        }
        return SeveralPredictions(names, found)

    def distances(self, outputs: Any, targets: Any) -> dict[str, Any] | None:
        """The distances of each task that has some."""
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
        """Return sets and ranges for the tasks that have some, and plain answers for the others."""
        named = classes or {}
        found = {
            name: task.covering(names, outputs[name], named.get(name), reach, own)
            if (own := distances.get(name)) is not None
            else task.predictions(names, outputs[name], named.get(name))
            for name, task in self.tasks.items()
        }
        return SeveralPredictions(names, found)

    def learn(self, targets: Any) -> dict[str, Any]:
        """What each task learns from its targets."""
        return {name: task.learn(targets[name]) for name, task in self.tasks.items()}

    @property
    def unlearnt(self) -> dict[str, Any]:
        """What each task has before it learns."""
        return {name: task.unlearnt for name, task in self.tasks.items()}

    def calibrates(self, model: keras.Model) -> bool:
        """Whether the scores of any task can be."""
        return any(task.calibrates(model) for task in self.tasks.values())

    def temperatures(self, model: keras.Model, outputs: Any, targets: Any) -> dict[str, float]:
        """The temperatures of all heads."""
        return {
            layer: value
            for name, task in self.tasks.items()
            if task.calibrates(model)
            for layer, value in task.temperatures(model, outputs[name], targets[name]).items()
        }

    def apply(self, model: keras.Model, learnt: dict[str, Any]) -> None:
        """Set up each head."""
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
            features: What a task `needs` to its features.
            targets: Name of a task to its targets.
            weights: How much each example counts.
            seed: As for the single tasks.
        """
        found: dict[str, Solved] = {}
        for name, task in self.tasks.items():
            given = features[task.needs]
            found |= task.solve(model, given, targets[name], weights=weights, seed=seed)
        return found

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return what each task answers, its names behind the task's: `kind_label`, `age_value`.

        Args:
            outputs: Name of a task to its output.
            classes: Name of a task to its class names, or None for numbered classes.
            ops: The operations.

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
        """The rules of each task for its part of the answer."""
        parts = [task.answer_rules().prefixed(f"{name}_") for name, task in self.tasks.items()]
        rankings = tuple(ranking for part in parts for ranking in part.rankings)
        largest = {k: v for part in parts for k, v in part.largest.items()}
        pictures = tuple(name for part in parts for name in part.pictures)
        boxes = tuple(one for part in parts for one in part.detections)
        return Rules(rankings, largest, pictures, boxes)

    def config(self) -> dict[str, Any]:
        """The tasks as `Task.described` describes them, by their names."""
        return {"tasks": {name: task.described() for name, task in self.tasks.items()}}
