"""`Task`: targets, head, loss, metrics, evaluation and predictions, independent of backbones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import keras
import numpy as np

from kft.arguments.calls import CheckedCalls
from kft.data.targets import TargetKind
from kft.import_path import path_of_class
from kft.tasks.evaluation.figures import Better
from kft.tasks.evaluation.metrics import MetricsScorer
from kft.tasks.evaluation.scorer import Scorer
from kft.tasks.linear import Solved
from kft.tasks.predictions import ArrayPredictions, Predictions
from kft.tasks.served import Served
from kft.tasks.thresholds import Thresholds

if TYPE_CHECKING:
    from kft.data.examples import Examples


@dataclass(frozen=True, kw_only=True, repr=False)
class Task(CheckedCalls, Served, Thresholds, TargetKind):
    """The task that a model is fine-tuned for: its head, loss, metrics, evaluation and predictions.

    A task is a frozen dataclass, so that equal tasks compare equal and a saved recipe can describe
    its task. It puts the last layers on a backbone, defines their training, and turns their outputs
    into figures and predictions. Further hooks, all with defaults: labels and targets in
    `kft.data.targets.TargetKind`, a server's answers in `kft.tasks.served.Served`, and thresholds in
    `kft.tasks.thresholds.Thresholds`.

    Args:
        seed: Seed of the initial weights and the dropout of its layers. A recipe sets it to its own.
        prefix: Prefix of the names of its layers. `Several` sets it, so that several tasks fit into
            one model.

    Attributes:
        name: The task's name in `recipe.json` and in an export's description.
        needs: The features that its head takes: `"vector"` `(batch, channels)`; `"map"` `(batch,
            height, width, channels)`; `"pyramid"`, a dict of such maps at several resolutions, see
            `kft.model.pyramid`; `"tokens"` `(batch, length, channels)`; `"words"` and `"pairs"`, a
            dict of these `tokens` and of where words start and end, see `kft.recipe.words` and
            `kft.recipe.pairs`; or `"next_token"`, the logits of the token after each, `(batch, length,
            vocabulary)`.
        objective: The logged value that ranks epochs, and its direction.
        directions: A dict of metrics to `"max"` or `"min"`, for those that a search may optimise or
            whose direction readers should see.
        set_by_recipe: Names of the arguments that a recipe sets, which are not part of a description.
        augmentable: Whether labels stay true when images are flipped, cropped and recoloured, and
            words are deleted and swapped. Defaults to False, which refuses kft's own augmentations.
    """

    name: ClassVar[str]
    needs: ClassVar[str] = "vector"
    objective: ClassVar[tuple[str, Literal["max", "min"]]] = ("val_loss", "min")
    directions: ClassVar[Mapping[str, Better]] = {}
    augmentable: ClassVar[bool] = False
    set_by_recipe: ClassVar[tuple[str, ...]] = ("seed", "prefix")

    seed: int = 0
    prefix: str = ""

    def head(self, features: Any, inputs: Any) -> Any:
        """Put the task's layers on the features of a backbone, in the same functional graph.

        All layers between the features and the output are the head: they are new, and train in every
        stage.

        Args:
            features: A Keras tensor, or a dict of them, in the form that `needs` names.
            inputs: The model's inputs, a Keras tensor or a dict of them; for texts, `padding_mask` is
                nonzero where there is a token.

        Returns:
            The model's output: a Keras tensor, or a dict of them.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `head(features, inputs)`.")

    def embedded(self, features: Any) -> Any:
        """Return the part of the features that an export's `embed` answers with; by default all."""
        return features

    def loss(self) -> Any:
        """Return the loss that `fit` compiles the model with."""
        raise NotImplementedError(f"{type(self).__name__} must define `loss()`.")

    def metrics(self) -> Any:
        """Return new metrics that `fit` compiles the model with. Defaults to none."""
        return []

    def learn(self, targets: Any) -> dict[str, Any]:
        """Return what the head learns from the targets of the training examples, as JSON values."""
        return {}

    @property
    def unlearnt(self) -> dict[str, Any]:
        """The value of `learn` for a head that has learned nothing."""
        return {}

    def apply(self, model: keras.Model, learnt: dict[str, Any]) -> None:
        """Set up a model with what `learn` returned, in this process or in a saved run.

        Args:
            model: A model with this task's head.
            learnt: What `learn` returned.

        Raises:
            InputError: If `learn` cannot have returned it.
        """

    def solves(self, model: keras.Model, features: Any) -> bool:
        """Return whether the head can be solved on its features instead of trained by steps.

        Args:
            model: A model with this task's head.
            features: The Keras tensor that the head was put on.
        """
        return False

    def solver_rows(self, features: Any, targets: Any) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the rows that the head is solved on, if they are not one per example.

        Args:
            features: The features of a batch.
            targets: The batch's targets, as `collate` returned them.

        Returns:
            Rows `[m, ...]` and their targets, which are passed to `solve` for all batches; or None, the
            default, for one row per example.
        """
        return None

    def solve(
        self,
        model: keras.Model,
        features: Any,
        targets: Any,
        *,
        weights: np.ndarray | None = None,
        seed: int = 0,
    ) -> dict[str, Solved]:
        """Find the best weights of the head for fixed features.

        Args:
            model: A model for which `solves` is true.
            features: The features, `[n, ...]`.
            targets: The targets of the n examples.
            weights: The weight of each example, `[n]`. Defaults to equal weights.
            seed: Seed of the folds that choose the penalty.

        Returns:
            The solution for each Dense layer, by its name.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `solve(...)`.")

    def calibrates(self, model: keras.Model) -> bool:
        """Return whether `temperatures` can calibrate the scores.

        Args:
            model: A model with this task's head.
        """
        return False

    def calibrated_loss(self) -> keras.metrics.Metric | None:
        """Return a new metric: the loss of the scores after temperature scaling.

        With few validation examples, it replaces the loss when the ends of stages are compared.
        Defaults to None, which compares by the loss.
        """
        return None

    def temperatures(
        self, model: keras.Model, outputs: Any, targets: Any, usual: float = 1.0
    ) -> dict[str, float]:
        """Return the temperatures that calibrate the scores.

        Args:
            model: The trained model, for which `calibrates` is true.
            outputs: Its outputs for examples that it was not trained on.
            targets: Their targets.
            usual: The temperature to expect of scores after such a training. Defaults to 1.

        Returns:
            A dict of names of Dense layers to the temperature that divides their kernel and bias.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `temperatures(...)`.")

    def scorer(self, classes: Any) -> Scorer:
        """Return a scorer, which compares targets and outputs batch by batch and returns an evaluation.

        Args:
            classes: Names of the classes; None if the data name none.

        Returns:
            A new `Scorer`; by default one that computes the loss and the metrics of the task.
        """
        name, better = self.objective
        first: dict[str, Better] = {name.removeprefix("val_"): better}
        directions = {**(first if name != "val_loss" else {}), **self.directions}
        return MetricsScorer(self.loss(), self.metrics(), task=self.name, directions=directions)

    def scorer_of(self, examples: Examples | None, classes: Any) -> Scorer:
        """Return a scorer for given examples; by default `scorer(classes)`.

        Override it if figures need more than targets and outputs, such as the text of an answer: the
        `rows` of `Scorer.update` are the indices of a batch in the examples.

        Args:
            examples: The examples; None for a stream.
            classes: As for `scorer`.
        """
        return self.scorer(classes)

    def reduced(self, outputs: Any) -> Any:
        """Reduce the outputs of a batch to what `predictions` needs; by default unchanged."""
        return outputs

    def predictions(self, names: Sequence[str], outputs: Any, classes: Any) -> Predictions:
        """Return a model's outputs in readable form.

        Args:
            names: The name of each input.
            outputs: The model's outputs for them, as `reduced` returned them.
            classes: Names of the classes; None if the data name none.

        Returns:
            The predictions; by default the output arrays of each input.
        """
        return ArrayPredictions(names, outputs)

    def distances(self, outputs: Any, targets: Any) -> Any:
        """Return the nonconformity scores of conformal prediction, for `predict(coverage=...)`.

        Args:
            outputs: The model's outputs for a batch.
            targets: The targets.

        Returns:
            The distance of each target from the answer, an array `[n]` or `[n, d]`, or a dict of such
            arrays. Defaults to None: the task has no prediction sets or intervals.
        """
        return None

    def covering(
        self,
        names: Sequence[str],
        outputs: Any,
        classes: Any,
        reach: Callable[[Any], np.ndarray],
        distances: Any,
    ) -> Predictions:
        """Return prediction sets or intervals that contain the truth with the requested coverage.

        Args:
            names: As for `predictions`.
            outputs: As for `predictions`.
            classes: As for `predictions`.
            reach: Function from distances to their quantile at the requested coverage.
            distances: The distances of examples that the model was not trained on.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `covering(...)`.")

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the task, as JSON values, without those a recipe sets."""
        return {
            each.name: _plain(getattr(self, each.name))
            for each in dataclasses.fields(self)
            if each.init and each.name not in self.set_by_recipe
        }

    def __repr__(self) -> str:
        words = [
            f"{each.name}={value!r}" if each.kw_only else repr(value)
            for each in dataclasses.fields(self)
            if each.name not in self.set_by_recipe
            and (value := getattr(self, each.name)) != each.default
        ]
        return f"{type(self).__name__}({', '.join(words)})"

    def described(self) -> dict[str, Any]:
        """Return the task's name, class and arguments, as JSON values."""
        path = path_of_class(type(self))
        return {"name": self.name, "class": path, "arguments": self.config()}

    def named(self, layer: str) -> str:
        """Return the name of a layer of the head, with the prefix."""
        return f"{self.prefix}{layer}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
