"""What a family of models, or a new task, may say: the hooks that a `Recipe` is made of."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import keras

from kft.arguments import check_seed, check_types, make_plain, shown
from kft.data.apart import keep_off_accelerators
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.image_files import MAX_PIXELS
from kft.data.read import read
from kft.data.sequences import as_rows
from kft.data.stream_checks import StreamCheck, checked
from kft.errors import InputError
from kft.model.heads import tell_head
from kft.model.pooling import pooled
from kft.model.precision import built_with, policy_of
from kft.model.pretrained import StartingWeights
from kft.stages.lengths import deep_stage, trained_head
from kft.stages.stage import Stage
from kft.tasks.forms import ARGUMENTS, resolve, short_arguments
from kft.tasks.saved import described


@dataclass(frozen=True)
class ServingInputs:
    """The way from raw inputs to a model's inputs, for the exporter.

    A request may hold anything, and one bad row must spoil no other: `decode` raises for none.

    Attributes:
        decode: A string tensor `[n]`, encoded images or texts, to the model's inputs of the m rows
            that can be used, in their order, and a status for each of the n rows, a string tensor:
            empty, or why the row is missing. In TensorFlow's graph ops.
        resources: Layers with tables that `decode` uses.
    """

    decode: Callable[[Any], tuple[Any, Any]]
    resources: tuple[Any, ...] = ()


@dataclass(kw_only=True, eq=False)
class Family:
    """The hooks and the arguments that every recipe has; `kft.Recipe` documents them."""

    modality: ClassVar[str]
    gives: ClassVar[tuple[str, ...]] = ("vector",)
    usual_augmentation: ClassVar[str | None] = None  # of the default stages

    num_classes: int | None = None
    task: Any = "single_label"
    classes: Sequence[str] | dict[str, Any] | None = None
    hidden: tuple[int, ...] | None = None
    dropout: float | None = None
    weight_decay: float = 0.01
    label_smoothing: float | None = None
    precision: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        make_plain(self)
        check_types(self)
        check_seed(self.seed)
        self._take_task()
        if self.weight_decay < 0:
            raise InputError(
                f"`weight_decay={self.weight_decay!r}` is not a rate: pass 0 or more, such as 0.01."
            )
        policy_of(self.precision)
        keep_off_accelerators()
        if self.classes is not None:
            names = self.task.checked_classes(self.classes, "`classes`")
            self.name_classes(names, "`classes`")
        self.is_fitted = False
        self.loaded_from: Path | None = None  # the run that the weights were loaded from
        self.distances: Any = None  # how far off it was on validation data, for sets and ranges
        self.raw_examples: list[str | bytes] = []
        self.origin: dict[str, Any] = {}  # the plan and the history of the fit, for an export
        self._model: keras.Model | None = None
        self._head_input: Any = None
        self._learnt: dict[str, Any] = {}

    def _take_task(self) -> None:
        """Make a task of the arguments, and let those that are short for its own say what it says."""
        short = {name: getattr(self, name) for name in ARGUMENTS}
        task = self.task = resolve(self.task, short, self.seed)
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

    # What the model is made of.

    def inputs(self) -> Any:
        """The model's inputs: a Keras tensor or a dict of them."""
        raise NotImplementedError(f"{type(self).__name__} must define `inputs()`.")

    def backbone(self, inputs: Any) -> Any:
        """The pretrained part: from `inputs()` to features, in the same functional graph."""
        raise NotImplementedError(f"{type(self).__name__} must define `backbone(inputs)`.")

    def features(self, need: str, backbone: Any, inputs: Any) -> Any:
        """Return the features that a task needs, one of the kinds in `gives`.

        Args:
            need: `"vector"`, `"map"` or `"tokens"`, see `kft.tasks.Task.needs`.
            backbone: What `backbone(inputs)` returned.
            inputs: What `inputs()` returned.
        """
        return pooled(backbone, getattr(self, "pooling", None)) if need == "vector" else backbone

    def head(self, backbone: Any, inputs: Any) -> Any:
        """The new part: from what `backbone(inputs)` returned to the model's output."""
        needs = self.task.needs
        if isinstance(needs, str):
            given = self.features(needs, backbone, inputs)
        else:
            given = {need: self.features(need, backbone, inputs) for need in needs}
        self._head_input = given
        return self.task.head(given, inputs)

    def loss(self) -> Any:
        """The loss that `fit` compiles the model with: the task's."""
        return self.task.loss()

    def metrics(self) -> Any:
        """The metrics that `fit` compiles the model with: the task's."""
        return self.task.metrics()

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """Stages for what is known of the data: by default a solved head, then everything.

        The rate is a careful one; a family says its own.

        Args:
            steps: Batches of an epoch; None where they are not known, for those of a few hundred
                examples.
        """
        return [self.head_stage(steps), deep_stage(steps, 1e-4)]

    def head_stage(self, steps: int | None) -> Stage:
        """The first of the default stages: it solves the head, or trains one that is not linear.

        Args:
            steps: As for `default_stages`.
        """
        if self.head_is_linear:
            return Stage(unfreeze=0, solve=True)
        return trained_head(steps)

    @property
    def model(self) -> keras.Model:
        """The Keras model, built when first asked for.

        Building sets the seed of Python, NumPy and the backend to `seed`, so that the same recipe
        starts from the same weights.
        """
        if self._model is None:
            keras.utils.set_random_seed(self.seed)
            with built_with(self.precision):
                inputs = self.inputs()
                features = self.backbone(inputs)
            self.build_head(inputs, features)
        assert self._model is not None
        return self._model

    @property
    def head_input(self) -> Any:
        """What the head was put on: a Keras tensor of `model`, or a dict of them."""
        _ = self.model  # built now, if it has not been
        return self._head_input

    @property
    def head_is_linear(self) -> bool:
        """Whether the head can be solved on its features rather than trained by steps."""
        return self.task.solves(self.model, self.head_input)

    def build_head(self, inputs: Any, features: Any) -> None:
        """Make the model by putting a new head on a backbone that has been built.

        Args:
            inputs: What `inputs()` returned.
            features: What `backbone(inputs)` returned.
        """
        self._head_input = features  # unless `head` takes others from them
        with built_with(self.precision):
            outputs = self.head(features, inputs)
            self._model = keras.Model(inputs, outputs, name=type(self).__name__)
        tell_head(self._model, features)

    @property
    def starting_weights(self) -> StartingWeights:
        """Which weights the next `fit` starts from, said without loading them."""
        if self.loaded_from is not None:
            return StartingWeights(f"the run {self.loaded_from}")
        if self.is_fitted:
            return StartingWeights("those of the fit before")
        return self.pretrained_weights()

    def pretrained_weights(self) -> StartingWeights:
        """Which weights a new recipe's model has; a family whose arguments say it returns that."""
        return StartingWeights(f"those that {type(self).__name__} builds its backbone with")

    # What goes in.

    def read(
        self,
        source: Any,
        *,
        classes: Any = None,
        text_column: str = "text",
        path_column: str = "path",
        label_column: str | Sequence[str] | Mapping[str, Any] = "label",
        encoding: str = "utf-8",
        on_bad_example: str = "error",
        max_pixels: int = MAX_PIXELS,
        split: str | None = None,
        steps_per_epoch: int | None = None,
    ) -> Any:
        """Read labelled data; `fit` and `evaluate` take what it returns in place of the source.

        Args:
            source: A folder, table, TFDS name, arrays or stream, as for `kft.data.read`.
            classes: The classes to expect, a dict of them for several tasks; None to take those of
                the data.
            text_column: Column of a table with the texts.
            path_column: Column of a table with paths of images, relative to the table.
            label_column: Column of a table with the labels, several for regression, or a dict of them
                for several tasks, for which the default stands for columns called like them.
            encoding: Encoding of text files.
            on_bad_example: `"error"`, or `"skip"` to leave out what cannot be used.
            max_pixels: The largest image accepted, width times height.
            split: Split of a TFDS, such as `"train[:80%]"`.
            steps_per_epoch: Batches that an epoch takes of a stream that never ends.

        Returns:
            `Examples`, or a `Stream`.
        """
        data = read(
            source,
            task=self.task,
            modality=self.modality,
            classes=classes,
            text_column=text_column,
            path_column=path_column,
            label_column=label_column,
            encoding=encoding,
            on_bad_example=on_bad_example,
            max_pixels=max_pixels,
            split=split,
            steps_per_epoch=steps_per_epoch,
        )
        if isinstance(data, Examples):
            self.check_examples(data)
        return data

    def check_examples(self, examples: Examples) -> None:
        """Check that what was read is what the recipe takes, beyond what `kft.data` can know.

        Args:
            examples: What `read` read, or was handed.

        Raises:
            InputError: If it is not.
        """

    def raw_inputs(self, raw: Any) -> Any:
        """Return what `predict` was given as a list or an array, each input by its position.

        Args:
            raw: A single input, or whatever holds several in an order.

        Returns:
            Inputs that `load` takes, and slices of which it takes.

        Raises:
            InputError: If it has no order or no end, is a whole table, or holds what cannot be used.
        """
        return as_rows([raw] if isinstance(raw, (str, bytes, os.PathLike)) else raw, "raw")

    def load(self, raw: Any) -> Any:
        """Turn raw inputs (paths, strings, arrays) into what the model takes, as NumPy arrays."""
        raise NotImplementedError(f"{type(self).__name__} must define `load(raw)`.")

    def input_identity(self) -> str:
        """What decides the outcome of `load`, besides what it gets: the key of kept features.

        By default all arguments but those of head and training; a family that says less shares
        features between more recipes.
        """
        above = ("hidden", "dropout", "weight_decay", "label_smoothing")
        arguments = {name: v for name, v in self.arguments().items() if name not in above}
        described = {**arguments, **self.state()}
        name = f"{type(self).__module__}:{type(self).__qualname__}"
        return f"{name} {json.dumps(described, sort_keys=True, default=repr)}"

    def from_stream(self, dataset: Any) -> Any:
        """Put in front of a `tf.data.Dataset` or `PyDataset` what makes the model's inputs of its.

        By default a check of each batch's targets: a stream yields what the model takes.
        """
        return checked(dataset, StreamCheck(self.task))

    def learn(self, examples: Examples) -> None:
        """Take from the training data what the recipe leaves open, before training begins."""
        self._learnt = self.task.learn(examples.targets)
        self.task.apply(self.model, self._learnt)

    def state(self) -> dict[str, Any]:
        """What `learn` found, as JSON values; saved with the weights."""
        return dict(self._learnt or self.task.unlearnt)

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned when the recipe was saved.

        Raises:
            InputError: If it is not what `state` returns for such a recipe.
        """
        self.task.apply(self.model, state)
        self._learnt = dict(state)

    def batches(
        self,
        examples: Examples,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        balance: str | None = None,
        augment: Callable | None = None,
    ) -> keras.utils.PyDataset:
        """Batches of the model's inputs and targets; the arguments are those of `Batches`."""
        return Batches(
            examples,
            self.load,
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            balance=balance,
            augment=augment,
            soft_targets=getattr(augment, "soft_targets", False),
        )

    def augmentation(self, chosen: Any) -> Callable | None:
        """Turn what was passed as `augment` into `(x, y, seed) -> (x, y)`, or None."""
        if chosen is None or callable(chosen):
            return chosen
        raise InputError(
            f"`augment={chosen!r}` is unknown to {type(self).__name__}: pass None or a function "
            "(x, y, seed) -> (x, y)."
        )

    def labels_stay_true(self, chosen: Any, made: Callable | None) -> Callable | None:
        """Return an augmentation of the inputs, if the task's labels stay true under it.

        Args:
            chosen: What was passed as `augment`.
            made: What was made of it.

        Raises:
            InputError: If inputs would change, and labels that depend on places in them would not.
        """
        if self.task.augmentable or not hasattr(made, "describe"):  # a function of a person's own
            return made
        raise InputError(
            f"`augment={shown(chosen)}` changes the inputs and not the labels, which the task "
            f"{self.task.name!r} may tie to places in them: pass a function (x, y, seed) -> (x, y) that "
            "changes both, or say `augmentable = True` in the task."
        )

    def serving_inputs(self) -> ServingInputs:
        """What the exporter needs to get from raw inputs to the model's inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define `serving_inputs()`.")

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Fine-tune in stages, as `kft.Recipe.fit` documents it."""
        raise NotImplementedError(f"{type(self).__name__} must define `fit(train)`.")

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Compare answers with labelled data, as `kft.Recipe.evaluate` documents it."""
        raise NotImplementedError(f"{type(self).__name__} must define `evaluate(data)`.")

    # How a recipe is saved and built again.

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values.

        Without the precision: a recipe that is loaded elsewhere computes with what suits that place.
        """
        kept = {
            each.name: _plain(getattr(self, each.name))
            for each in dataclasses.fields(self)
            if each.init and each.name not in ("classes", "precision")
        }
        return {**kept, "task": described(self.task)}

    @classmethod
    def rebuild(cls, arguments: dict[str, Any], directory: Path) -> Self:
        """Build the recipe again for weights that are about to be loaded.

        Args:
            arguments: What `arguments()` returned when it was saved.
            directory: The directory that it was saved to.
        """
        return cls(**arguments)

    def pretrained(self) -> Self:
        """Return a recipe with the same arguments and its pretrained weights, to compare with.

        Raises:
            InputError: If the weights are gone, or would be fetched because a file says so.
        """
        return type(self)(**{**self.arguments(), "task": self.task})

    def save_files(self, directory: Path) -> None:
        """Write what else `rebuild` and `restore_files` need into the directory."""

    def restore_files(self, directory: Path) -> None:
        """Take over what `save_files` wrote, once the recipe is built."""

    def name_classes(self, classes: Any, source: str) -> None:
        """Take over the class names of data, if they suit the task.

        Args:
            classes: The names, or a dict of them for several tasks; None for data that name none.
            source: What to call the data in a message.

        Raises:
            InputError: If they are not as many as the task has classes, or it has none.
        """
        self.classes = self.task.agreed_classes(
            self.classes if classes is None else classes, source
        )


def _plain(value):
    if isinstance(value, os.PathLike):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
