"""Several tasks on one backbone: a head each, trained together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras

from kft.arguments import shown
from kft.data.kinds import Combined
from kft.errors import InputError
from kft.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
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

    def learn(self, targets: Any) -> dict[str, Any]:
        """What each task learns from its targets."""
        return {name: task.learn(targets[name]) for name, task in self.tasks.items()}

    @property
    def unlearnt(self) -> dict[str, Any]:
        """What each task has before it learns."""
        return {name: task.unlearnt for name, task in self.tasks.items()}

    def apply(self, model: keras.Model, learnt: dict[str, Any]) -> None:
        """Set up each head."""
        for name, task in self.tasks.items():
            task.apply(model, learnt[name])

    def config(self) -> dict[str, Any]:
        """The tasks as `{"name": ..., "arguments": ...}` by their names."""
        inner = {n: {"name": t.name, "arguments": t.config()} for n, t in self.tasks.items()}
        return {"tasks": inner}
