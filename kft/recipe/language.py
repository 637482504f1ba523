"""Recipes for language models: the common part of KerasHub's decoders."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import keras_hub
import numpy as np

from kft.arguments.calls import checked_call
from kft.data.batches import Batches
from kft.data.buckets import BucketedBatches, choose_buckets
from kft.data.examples import Examples
from kft.errors import InputError
from kft.family.serving import ServingInputs
from kft.model import graph
from kft.recipe import tokenization
from kft.recipe.generation import Sampling, generate, generator_class
from kft.recipe.prompts import (
    end_tokens,
    pack_prompts,
    pad_rows,
    start_tokens,
    token_texts,
    tokens_of,
)
from kft.recipe.served_tokenizers import servable
from kft.recipe.token_graphs import digest
from kft.recipe.token_recipe import TokenRecipe
from kft.stages.lengths import deep_stage
from kft.stages.stage import Stage
from kft.tasks.language.parts import separated
from kft.tasks.language.rows import TokenRows, cut_rows
from kft.tasks.predictions.continuations import Continuations

_USUAL = 256  # tokens per row


@dataclass(kw_only=True, eq=False)
class LanguageRecipe(TokenRecipe):
    """A recipe whose model predicts the next token of texts, and generates texts.

    The head is the last norm, between the last decoder layer and the scores. The scores are products
    with the token embeddings, which in most families are also the weights of the model's input: they
    train with the deepest block.

    Args:
        preset: Name of a KerasHub preset such as `"gpt2_base_en"`, a handle such as
            `"hf://openai-community/gpt2"`, a preset folder, or a Hugging Face folder.
        weights: `"preset"` for the pretrained weights, None to start from scratch.
        sequence_length: The maximum of tokens per row. Longer texts are cut into several rows, longer
            prompts keep their end. Defaults to 256, or less if the model's maximum is less.
        backbone_dropout: Dropout in the decoder. Defaults to 0, so that the output of frozen layers
            is constant and can be cached.

    The other arguments are those of `kft.Recipe`.
    """

    gives: ClassVar[tuple[str, ...]] = ("next_token",)
    preprocessor_class: ClassVar[Any] = keras_hub.models.CausalLMPreprocessor

    task: Any = "next_token"
    backbone_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._rows: weakref.WeakKeyDictionary[Examples, TokenRows] = weakref.WeakKeyDictionary()

    @classmethod
    def longest_of(cls, encoder: Any) -> int:
        """Return the maximum of tokens of a decoder; rotary positions have no limit."""
        return int(getattr(encoder, "max_sequence_length", None) or 2**16)

    @property
    def length(self) -> int:
        """The maximum of tokens per row."""
        return self.sequence_length or min(_USUAL, self.longest)

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """The tokens of the vocabulary as texts."""
        return token_texts(self.preprocessor.tokenizer)

    def inputs(self) -> Any:
        """Return the decoder's inputs: `token_ids` and `padding_mask`, int32 `(batch, length)`."""
        generator_class(self.encoder, self.preset)  # refuses models that cannot generate
        return self.encoder.input

    def backbone(self, inputs: Any) -> Any:
        """Return the output of the last decoder layer, before the last norm."""
        return graph.features(self.encoder).output

    def head(self, backbone: Any, inputs: Any) -> Any:
        """Apply the last norm, compute the scores of all tokens, and apply the task's head."""
        scores = self.encoder.token_embedding(self.encoder.output, reverse=True)
        return self.task.head(scores, inputs)

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """Return the head, then everything, at a rate that is higher for narrower decoders."""
        rate = 5e-5 * 768 / self.encoder.hidden_dim
        return [self.head_stage(steps), deep_stage(steps, rate, most=15)]

    def load(self, raw: Sequence[str]) -> dict[str, np.ndarray]:
        """Tokenize prompts, int32 `[n, length]` each; longer ones keep their end."""
        start = np.array(start_tokens(self.preprocessor), np.int32)
        room = self.length - len(start)
        texts = [text[-tokenization.LONGEST_TEXT :] for text in raw]
        rows = tokens_of(self.preprocessor.tokenizer, texts)
        return self._padded([np.concatenate([start, row[-room:]]) for row in rows], self.length)

    def batches(
        self,
        examples: Examples,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        balance: str | None = None,
        augment: Callable | None = None,
    ) -> Batches:
        """Return batches of rows of tokens, padded to a few lengths chosen from the data."""
        if augment is not None:
            raise InputError(
                f"`augment={augment!r}`: rows of tokens are not augmented, leave it out."
            )
        cut = self._cut(examples)
        longest = -(-int(cut.lengths.max()) // 8) * 8
        rows = replace(
            examples,
            kind="arrays",
            inputs=cut.tokens,
            targets=cut.targets,
            places=cut.places,
            groups=None,  # of whole texts
            order=None,
        )
        return BucketedBatches(
            rows,
            self._padded,
            lengths=cut.lengths,
            buckets=choose_buckets(cut.lengths, min(self.length, longest)),
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            balance=balance,
        )

    def row_count(self, examples: Examples) -> int:
        """Return the number of rows into which the texts are cut."""
        return len(self._cut(examples).tokens)

    def input_identity(self) -> str:
        """Return a digest of the tokenizer's vocabulary and settings, and the length."""
        return f"language {digest(self.preprocessor.tokenizer, self.length)}"

    def from_stream(self, dataset: Any) -> Any:
        """Refuse streams, whose texts cannot be cut into rows."""
        raise InputError(
            f"{type(self).__name__} takes texts that fit into memory, and no stream: pass a list, JSON "
            "lines, a table or a folder."
        )

    def serving_inputs(self) -> ServingInputs:
        """Return how prompts, a string tensor `[n]`, are converted; invalid UTF-8 is left out."""
        preprocessor, tokenizer = self.preprocessor, servable(self.preprocessor.tokenizer)

        def decode(raw: Any) -> tuple[Any, Any]:
            texts, status = tokenization.utf8_rows(raw)
            return pack_prompts(preprocessor, texts, self.length, tokenizer), status

        return ServingInputs(decode, (tokenizer,))

    @checked_call
    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        max_new_tokens: int = 64,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] = (),
        seed: int = 0,
        batch_size: int = 32,
    ) -> Continuations:
        """Continue texts, token by token.

        Args:
            prompts: A text, or several.
            max_new_tokens: The maximum of tokens per continuation. Defaults to 64.
            temperature: The divisor of the scores: below 1 probable tokens become more probable, 0
                always chooses the most probable one. Defaults to 1.
            top_k: Sample from this number of most probable tokens. Defaults to all.
            top_p: Sample from the most probable tokens with this total probability. Defaults to 1.
            stop: Texts at which a continuation ends; they are not part of it. The model's own end token
                always ends one.
            seed: On one backend, equal seeds and prompts give equal continuations.
            batch_size: Prompts that are continued together. Defaults to 32.

        Returns:
            The continuations, without the prompts.

        Raises:
            InputError: If an argument is out of its range, or a prompt is too long.
        """
        sampling = Sampling(
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            stop=stop,
            seed=seed,
            batch_size=batch_size,
        )
        return generate(self, self.raw_inputs(prompts), sampling)

    def _padded(self, rows: Sequence[np.ndarray], length: int) -> dict[str, np.ndarray]:
        return pad_rows(rows, length, int(self.preprocessor.tokenizer.pad_token_id or 0))

    def _cut(self, examples: Examples) -> TokenRows:
        """Return the rows of examples, cut once."""
        if examples not in self._rows:
            self._rows[examples] = cut_rows(self._texts(examples), self.length)
        return self._rows[examples]

    def _texts(self, examples: Examples) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        """Yield for each text its tokens, which of them count, and its number of bytes that count."""
        tokenizer = self.preprocessor.tokenizer
        begins = start_tokens(self.preprocessor)
        ends = end_tokens(tokenizer)[: self.preprocessor.add_end_token]
        parts = [*map(separated, examples.inputs, examples.targets)]
        tokens = iter(tokens_of(tokenizer, [text for some in parts for text, _ in some]))
        for some in parts:
            pieces = [np.array(begins, np.int32), *(next(tokens) for _ in some)]
            pieces.append(np.array(ends, np.int32))
            flags = [False, *(counts for _, counts in some), some[-1][1]]
            size = sum(len(text.encode()) for text, counts in some if counts)
            yield np.concatenate(pieces), np.repeat(flags, [*map(len, pieces)]), size
