"""Tokenizers for a server's graph: the same tokens, without a table that grows as it runs."""

from __future__ import annotations

from typing import Any

import keras_hub

__all__ = ["servable"]


def servable(tokenizer: Any) -> Any:
    """Return a copy of a KerasHub tokenizer whose tokens an exported graph can compute.

    KerasHub's byte-pair tokenizers store each merged word in a table, which grows with the requests
    of a server: the copy merges each word again. Other tokenizers are returned themselves.

    Args:
        tokenizer: The tokenizer.
    """
    if isinstance(tokenizer, keras_hub.tokenizers.BytePairTokenizer):
        copy = type(tokenizer).from_config(tokenizer.get_config())
        copy.set_vocabulary_and_merges(tokenizer.vocabulary, tokenizer.merges)
        # An attribute that KerasHub (0.32) does not document; tests/recipes/test_byte_pairs.py guards it.
        copy.cache = _Uncached(tuple(copy.unsplittable_tokens or ()))
        return copy
    if hasattr(tokenizer, "set_proto"):  # its ops are lost when a seed is set
        tokenizer.set_proto(tokenizer.proto)
    return tokenizer


class _Uncached:
    """A replacement for the table of merged words that keeps an entry only for one lookup.

    Args:
        whole: Words that are never split, the special tokens.
    """

    def __init__(self, whole: tuple[str, ...]) -> None:
        self._whole = whole
        self._merged: Any = None

    def insert(self, words: Any, merged: Any) -> None:
        """Store the tokens of words, joined by spaces; special tokens stay whole."""
        import tensorflow as tf

        for token in self._whole:
            merged = tf.where(words == token, token, merged)
        self._merged = merged

    def lookup(self, words: Any) -> Any:
        """Return what was just inserted, or empty strings for unknown words."""
        import tensorflow as tf

        merged, self._merged = self._merged, None
        return tf.fill(tf.shape(words), "") if merged is None else merged
