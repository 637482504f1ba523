"""The hooks of a model family, from which `Recipe` is built."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras

from kft.arguments import check_seed, check_types, is_whole, make_plain
from kft.arguments.calls import CheckedCalls
from kft.data.examples import Examples
from kft.data.tensorflow_on_cpu import keep_off_accelerators
from kft.errors import InputError
from kft.family.data_hooks import DataHooks
from kft.family.saved_hooks import SavedHooks
from kft.model.heads import mark_head
from kft.model.lora import LoRA
from kft.model.pooling import pooled
from kft.model.precision import built_with, policy_of
from kft.model.pretrained import StartingWeights
from kft.runs.randomness import seeded
from kft.stages.lengths import adapter_stages, deep_stage, trained_head
from kft.stages.stage import Stage
from kft.tasks.forms import ARGUMENTS, resolve, short_arguments


@dataclass(kw_only=True, eq=False)
class Family(CheckedCalls, DataHooks, SavedHooks):
    """The arguments and hooks of every recipe; `kft.Recipe` documents them.

    Hooks for raw data, such as `read` and `load`, are in `kft.family.data_hooks.DataHooks`; hooks for
    saving are in `kft.family.saved_hooks.SavedHooks`.
    """

    gives: ClassVar[tuple[str, ...]] = ("vector",)
    deeper_is_better: ClassVar[bool] = False  # unless few validation examples clearly disagree

    num_classes: int | None = None
    task: Any = "single_label"
    classes: Sequence[str] | dict[str, Any] | None = None
    hidden: tuple[int, ...] | None = None
    dropout: float | None = None
    weight_decay: float = 0.01
    label_smoothing: float | None = None
    adapters: LoRA | dict[str, Any] | None = None
    precision: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.check_arguments()
        check_seed(self.seed)
        self._take_task()
        if self.weight_decay < 0:
            raise InputError(
                f"`weight_decay={self.weight_decay!r}` is not a rate: pass 0 or more, such as 0.01."
            )
        policy_of(self.precision)
        self.adapters = LoRA.of(self.adapters)
        keep_off_accelerators()
        if self.classes is not None:
            names = self.task.checked_classes(self.classes, "`classes`")
            self.name_classes(names, "`classes`")
        self.is_fitted = False
        self.loaded_from: Path | None = None  # the run that the weights were loaded from
        self.distances: Any = None  # of its errors on validation data, for sets and ranges
        self.thresholds: dict[str, Any] = {}  # that a fit found on validation data
        self.raw_examples: list[Any] = []
        self.origin: dict[str, Any] = {}  # the plan and the history of the fit, for an export
        self._model: keras.Model | None = None
        self._head_input: Any = None
        self._learnt: dict[str, Any] = {}

    def check_arguments(self) -> None:
        """Convert NumPy numbers to Python's, and check the types of all arguments.

        Raises:
            InputError: If one of them has another type.
        """
        make_plain(self)
        if is_whole(self.classes):
            raise InputError(
                f"`classes={self.classes}` are the names of the classes: pass num_classes={self.classes} "
                "for how many there are."
            )
        check_types(self)

    def _take_task(self) -> None:
        """Build the task from the arguments, and update the shorthand arguments from the task."""
        short = {name: getattr(self, name) for name in ARGUMENTS}
        named = None if isinstance(self.classes, dict | None) else len(self.classes)
        task = self.task = resolve(self.task, short, self.seed, named)
        needs = (task.needs,) if isinstance(task.needs, str) else task.needs
        for need in needs:
            if need not in self.gives:
                known = ", ".join(map(repr, self.gives))
                raise InputError(
                    f"`task={type(task).__name__}` needs features of the kind {need!r}, but "
                    f"{type(self).__name__} gives {known}: choose another recipe."
                )
        for name, value in short_arguments(task).items():
            setattr(self, name, value)

    # The parts of the model.

    def inputs(self) -> Any:
        """Return the model's inputs: a Keras tensor or a dict of them."""
        raise NotImplementedError(f"{type(self).__name__} must define `inputs()`.")

    def backbone(self, inputs: Any) -> Any:
        """Return the features of the pretrained part for `inputs()`, in the same functional graph."""
        raise NotImplementedError(f"{type(self).__name__} must define `backbone(inputs)`.")

    def features(self, need: str, backbone: Any, inputs: Any) -> Any:
        """Return the features that a task needs, one of the kinds in `gives`.

        Args:
            need: `"vector"`, `"map"` or `"tokens"`, see `kft.tasks.Task.needs`.
            backbone: The result of `backbone(inputs)`.
            inputs: The result of `inputs()`.
        """
        return pooled(backbone, getattr(self, "pooling", None)) if need == "vector" else backbone

    def head(self, backbone: Any, inputs: Any) -> Any:
        """Return the model's output: the new part, on the result of `backbone(inputs)`."""
        needs = self.task.needs
        if isinstance(needs, str):
            given = self.features(needs, backbone, inputs)
        else:
            given = {need: self.features(need, backbone, inputs) for need in needs}
        self._head_input = given
        return self.task.head(given, inputs)

    def loss(self) -> Any:
        """Return the loss that `fit` compiles the model with, by default the task's."""
        return self.task.loss()

    def metrics(self) -> Any:
        """Return the metrics that `fit` compiles the model with, by default the task's."""
        return self.task.metrics()

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """Return the stages for data of this size: by default a solved head, then everything.

        The default rate is a careful one; families set their own.

        Args:
            steps: Batches per epoch. Defaults to those of a few hundred examples, where they are not
                known.
        """
        return [self.head_stage(steps), deep_stage(steps, 1e-4)]

    def usual_stages(self, steps: int | None = None) -> list[Stage]:
        """Return the stages of a fit without `stages`: the default ones, or their variant for adapters.

        Args:
            steps: As for `default_stages`.
        """
        stages = self.default_stages(steps)
        return stages if self.adapters is None else adapter_stages(stages)

    def head_stage(self, steps: int | None) -> Stage:
        """Return the first default stage: it solves a linear head, or trains another one.

        Args:
            steps: As for `default_stages`.
        """
        if self.head_is_linear:
            return Stage(unfreeze=0, solve=True)
        return trained_head(steps)

    @property
    def model(self) -> keras.Model:
        """The Keras model, built on first access.

        Building draws from `seed`, so that equal recipes start from equal weights. Python's and NumPy's
        global random states are left as they were; the backend's continues from the seed.
        """
        if self._model is None:
            with seeded(self.seed):
                with built_with(self.precision):
                    inputs = self.inputs()
                    features = self.backbone(inputs)
                self.build_head(inputs, features)
        assert self._model is not None
        return self._model

    @property
    def head_input(self) -> Any:
        """The input of the head: a Keras tensor of `model`, or a dict of them."""
        _ = self.model  # builds it if needed
        return self._head_input

    def few_shot_rule(self, train: Any, *, default_stages: bool) -> str | None:
        """Return why a contrastive warm start precedes the stages, or None, the default, for no such start.

        Args:
            train: The training data.
            default_stages: Whether the stages are the family's defaults.
        """
        return None

    @property
    def head_is_linear(self) -> bool:
        """Whether the head can be solved on its features, without training steps."""
        return self.task.solves(self.model, self.head_input)

    def build_head(self, inputs: Any, features: Any) -> None:
        """Build the model by adding a new head to a backbone.

        Args:
            inputs: The result of `inputs()`.
            features: The result of `backbone(inputs)`.
        """
        self._head_input = features  # unless `head` derives others
        with built_with(self.precision):
            outputs = self.head(features, inputs)
            self._model = keras.Model(inputs, outputs, name=type(self).__name__)
        mark_head(self._model, features)
        if isinstance(self.adapters, LoRA):
            self.adapters.add_to(self._model, self.seed)

    def take_model(self, other: Family) -> None:
        """Share the model of a recipe whose head has the same weights.

        Args:
            other: A recipe that differs in what trains the model alone.
        """
        self._model, self._head_input = other.model, other.head_input

    @property
    def starting_weights(self) -> StartingWeights:
        """The source of the weights that the next `fit` starts from, known without loading them."""
        if self.loaded_from is not None:
            return StartingWeights(f"the run {self.loaded_from}")
        if self.is_fitted:
            return StartingWeights("those of the previous fit")
        return self.pretrained_weights()

    def pretrained_weights(self) -> StartingWeights:
        """Return the source of a new recipe's weights; a family whose arguments determine it overrides this."""
        return StartingWeights(f"those with which {type(self).__name__} builds its backbone")

    # What the recipe learns from the data, and how it is trained and evaluated.

    def input_identity(self) -> str:
        """Return everything besides the input that affects `load`: the key of cached features.

        By default all arguments but those of head and training; a family that returns less shares
        features between more recipes.
        """
        above = ("hidden", "dropout", "weight_decay", "label_smoothing", "adapters")
        arguments = {name: v for name, v in self.arguments().items() if name not in above}
        described = {**arguments, **self.state()}
        name = f"{type(self).__module__}:{type(self).__qualname__}"
        return f"{name} {json.dumps(described, sort_keys=True, default=repr)}"

    def learn(self, examples: Examples) -> None:
        """Learn from the training data what the recipe leaves open, before training begins."""
        self._learnt = self.task.learn(examples.targets)
        self.task.apply(self.model, self._learnt)

    def state(self) -> dict[str, Any]:
        """Return what `learn` found, as JSON values; it is saved with the weights."""
        return dict(self._learnt or self.task.unlearnt)

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned when the recipe was saved.

        Raises:
            InputError: If `state` of such a recipe does not return such values.
        """
        self.task.apply(self.model, state)
        self._learnt = dict(state)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Fine-tune in stages, as `kft.Recipe.fit` documents it."""
        raise NotImplementedError(f"{type(self).__name__} must define `fit(train)`.")

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate on labelled data, as `kft.Recipe.evaluate` documents it."""
        raise NotImplementedError(f"{type(self).__name__} must define `evaluate(data)`.")

    def name_classes(self, classes: Any, source: str) -> None:
        """Set the class names to those of data, if they suit the task.

        Args:
            classes: The names, or a dict of them for several tasks; None for data that name none.
            source: The name of the data for messages.

        Raises:
            InputError: If their number is not the task's number of classes, or it has no classes.
        """
        self.classes = self.task.agreed_classes(
            self.classes if classes is None else classes, source
        )
        self.task = self.task.for_classes(self.classes)
