"""Tokens of a language model: of whole texts, of rows to train on, and of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.recipe.tokenization import LONGEST_TEXT

__all__ = ["end_tokens", "pack_prompts", "pad_rows", "start_tokens", "token_texts", "tokens_of"]

_AT_ONCE = 1024  # texts


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> list[np.ndarray]:
    """Return the tokens of each text, int32, without start and end tokens.

    KerasHub (0.32) then runs its SentencePiece and byte-pair tokenizers outside TensorFlow, whose
    SentencePiece is lost when TensorFlow's seed is set.

    Args:
        tokenizer: A KerasHub tokenizer.
        texts: The texts.
    """
    chunks = (list(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE))
    return [np.array(row, np.int32) for chunk in chunks for row in tokenizer.tokenize(chunk)]


def start_tokens(preprocessor: Any) -> list[int]:
    """Return the start token, in a list that is empty without one."""
    start = getattr(preprocessor.tokenizer, "start_token_id", None)
    return [int(start)] if preprocessor.add_start_token and start is not None else []


def end_tokens(tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end a text; the first one is appended to training texts."""
    names = ("end_token_id", "end_token2_id")  # Llama 3 has two
    found = [getattr(tokenizer, name, None) for name in names]
    return tuple(int(one) for one in found if one is not None)


def pad_rows(rows: Sequence[np.ndarray], length: int, pad: int) -> dict[str, np.ndarray]:
    """Return rows of tokens as a model's inputs, int32 `[n, length]`.

    Args:
        rows: The tokens of each row.
        length: Tokens to pad to.
        pad: The token to pad with.
    """
    counts = np.array([len(row) for row in rows])
    mask = np.arange(length) < counts[:, None]
    tokens = np.full(mask.shape, pad, np.int32)
    tokens[mask] = np.concatenate(rows)
    return {"token_ids": tokens, "padding_mask": mask.astype(np.int32)}


def pack_prompts(
    preprocessor: Any, texts: Any, length: int, tokenizer: Any = None
) -> dict[str, Any]:
    """Convert a string tensor `[n]` to a model's inputs, in TensorFlow's graph ops.

    Longer texts keep their last tokens, which the continuation depends on most.

    Args:
        preprocessor: The KerasHub preprocessor.
        texts: The texts, in UTF-8.
        length: Tokens to cut and pad to.
        tokenizer: The tokenizer to use. Defaults to the preprocessor's.
    """
    import tensorflow as tf

    first = tf.maximum(tf.strings.length(texts, unit="UTF8_CHAR") - LONGEST_TEXT, 0)
    longest = tf.fill(tf.shape(first), LONGEST_TEXT)
    texts = tf.strings.substr(texts, first, longest, unit="UTF8_CHAR")
    start = start_tokens(preprocessor)
    tokens = tf.cast((tokenizer or preprocessor.tokenizer)(texts), tf.int32)
    row = tokens.value_rowids()
    left = tokens.row_limits() - tf.cast(length - len(start), tf.int64)
    place = tf.range(tf.size(row, tf.int64))
    tokens = tf.ragged.boolean_mask(tokens, tokens.with_flat_values(place >= tf.gather(left, row)))
    begins = tf.fill([tf.shape(texts)[0], len(start)], start[0] if start else 0)
    tokens = tf.concat([tf.RaggedTensor.from_tensor(begins, row_splits_dtype=tf.int64), tokens], 1)
    mask = tokens.with_flat_values(tf.ones_like(tokens.flat_values))
    pad, shape = int(preprocessor.tokenizer.pad_token_id or 0), [None, length]
    return {
        "token_ids": tokens.to_tensor(pad, shape=shape),
        "padding_mask": mask.to_tensor(0, shape=shape),
    }


def token_texts(tokenizer: Any) -> tuple[str, ...]:
    """Return the text that each token adds to another one; a special token by its name.

    A tokenizer drops the space at the start of a text, so each token is decoded after another one.

    Args:
        tokenizer: A KerasHub tokenizer.
    """
    lead = tokens_of(tokenizer, ["a"])[0].tolist()
    rows = [lead, *([*lead, number] for number in range(tokenizer.vocabulary_size()))]
    alone, *found = map(str, tokenizer.detokenize(rows))
    texts = [text.removeprefix(alone) for text in found]
    for number in tokenizer.special_token_ids:
        texts[int(number)] = str(tokenizer.id_to_token(int(number)))
    return tuple(texts)
