"""Text generation by a language model, with KerasHub's `CausalLM.generate` and samplers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import keras_hub
import numpy as np

from kft.arguments import check_seed, check_whole, is_number, make_plain, shown
from kft.errors import InputError
from kft.model.precision import built_with
from kft.recipe.prompts import end_tokens, pad_rows, start_tokens, tokens_of
from kft.recipe.token_recipe import TokenRecipe
from kft.tasks.predictions.continuations import Continuations

__all__ = ["Sampling", "generate", "generator_class"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of text generation; `LanguageRecipe.generate` documents the arguments."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    stop: str | Sequence[str]  # a tuple once checked
    seed: int
    batch_size: int

    def __post_init__(self) -> None:
        make_plain(self)
        check_whole("max_new_tokens", self.max_new_tokens, "tokens")
        check_whole("batch_size", self.batch_size, "prompts")
        check_seed(self.seed)
        if not is_number(self.temperature) or not 0 <= self.temperature < float("inf"):
            raise InputError(
                f"`temperature={shown(self.temperature)}`: pass 0 for the most probable tokens, or a "
                "number above, such as 0.8."
            )
        if self.top_k is not None:
            check_whole("top_k", self.top_k, "tokens")
        if self.top_p is not None and not (is_number(self.top_p) and 0 < self.top_p <= 1):
            raise InputError(
                f"`top_p={shown(self.top_p)}`: pass a probability above 0 and up to 1, such as 0.9."
            )
        stop = [self.stop] if isinstance(self.stop, str) else self.stop
        is_list = isinstance(stop, list | tuple)
        if not is_list or not all(isinstance(one, str) and one for one in stop):
            raise InputError(
                f"`stop={shown(self.stop)}`: pass a text, or a list of texts that are not empty."
            )
        object.__setattr__(self, "stop", tuple(stop))

    def sampler(self, vocabulary: int) -> Any:
        """Return KerasHub's sampler for a vocabulary of this size."""
        if self.temperature == 0:
            return keras_hub.samplers.GreedySampler()
        settings: dict[str, Any] = {"seed": self.seed, "temperature": self.temperature}
        k = None if self.top_k is None else min(self.top_k, vocabulary)
        if self.top_p is not None:
            return keras_hub.samplers.TopPSampler(p=self.top_p, k=k, **settings)
        if k is not None:
            return keras_hub.samplers.TopKSampler(k=k, **settings)
        return keras_hub.samplers.RandomSampler(**settings)


def generator_class(backbone: Any, preset: str) -> type:
    """Return KerasHub's class of a generative model with such a backbone.

    Args:
        backbone: A KerasHub backbone.
        preset: The preset as the user named it, for messages.

    Raises:
        InputError: If there is none.
    """
    base = keras_hub.models.CausalLM
    for found in vars(keras_hub.models).values():
        is_generator = isinstance(found, type) and issubclass(found, base) and found is not base
        if is_generator and found.backbone_cls is type(backbone):
            return found
    raise InputError(
        f"`preset={preset!r}` holds a {type(backbone).__name__}, which writes no texts: pass a language "
        "model such as GPT-2 or Llama."
    )


def generate(recipe: TokenRecipe, texts: Sequence[str], sampling: Sampling) -> Continuations:
    """Continue texts.

    Args:
        recipe: The recipe.
        texts: The prompts.
        sampling: The settings.

    Raises:
        InputError: If there is no prompt, or one leaves no room for new tokens.
    """
    if not texts:
        raise InputError("`generate` got no prompts: pass at least one.")
    _ = recipe.model  # builds it with its trained weights
    start = start_tokens(recipe.preprocessor)
    rows = tokens_of(recipe.preprocessor.tokenizer, texts)
    tokens = [np.array([*start, *row], np.int32) for row in rows]
    for text, row in zip(texts, tokens, strict=True):
        _check_room(text, len(row), sampling.max_new_tokens, recipe.longest)
    with built_with(recipe.precision):
        kind = generator_class(recipe.encoder, recipe.preset)
        model = kind(backbone=recipe.encoder, preprocessor=None)
    vocabulary = recipe.preprocessor.tokenizer.vocabulary_size()
    model.compile(sampler=sampling.sampler(vocabulary), jit_compile=False)
    found: list[str] = []
    for first in range(0, len(texts), sampling.batch_size):
        chunk = tokens[first : first + sampling.batch_size]
        found += _written(recipe, model, chunk, sampling)
    return Continuations(list(texts), found)


def _check_room(text: str, count: int, new: int, longest: int) -> None:
    if not count:
        raise InputError("a prompt without tokens: this model has no token that begins a text.")
    if count + new > longest:
        raise InputError(
            f"the prompt {text[:30]!r}... has {count} tokens, which leaves no room for "
            f"`max_new_tokens={new}` in a model of {longest} tokens: shorten one of the two."
        )


def _written(
    recipe: TokenRecipe, model: keras.Model, rows: list[np.ndarray], sampling: Sampling
) -> list[str]:
    """Return the continuations of a batch of prompts."""
    tokenizer = recipe.preprocessor.tokenizer
    ends = end_tokens(tokenizer)
    length = max(map(len, rows)) + sampling.max_new_tokens
    # The padding after a prompt must not look like an end.
    pad = next(number for number in range(len(ends) + 1) if number not in ends)
    inputs = pad_rows(rows, length, pad)
    inputs["padding_mask"] = inputs["padding_mask"].astype(bool)
    ids = np.asarray(model.generate(inputs, stop_token_ids=ends or None)["token_ids"])
    found = []
    for row, generated in zip(rows, ids, strict=True):
        new = generated[len(row) : len(row) + sampling.max_new_tokens]
        at_end = np.flatnonzero(np.isin(new, ends))
        found.append(new[: at_end[0]] if len(at_end) else new)
    prompts = [row[len(start_tokens(recipe.preprocessor)) :] for row in rows]
    whole = [[*prompt, *new] for prompt, new in zip(prompts, found, strict=True)]
    texts = _as_texts(tokenizer, [*map(list, prompts), *whole])
    before, after = texts[: len(rows)], texts[len(rows) :]
    return [
        _until(text.removeprefix(prompt), sampling.stop)
        for prompt, text in zip(before, after, strict=True)
    ]


def _as_texts(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    return [str(one) for one in tokenizer.detokenize([[int(n) for n in row] for row in rows])]


def _until(text: str, stop: Sequence[str]) -> str:
    """Return a text up to the first stop text."""
    places = [place for one in stop if (place := text.find(one)) >= 0]
    return text[: min(places)] if places else text
