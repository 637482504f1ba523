"""A ranking of pretrained backbones on the data, before any of them is trained."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from kft.data.examples import Examples
from kft.errors import InputError
from kft.family.features import head_inputs
from kft.family.hooks import Family
from kft.printing import as_text, captioned, how_many
from kft.report.progress import Progress
from kft.tuning.logme import Evidence, targets_of

SHUFFLES = 10


@dataclasses.dataclass(frozen=True)
class Candidate:
    """The result of one backbone.

    Attributes:
        name: Its name, as it was passed.
        score: Its LogME.
        by_chance: The best LogME of the same features with shuffled labels.
        features: The number of its features.
        seconds: The seconds that the pass took.
    """

    name: str
    score: float
    by_chance: float
    features: int
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether the features explain the labels better than shuffled ones."""
        return self.score > self.by_chance


@dataclasses.dataclass(frozen=True, repr=False)
class Ranking:
    """Backbones by their LogME, the best first, displayed as a table.

    Attributes:
        candidates: The results of the backbones.
        examples: The number of examples.
    """

    candidates: tuple[Candidate, ...]
    examples: int

    @property
    def verdict(self) -> str:
        """The conclusion, as text."""
        if not any(one.fits for one in self.candidates):
            return (
                "None of them fits: their features say no more about these labels than about "
                "shuffled ones. Unfreeze deep, look at the labels, or try other backbones."
            )
        return f"Begin with {self.candidates[0].name}."

    def to_dict(self) -> dict[str, Any]:
        """Return the ranking as plain values."""
        ranked = [{**dataclasses.asdict(one), "fits": one.fits} for one in self.candidates]
        return {"examples": self.examples, "ranking": ranked, "verdict": self.verdict}

    def __rich__(self) -> Group:
        table = Table()
        table.add_column("", justify="right")
        table.add_column("recipe", overflow="fold")  # names may differ only at the end
        for column in ("LogME", "by chance", "features", "seconds"):
            table.add_column(column, justify="right")
        for place, one in enumerate(self.candidates, start=1):
            scores = f"{one.score:.4f}", f"{one.by_chance:.4f}"
            table.add_row(str(place), one.name, *scores, f"{one.features:,}", f"{one.seconds:.1f}")
        caption = f"LogME on {how_many(self.examples, 'example')}, larger is better"
        return captioned(caption, table, self.verdict)

    def __str__(self) -> str:
        return as_text(self, piped=120)

    __repr__ = __str__


def rank(
    recipes: Mapping[str, Family],
    data: Any,
    *,
    batch_size: int = 32,
    verbose: int | str = "auto",
) -> Ranking:
    """Rank recipes by the LogME of their frozen, pooled features on labelled data.

    Each backbone runs once over the data; nothing is trained. LogME scores a linear head, so it
    says which backbone to begin with, not how much deep stages will improve it. All recipes are
    built before the data are read, so that one that cannot be built fails before any pass.

    Args:
        recipes: The recipes by name.
        data: As `train` of `Recipe.fit`.
        batch_size: Examples per step.
        verbose: How progress is shown on standard error: 0 not at all, 1 as bars, 2 as lines.
            `"auto"` shows bars in a terminal or a notebook, and lines elsewhere.

    Raises:
        InputError: If there is no recipe, one cannot be built, they take different inputs, or the
            data are a stream.
    """
    build_all(recipes)
    for name, recipe in recipes.items():
        if not recipe.task.has_labels:
            raise InputError(
                f"{name} learns without labels, but backbones are ranked by how well their features separate "
                "the labels: compare such recipes by their evaluations."
            )
    examples = next(iter(recipes.values())).read(data)
    if not isinstance(examples, Examples):
        raise InputError(
            f"backbones cannot be ranked on a {examples.source}: pass a folder or a table."
        )
    found = []
    for place, (name, recipe) in enumerate(recipes.items(), start=1):
        started = time.perf_counter()
        own = recipe.read(examples)
        steps = -(-len(own) // batch_size)
        label = f"{name} ({place} of {len(recipes)})"
        with Progress(label, steps, verbose=verbose) as progress:
            recipe.learn(own)
            features, labels = head_inputs(recipe, own, batch_size, progress)
            score, by_chance = _scores(features, labels)
            seconds = time.perf_counter() - started
            found.append(Candidate(name, score, by_chance, features.shape[1], seconds))
            progress.say(f"{name}: {score:.4f} in {seconds:.1f} s")
    return Ranking(tuple(sorted(found, key=lambda one: -one.score)), len(examples))


def build_all(recipes: Mapping[str, Family]) -> None:
    """Build the model of each recipe, so that one that cannot be ranked is refused before any work.

    Args:
        recipes: The recipes by name.

    Raises:
        InputError: If there is no recipe, one cannot be built, or they take different inputs.
    """
    if not recipes:
        raise InputError("`recipes` is empty: pass at least one, such as {'ResNet50': recipe}.")
    (first, example), *others = recipes.items()
    for name, recipe in others:
        if recipe.modality != example.modality:
            raise InputError(
                f"{first} takes {example.modality}s and {name} takes {recipe.modality}s, but all "
                "are ranked on the same data: rank them in two calls."
            )
    for name, recipe in recipes.items():
        try:
            recipe.model  # noqa: B018  built on first access
        except InputError as error:
            raise InputError(f"{name}: {error}") from error


def pooled_features(
    recipe: Family, examples: Examples, batch_size: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs of an untrained recipe's head, `[examples, features]`, and the labels.

    Args:
        recipe: The recipe.
        examples: The examples that `Recipe.read` returned.
        batch_size: Examples per step.
    """
    recipe.learn(examples)
    return head_inputs(recipe, examples, batch_size)


def _scores(features: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    evidence, targets = Evidence(features), targets_of(labels)
    random = np.random.default_rng(0)
    shuffled = [np.mean(evidence.of(random.permutation(targets))) for _ in range(SHUFFLES)]
    return float(np.mean(evidence.of(targets))), float(max(shuffled))
