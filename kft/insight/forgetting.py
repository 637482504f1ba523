"""What a recipe has forgotten of another task, measured on the input features of its head."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.arguments.calls import checked_call
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels
from kft.data.read import read
from kft.errors import InputError
from kft.family.features import head_inputs
from kft.insight.given import check_recipe

if TYPE_CHECKING:
    from kft.family.hooks import Family

MOST = 5_000  # examples; neighbours are found by comparing all of them
FOLDS = 3
NEIGHBOURS = 5


@dataclasses.dataclass(frozen=True)
class Forgetting:
    """How well features predict the classes of a source task, before and after fine-tuning.

    Attributes:
        source: The name of the source data.
        examples: The number of examples used.
        classes: The number of their classes.
        chance: Accuracy of always predicting the most frequent class.
        probe: Cross-validated accuracy of a linear classifier on the features, before and after.
        neighbours: Accuracy of a vote of the five nearest neighbours, before and after.
        similarity: Linear CKA of the features before and after, 1 for the same up to rotation and
            scale (Kornblith 2019, https://arxiv.org/abs/1905.00414).
    """

    source: str
    examples: int
    classes: int
    chance: float
    probe: tuple[float, float]
    neighbours: tuple[float, float]
    similarity: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.examples:,} examples of {self.classes} classes"]
        for name, (before, after) in (("probe", self.probe), ("neighbours", self.neighbours)):
            lines.append(f"{name}: {before:.3f} before, {after:.3f} after ({after - before:+.3f})")
        return "\n".join([*lines, f"similarity of the features: {self.similarity:.3f}"])


@checked_call
def forgetting(recipe: Family, data: Any, *, batch_size: int = 32) -> Forgetting:
    """Measure what fine-tuning did to features for another task.

    A recipe's head is new, so there is no old head whose accuracy could fall; only the backbone can
    forget. So the source data are converted to features by the pretrained and by the present backbone,
    and the same simple classifiers are fitted to both: a ridge classifier and nearest neighbours.

    Args:
        recipe: A fitted recipe whose pretrained weights are still available.
        data: Labelled data of the source task, one label each, as for `fit`; their classes may be any.
            At most 5,000 examples, evenly spaced, are used.
        batch_size: Examples per step.

    Returns:
        The figures before and after; they print as lines.

    Raises:
        InputError: If the data are a stream, one of their classes has fewer than two examples, or the
            pretrained weights are gone.
    """
    check_recipe(recipe)
    task = data.task if isinstance(data, Examples) else SingleLabels()
    examples = read(data, task=task, modality=recipe.modality)
    labels = task.balanced(examples.targets) if isinstance(examples, Examples) else None
    if labels is None or not isinstance(examples, Examples):
        raise InputError(
            f"{examples.source} cannot be the source data: pass files, a table or arrays with one "
            "label for each example."
        )
    recipe.check_examples(examples)
    chosen = np.unique(np.linspace(0, len(examples) - 1, MOST).astype(int))
    examples, labels = examples.take(chosen), labels[chosen]
    few = [name for name, count in examples.counts().items() if 0 < count < 2]
    if few or np.ptp(labels) == 0:
        what = f"only one example of {few[0]!r}" if few else "a single class"
        raise InputError(
            f"{examples.source} has {what}: pass two classes or more, with two examples each."
        )
    pretrained = recipe.pretrained()
    pretrained.restore(recipe.state())
    before, _ = head_inputs(pretrained, examples, batch_size)
    after, _ = head_inputs(recipe, examples, batch_size)
    shares = np.bincount(labels) / len(labels)
    return Forgetting(
        source=examples.source,
        examples=len(examples),
        classes=int((shares > 0).sum()),
        chance=float(shares.max()),
        probe=(_probe(before, labels), _probe(after, labels)),
        neighbours=(_neighbours(before, labels), _neighbours(after, labels)),
        similarity=_similarity(before, after),
    )


def _probe(features: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    counts = np.bincount(labels)
    folds = StratifiedKFold(min(FOLDS, int(counts[counts > 0].min())), shuffle=True, random_state=0)
    # Ridge has a closed form, so no unfinished optimisation can look like forgetting.
    classifier = make_pipeline(StandardScaler(), RidgeClassifier(alpha=float(features.shape[1])))
    return float(cross_val_score(classifier, features, labels, cv=folds).mean())


def _neighbours(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the leave-one-out accuracy; ties go to the class with nearer neighbours."""
    directions = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, -np.inf)
    count = min(NEIGHBOURS, len(labels) - 1)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    votes = np.zeros((len(labels), int(labels.max()) + 1))
    for place in range(count):
        votes[np.arange(len(labels)), labels[nearest[:, place]]] += 1 - place / 100
    return float((votes.argmax(axis=1) == labels).mean())


def _similarity(before: np.ndarray, after: np.ndarray) -> float:
    one, other = (np.asarray(each, "float64") for each in (before, after))
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    shared = float(np.linalg.norm(one.T @ other)) ** 2
    lengths = float(np.linalg.norm(one.T @ one)) * float(np.linalg.norm(other.T @ other))
    return shared / max(lengths, 1e-300)
