"""Integrated gradients: the contribution of each pixel or token to a score."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.arguments import check_whole
from kft.arguments.calls import checked_call
from kft.errors import InputError
from kft.insight.explain import parts
from kft.insight.explain.gradients import InputGradient
from kft.insight.explain.images import ImageExplanation, load_inputs
from kft.insight.explain.targets import choose
from kft.insight.explain.texts import TextExplanation
from kft.insight.given import check_recipe

if TYPE_CHECKING:
    from kft.family.hooks import Family


_MOST_STEPS = 10_000


@checked_call
def integrated_gradients(
    recipe: Family, raw: Any, *, target: str | int | None = None, steps: int = 50
) -> ImageExplanation | TextExplanation:
    """Attribute a score to pixels or tokens (Sundararajan 2017, https://arxiv.org/abs/1703.01365).

    Gradients are averaged along the straight line from a baseline, a black image or a text of padding
    tokens, to the input, and multiplied by their difference. Their sum is the score minus that of the
    baseline, up to the error of summing `steps` gradients, which is returned as `gaps`.

    Args:
        recipe: A recipe for images or texts.
        raw: As for `predict`.
        target: Name or index of the class to explain. Defaults to each input's predicted class.
        steps: Number of gradients along the line, at most 10,000. Defaults to 50.

    Returns:
        An `ImageExplanation` or `TextExplanation`.

    Raises:
        InputError: If `steps` or `target` is wrong, or the recipe is for neither images nor texts.
    """
    check_recipe(recipe)
    check_whole("steps", steps, "gradients", most=_MOST_STEPS)
    if recipe.modality not in ("image", "text"):
        raise InputError(
            f"{type(recipe).__name__} takes {recipe.modality}s: expected images or texts."
        )
    raw = [raw] if isinstance(raw, (str, bytes, os.PathLike)) else raw
    inputs = load_inputs(recipe, raw)
    scores = recipe.model.predict_on_batch(inputs)
    chosen = choose(recipe, scores, target)
    if recipe.modality == "image":
        black = np.zeros_like(inputs)
        found = _along(InputGradient(recipe.model), black, inputs, [], chosen.weights, steps)
        gaps = _gaps(found, scores, recipe.model.predict_on_batch(black), chosen.weights)
        return ImageExplanation(
            "Integrated gradients",
            inputs,
            found.sum(axis=-1),
            chosen.labels,
            chosen.scores,
            gaps,
        )
    below, above, names = parts.embeddings(recipe.model)
    tokenizer = recipe.preprocessor.tokenizer  # type: ignore[attr-defined]
    nothing = np.full_like(inputs["token_ids"], getattr(tokenizer, "pad_token_id", None) or 0)
    # Not zero embeddings: the norm that follows would magnify points close to them.
    empty, embedded = map(below.predict_on_batch, (nothing, inputs["token_ids"]))
    others = [inputs[name] for name in names]
    found = _along(InputGradient(above), empty, embedded, others, chosen.weights, steps)
    baseline = above.predict_on_batch([empty, *others])
    gaps = _gaps(found, scores, baseline, chosen.weights)
    by_token = found.sum(axis=-1)
    lengths = inputs["padding_mask"].sum(axis=1).astype(int)
    return TextExplanation(
        tuple(map(str, raw)),
        tuple(
            tuple(str(tokenizer.id_to_token(int(token))) for token in row[:length])
            for row, length in zip(inputs["token_ids"], lengths, strict=True)
        ),
        tuple(row[:length] for row, length in zip(by_token, lengths, strict=True)),
        chosen.labels,
        chosen.scores,
        gaps,
    )


def _along(
    gradient: InputGradient,
    start: np.ndarray,
    end: np.ndarray,
    others: list,
    weights: np.ndarray,
    steps: int,
) -> np.ndarray:
    """Return the mean gradient from `start` to `end`, by the midpoint rule, times their difference."""
    total = np.zeros(end.shape, "float64")
    for step in range(steps):
        part = start + (end - start) * ((step + 0.5) / steps)
        total += gradient([part, *others] if others else part, weights)
    return total / steps * (end - start)


def _gaps(
    found: np.ndarray, scores: np.ndarray, baseline: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    should = ((scores - baseline) * weights).sum(axis=1)
    return found.reshape(len(found), -1).sum(axis=1) - should
