"""Which pretrained backbone suits the data, before any is trained."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from kft.blocks import find_anatomy
from kft.data.examples import Examples
from kft.errors import InputError
from kft.forward import Forward
from kft.recipe import Recipe
from kft.tuning.logme import Evidence, targets_of

SHUFFLES = 10


@dataclasses.dataclass(frozen=True)
class Candidate:
    """How a backbone did.

    Attributes:
        name: as it was passed.
        score: its LogME.
        by_chance: the best LogME of the same features with shuffled labels.
        features: how many features it has.
        seconds: how long the pass took.
    """

    name: str
    score: float
    by_chance: float
    features: int
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether the features tell more about the labels than about shuffled ones."""
        return self.score > self.by_chance


@dataclasses.dataclass(frozen=True, repr=False)
class Ranking:
    """Backbones by their LogME, the best first; it prints as a table.

    Attributes:
        candidates: the backbones.
        examples: over how many examples they ran.
    """

    candidates: tuple[Candidate, ...]
    examples: int

    @property
    def verdict(self) -> str:
        """What to make of it, in a sentence."""
        if not any(one.fits for one in self.candidates):
            return (
                "None of them fits: their features say no more about these labels than about "
                "shuffled ones. Unfreeze deep, look at the labels, or try other backbones."
            )
        return f"Begin with {self.candidates[0].name}."

    def to_dict(self) -> dict[str, Any]:
        """The ranking as plain values."""
        ranked = [{**dataclasses.asdict(one), "fits": one.fits} for one in self.candidates]
        return {"examples": self.examples, "ranking": ranked, "verdict": self.verdict}

    def __rich__(self) -> Table:
        table = Table(
            title=f"LogME on {self.examples} examples, larger is better", title_justify="left"
        )
        for column in ("", "recipe", "LogME", "by chance", "features", "seconds"):
            table.add_column(column, justify="left" if column == "recipe" else "right")
        for place, one in enumerate(self.candidates, start=1):
            scores = f"{one.score:.4f}", f"{one.by_chance:.4f}"
            table.add_row(str(place), one.name, *scores, f"{one.features:,}", f"{one.seconds:.1f}")
        table.caption = self.verdict
        table.caption_justify = "left"
        return table

    def __str__(self) -> str:
        console = Console(width=120, color_system=None, force_terminal=False)
        with console.capture() as capture:
            console.print(self)
        return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").splitlines())

    __repr__ = __str__


def rank(
    recipes: Mapping[str, Recipe],
    data: Any,
    *,
    batch_size: int = 32,
    say: Callable[[str], None] | None = None,
) -> Ranking:
    """Rank recipes by the LogME of their frozen, pooled features on labelled data.

    Each backbone runs once over the data; nothing is trained. LogME looks at a linear head, so it
    says which backbone to begin with, not how far deep stages will get.

    Args:
        recipes: a name for each recipe.
        data: as `train` of `Recipe.fit`.
        batch_size: examples a step.
        say: called with a line as each backbone is done.

    Raises:
        InputError: there is no recipe, or the data are a stream.
    """
    if not recipes:
        raise InputError("`recipes` is empty: pass at least one, such as {'ResNet50': recipe}.")
    found, count = [], 0
    for name, recipe in recipes.items():
        started = time.perf_counter()
        examples = recipe.read(data)
        if not isinstance(examples, Examples):
            raise InputError(f"a {examples.source} cannot be ranked by: pass a folder or a table.")
        features, labels = pooled_features(recipe, examples, batch_size)
        score, by_chance = _scores(features, labels)
        seconds = time.perf_counter() - started
        found.append(Candidate(name, score, by_chance, features.shape[1], seconds))
        count = len(examples)
        if say is not None:
            say(f"{name}: {score:.4f} in {seconds:.1f} s")
    return Ranking(tuple(sorted(found, key=lambda one: -one.score)), count)


def pooled_features(
    recipe: Recipe, examples: Examples, batch_size: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """What the head of an untrained recipe gets, `[examples, features]`, and the labels with it.

    Args:
        recipe: the recipe.
        examples: what `Recipe.read` returned.
        batch_size: examples a step.
    """
    recipe.learn(examples)
    model = recipe.model
    head = set(find_anatomy(model).head.layers)
    first = next(layer for layer in model.layers if layer in head)
    extractor = Forward(keras.Model(model.input, first.input))
    batches = recipe.batches(examples, batch_size=batch_size)
    features, labels = [], []
    for index in range(len(batches)):
        x, y, *_ = batches[index]
        rows = extractor(x)
        features.append(rows.reshape(len(rows), -1))
        labels.append(y)
    return np.concatenate(features), np.concatenate(labels)


def _scores(features: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    evidence, targets = Evidence(features), targets_of(labels)
    random = np.random.default_rng(0)
    shuffled = [np.mean(evidence.of(random.permutation(targets))) for _ in range(SHUFFLES)]
    return float(np.mean(evidence.of(targets))), float(max(shuffled))
