"""A user's own task, as kept next to their data: a class per pixel."""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from kft.answers import Ops, Rules
from kft.tasks import Task


@dataclass(frozen=True, kw_only=True)
class MapTask(Task):
    """A task with scores of the classes at each position, answered by the number of the best class."""

    name: ClassVar[str] = "map"
    needs: ClassVar[str] = "map"

    classes: int = 3

    def head(self, features: Any, inputs: Any) -> Any:
        layer = keras.layers.Conv2D(
            self.classes,
            1,
            kernel_initializer=keras.initializers.HeNormal(seed=self.seed),
            dtype="float32",
            name=self.named("map"),
        )
        return layer(features)

    def loss(self) -> keras.losses.Loss:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        return {"best": ops.largest(outputs), "map": outputs}

    def answer_rules(self) -> Rules:
        return Rules(largest={"best": "map"})


@dataclass(frozen=True, kw_only=True)
class PlainMap(MapTask):
    """The same task without its own `answer`."""

    answer = Task.answer
    answer_rules = Task.answer_rules
