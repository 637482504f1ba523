"""`Task`: everything between labels and a person, and nothing about backbones."""

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

if TYPE_CHECKING:
    from kft.data.examples import Examples


@dataclass(frozen=True, kw_only=True, repr=False)
class Task(CheckedCalls, Served, TargetKind):
    """What a model is to do with the features of a backbone.

    A task is a frozen dataclass, so that equal tasks compare equal and a saved recipe can describe
    its own. It puts the last layers on a backbone, says what they are trained to do, and turns what
    they put out into figures and predictions. What it has to say of labels and targets, with defaults
    for all of it, is in `kft.data.targets.TargetKind`, and of a server's answers in
    `kft.tasks.served.Served`.

    Args:
        seed: Seed of the initial weights and of the dropout of its layers. A recipe sets it to its
            own.
        prefix: What the names of its layers begin with. `Several` sets it, so that several tasks
            fit into one model.

    Attributes:
        name: What the task is called in `recipe.json` and in an export's description.
        needs: The features that its head takes: `"vector"` `(batch, channels)`, `"map"` `(batch,
            height, width, channels)`, `"pyramid"`, a dict of such maps at several resolutions, see
            `kft.model.pyramid`, `"tokens"` `(batch, length, channels)`, `"words"` and `"pairs"`, a
            dict of these `tokens` and of where words start and end, see `kft.recipe.words` and
            `kft.recipe.pairs`, or `"next_token"`, the scores of the token after each, `(batch, length,
            vocabulary)`.
        objective: The logged value that tells which epoch is better, and its direction.
        directions: Name of a metric to `"max"` or `"min"`, of those that a search may optimise and
            whose direction a reader should know.
        set_by_recipe: Names of the arguments that a recipe sets, which describe no task.
        augmentable: Whether labels stay true where images are flipped, cropped and recoloured, and
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

        All layers between the features and what is returned are the head: they are new, and they
        train in every stage.

        Args:
            features: A Keras tensor of the shape that `needs` names.
            inputs: The model's inputs, a Keras tensor or a dict of them; of texts, `padding_mask` is
                not 0 where there is a token.

        Returns:
            The model's output: a Keras tensor, or a dict of them.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `head(features, inputs)`.")

    def embedded(self, features: Any) -> Any:
        """Return what an export's `embed` answers with, of what `head` takes: by default all."""
        return features

    def loss(self) -> Any:
        """Return the loss that `fit` compiles the model with."""
        raise NotImplementedError(f"{type(self).__name__} must define `loss()`.")

    def metrics(self) -> Any:
        """Return new metrics that `fit` compiles the model with. Defaults to none."""
        return []

    def learn(self, targets: Any) -> dict[str, Any]:
        """Return what the head takes from the training targets, as JSON values.

        Args:
            targets: The targets of the training examples.
        """
        return {}

    @property
    def unlearnt(self) -> dict[str, Any]:
        """What `learn` would return of a head that has learnt nothing."""
        return {}

    def apply(self, model: keras.Model, learnt: dict[str, Any]) -> None:
        """Set up a model with what `learn` returned, now or in the run that it is loaded from.

        Args:
            model: A model with this task's head.
            learnt: What `learn` returned.

        Raises:
            InputError: If it is nothing that `learn` returns.
        """

    def solves(self, model: keras.Model, features: Any) -> bool:
        """Return whether the head can be solved on its features rather than trained by steps.

        Args:
            model: A model with this task's head.
            features: The Keras tensor that the head was put on.
        """
        return False

    def solver_rows(self, features: Any, targets: Any) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what the head is solved on, where that is more than a row for each example.

        Args:
            features: What the head takes for a batch.
            targets: What `collate` made of the targets of the batch.

        Returns:
            Rows `[m, ...]` and their targets, which `solve` is then given of all batches; or None, the
            default, for the features and the targets of each example as they are.
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
        """Find the weights of the head that are best for features that stay as they are.

        Args:
            model: A model for which `solves` is true.
            features: What the head takes, `[n, ...]`.
            targets: The targets of the n examples.
            weights: How much each example counts, `[n]`. Defaults to equally.
            seed: Decides which examples are held out together to choose the penalty.

        Returns:
            What each Dense layer is to have, by its name.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `solve(...)`.")

    def calibrates(self, model: keras.Model) -> bool:
        """Return whether the scores can be made probabilities by `temperatures`.

        Args:
            model: A model with this task's head.
        """
        return False

    def calibrated_loss(self) -> keras.metrics.Metric | None:
        """Return a new metric: the loss that the scores have once a temperature has divided them.

        With few validation examples the ends of stages are compared by it rather than by the loss.
        Defaults to None: by the loss.
        """
        return None

    def temperatures(self, model: keras.Model, outputs: Any, targets: Any) -> dict[str, float]:
        """Return what the scores have to be divided by to be probabilities.

        Args:
            model: The trained model, for which `calibrates` is true.
            outputs: What it answered to examples that it was not trained on.
            targets: Their targets.

        Returns:
            Name of a Dense layer to the temperature that its kernel and bias are to be divided by.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `temperatures(...)`.")

    def scorer(self, classes: Any) -> Scorer:
        """Return what compares targets and outputs batch by batch, and ends with an evaluation.

        Args:
            classes: Names of the classes, None where the data name none.

        Returns:
            A new `Scorer`; by default one that runs the loss and the metrics of the task.
        """
        name, better = self.objective
        first: dict[str, Better] = {name.removeprefix("val_"): better}
        directions = {**(first if name != "val_loss" else {}), **self.directions}
        return MetricsScorer(self.loss(), self.metrics(), task=self.name, directions=directions)

    def scorer_of(self, examples: Examples | None, classes: Any) -> Scorer:
        """Return what compares targets and outputs of given examples; by default `scorer(classes)`.

        A task whose figures need more than targets and outputs, such as the words of an answer, takes
        it from the examples: the `rows` of `Scorer.update` say which ones a batch has.

        Args:
            examples: The examples, None for a stream.
            classes: As for `scorer`.
        """
        return self.scorer(classes)

    def reduced(self, outputs: Any) -> Any:
        """Return what `predictions` needs of the outputs for a batch; by default all, as it is."""
        return outputs

    def predictions(self, names: Sequence[str], outputs: Any, classes: Any) -> Predictions:
        """Return what a person reads of a model's outputs.

        Args:
            names: What to call each input.
            outputs: What `reduced` left of what the model puts out for them.
            classes: Names of the classes, None where the data name none.

        Returns:
            The answers; by default the arrays of each input.
        """
        return ArrayPredictions(names, outputs)

    def distances(self, outputs: Any, targets: Any) -> Any:
        """Return how far off the truth was from each answer, for `predict(coverage=...)`.

        Args:
            outputs: What the model puts out for a batch.
            targets: What the data say.

        Returns:
            An array `[n]` or `[n, d]`, or a dict of such arrays. Defaults to None: the task answers
            with no sets or ranges.
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
        """Return answers that hold the truth as often as was asked for.

        Args:
            names: As for `predictions`.
            outputs: As for `predictions`.
            classes: As for `predictions`.
            reach: Gives for the distances of examples the one that is enough.
            distances: Those of examples that the model was not trained on.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `covering(...)`.")

    def config(self) -> dict[str, Any]:
        """Return the arguments that build the task again, as JSON values, without the recipe's."""
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
        """Return the name of a layer of the head."""
        return f"{self.prefix}{layer}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
