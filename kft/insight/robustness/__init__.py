"""The accuracy of a recipe on corrupted inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.arguments import check_seed, check_whole, shown
from kft.data.examples import Examples
from kft.errors import InputError
from kft.family.answers import evaluate
from kft.family.naming import named_as
from kft.insight.robustness.attack import Attack, TextAttack
from kft.insight.robustness.images import CORRUPTIONS, corrupt
from kft.insight.robustness.result import Robustness
from kft.insight.robustness.texts import DISTORTIONS, distort
from kft.tasks import Evaluation
from kft.tasks.layers import DenseHead

if TYPE_CHECKING:
    from kft.family.hooks import Family

__all__ = ["Robustness", "evaluate_perturbed"]

SEVERITIES = (1, 2, 3, 4, 5)
FGSM = "fgsm"


def evaluate_perturbed(
    recipe: Family,
    data: Any,
    perturb: str | Sequence[str] = "standard",
    *,
    batch_size: int = 32,
    seed: int = 0,
) -> Robustness:
    """Evaluate a recipe on labelled data, and on the same data perturbed at five severities.

    Images are corrupted after resizing to the model's size, with the kinds and strengths of
    ImageNet-C (Hendrycks and Dietterich 2019, https://arxiv.org/abs/1903.12261), and by the fast
    gradient sign method (Goodfellow 2015, https://arxiv.org/abs/1412.6572). Texts get typos, capitals
    and missing words, and the method perturbs their embeddings. It needs the gradient of the loss, so
    it requires a task with a dense head. The perturbation of an example depends only on `seed` and
    its position in the data.

    Args:
        recipe: A recipe for images or texts.
        data: Labelled data, as for `Recipe.evaluate`, but not a stream.
        perturb: `"standard"` for all kinds that suit the inputs, or names of some of them.
        batch_size: Examples per step.
        seed: Seed of random perturbations.

    Returns:
        The figures of each kind and severity, which print as a table and draw as lines.

    Raises:
        InputError: If a name is unknown, or the data are a stream.
    """
    check_whole("batch_size", batch_size, "examples")
    check_seed(seed)
    names = perturbation_names(recipe, perturb)
    examples = recipe.read(data, classes=recipe.classes)
    if not isinstance(examples, Examples):
        raise InputError(f"a {examples.source} cannot be perturbed: pass files, a table or arrays.")
    with named_as(recipe, examples):
        return _perturbed(recipe, examples, names, batch_size, seed)


def _perturbed(
    recipe: Family, examples: Examples, names: Sequence[str], batch_size: int, seed: int
) -> Robustness:
    clean = evaluate(recipe, examples, batch_size)
    if recipe.modality == "text":
        worse = {
            name: _attacked(recipe, examples, batch_size)
            if name == FGSM
            else tuple(
                evaluate(recipe, _distorted(examples, name, severity, seed), batch_size)
                for severity in SEVERITIES
            )
            for name in names
        }
        return Robustness(clean, worse)
    scorers = {
        (name, severity): recipe.task.scorer(recipe.classes)
        for name in names
        for severity in SEVERITIES
    }
    attack = Attack(recipe) if FGSM in names else None
    for start in range(0, len(examples), batch_size):
        part = slice(start, start + batch_size)
        images = recipe.load(examples.inputs[part])
        targets = recipe.task.collate(_part(examples.targets, part), images)
        attacked = None if attack is None else attack(images, targets)
        for (name, severity), scorer in scorers.items():
            if name == FGSM and attacked is not None:
                changed = attacked(severity)
            else:
                changed = corrupt(images, name, severity, [seed, start])
            scorer.update(targets, recipe.model.predict_on_batch(changed))
    return Robustness(
        clean,
        {
            name: tuple(scorers[name, severity].result() for severity in SEVERITIES)
            for name in names
        },
    )


def perturbation_names(recipe: Family, perturb: Any) -> list[str]:
    """Return the names of the perturbations to use.

    Args:
        recipe: The recipe, whose inputs they must suit.
        perturb: As in `evaluate_perturbed`.

    Raises:
        InputError: If a name is unknown, or `perturb` is something else.
    """
    known = {"image": tuple(CORRUPTIONS), "text": tuple(DISTORTIONS)}.get(recipe.modality, ())
    if not known:
        raise InputError(
            f"`perturb={shown(perturb)}`: {type(recipe).__name__} takes {recipe.modality}s, but only images "
            "and texts are perturbed: leave it out."
        )
    if isinstance(recipe.task, DenseHead):
        known = (*known, FGSM)
    if isinstance(perturb, str):
        names = list(known) if perturb == "standard" else [perturb]
    else:
        names = list(perturb) if isinstance(perturb, Sequence) else []
    unknown = [name for name in names if not isinstance(name, str) or name not in known]
    if unknown or not names:
        raise InputError(
            f"`perturb={shown(perturb)}`: {', '.join(map(shown, unknown)) or 'nothing'} does not fit "
            f"{type(recipe).__name__}: pass 'standard', or some of {', '.join(map(repr, known))}."
        )
    return names


def _attacked(recipe: Family, texts: Examples, batch_size: int) -> tuple[Evaluation, ...]:
    attack = TextAttack(recipe)
    scorers = [recipe.task.scorer(recipe.classes) for _ in SEVERITIES]
    for start in range(0, len(texts), batch_size):
        part = slice(start, start + batch_size)
        targets = _part(texts.targets, part)
        worse = attack(recipe.load(texts.inputs[part]), targets)
        for scorer, severity in zip(scorers, SEVERITIES, strict=True):
            scorer.update(targets, worse(severity))
    return tuple(scorer.result() for scorer in scorers)


def _part(targets: Any, part: slice) -> Any:
    return keras.tree.map_structure(lambda rows: rows[part], targets)


def _distorted(examples: Examples, name: str, severity: int, seed: int) -> Examples:
    texts = np.empty(len(examples), dtype=object)
    texts[:] = [
        distort(str(text), name, severity, [seed, index])
        for index, text in enumerate(examples.inputs)
    ]
    return dataclasses.replace(examples, inputs=texts)
