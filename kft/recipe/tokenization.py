"""Tokenization of texts by the same graph in training, prediction and exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras_hub
import numpy as np

from kft.data.values import kind_of
from kft.errors import InputError
from kft.family.serving import ServingInputs
from kft.recipe.served_tokenizers import servable
from kft.recipe.token_graphs import graph, with_length
from kft.recipe.words import pack_words

LONGEST_TEXT = 131_072  # characters that are tokenized; the rest is ignored
NOT_UTF8 = "not UTF-8"

Places = Callable[[Any, Any], dict[str, Any]]


def pack(preprocessor: Any, texts: Any, places: Places | None = None) -> dict[str, Any]:
    """Convert a string tensor `[n]` to the inputs of an encoder, in TensorFlow's graph ops.

    Args:
        preprocessor: The result of `with_length`.
        texts: The texts, in UTF-8.
        places: A function that also returns positions of words, `kft.recipe.words.pack_words` or
            `kft.recipe.pairs.pack_pairs`. Defaults to the preprocessor itself.
    """
    import tensorflow as tf

    # A tokenizer needs about sixty bytes of memory per byte, and then drops most tokens.
    texts = tf.strings.substr(texts, 0, LONGEST_TEXT, unit="UTF8_CHAR")
    if places is not None:
        return places(preprocessor, texts)
    made = preprocessor(texts)
    if "padding_mask" not in made:  # F-Net's encoder takes none
        is_text = made["token_ids"] != preprocessor.tokenizer.pad_token_id
        made = {**made, "padding_mask": is_text}
    return {name: tf.cast(values, tf.int32) for name, values in made.items()}


def packer(
    preprocessor: Any, length: int, places: Places | None = None
) -> Callable[[Sequence[str | bytes]], dict[str, np.ndarray]]:
    """Return a function that converts texts to arrays of tokens, on the CPU.

    Args:
        preprocessor: The KerasHub preprocessor.
        length: Tokens of each text.
        places: As for `pack`.
    """
    import tensorflow as tf

    traced = graph(pack, with_length(preprocessor, length), places=places)

    def packed(texts: Sequence[str | bytes]) -> dict[str, np.ndarray]:
        with tf.device("CPU"):
            tokens = traced(tf.constant([*map(_as_text, texts)], tf.string))
        return {name: tensor.numpy() for name, tensor in tokens.items()}

    return packed


def suggested_length(counts: np.ndarray, longest: int, form: str = "text") -> int:
    """Return a length that 99 of 100 texts fit into, rounded up to a multiple of 8.

    Args:
        counts: Tokens of each text.
        longest: The maximum of the encoder.
        form: `"pairs"` if all texts must fit; `"words"`, where cut words have no prediction, for twice
            the longest, up to the encoder's maximum. Defaults to `"text"`.
    """
    most = int(counts.max())
    fits = {"words": 2 * most, "pairs": most}.get(form, int(np.ceil(np.quantile(counts, 0.99))))
    return min(longest, max(8, -(-fits // 8) * 8))


def lengths(load: Callable[..., Any], texts: Sequence[str], longest: int) -> np.ndarray:
    """Return how many tokens each text has, cut to the encoder's maximum, `[n]`.

    Args:
        load: `load(texts, length)` returns the encoder's inputs.
        texts: The texts.
        longest: The maximum of the encoder.
    """
    counts = [
        load(texts[start : start + 512], longest)["padding_mask"].sum(axis=1)
        for start in range(0, len(texts), 512)
    ]
    return np.concatenate(counts)


def check_word_pieces(tokenizer: Any, name: str, task: str) -> None:
    """Refuse a tokenizer whose tokens of a text are not those of its words and marks one by one.

    Args:
        tokenizer: The KerasHub tokenizer.
        name: The name of the model for the message.
        task: The name of the task.

    Raises:
        InputError: If it uses byte pairs or sentence pieces, which depend on the spaces around words.
    """
    if not isinstance(tokenizer, keras_hub.tokenizers.WordPieceTokenizer):
        raise InputError(
            f"the {type(tokenizer).__name__} of {name!r} tokenizes a text differently from its single "
            f"words, so that the answers of {task} cannot be aligned with words: choose a model with "
            "a WordPiece tokenizer, such as BERT, DistilBERT or ELECTRA."
        )


def check_words(preprocessor: Any, texts: Sequence[str], name: str, length: int = 128) -> None:
    """Refuse a tokenizer that tokenizes some texts differently from their single words.

    Args:
        preprocessor: The KerasHub preprocessor.
        texts: Some texts, of which `length` tokens are compared.
        name: The name of the model for the message.
        length: Tokens of each text. Defaults to 128.

    Raises:
        InputError: If the tokens of a text differ from those of its words one by one.
    """
    whole, parts = (packer(preprocessor, length, one)(texts) for one in (None, pack_words))
    differing = np.flatnonzero((whole["token_ids"] != parts["token_ids"]).any(axis=1))
    if len(differing):
        raise InputError(
            f"the tokenizer of {name!r} tokenizes {len(differing)} of {len(texts)} texts "
            "differently from their single words, so that tags cannot be aligned: choose a model with a "
            "WordPiece tokenizer, such as BERT."
        )


def utf8_rows(raw: Any) -> tuple[Any, Any]:
    """Return the rows of a string tensor `[n]` that are UTF-8, and a status for each of the n.

    Args:
        raw: Untrusted bytes, a TensorFlow tensor.
    """
    import tensorflow as tf

    # Dropping invalid bytes leaves valid UTF-8 unchanged.
    clean = tf.strings.unicode_transcode(raw, "UTF-8", "UTF-8", errors="ignore")
    is_text = tf.equal(clean, raw)
    return tf.boolean_mask(raw, is_text), tf.where(is_text, "", NOT_UTF8)


def serving_inputs(
    preprocessor: Any, length: int, places: Places | None, parts: tuple[str, ...]
) -> ServingInputs:
    """Return how an encoder's inputs are made of a string tensor `[n]`; invalid UTF-8 is left out.

    Args:
        preprocessor: The KerasHub preprocessor.
        length: Tokens of each text.
        places: As for `pack`.
        parts: The names of the texts that an input consists of, see `SourceHooks.input_parts`.
    """
    preprocessor = with_length(preprocessor, length, servable(preprocessor.tokenizer))

    def decode(raw: Any) -> tuple[Any, Any]:
        texts, status = utf8_rows(raw)
        return pack(preprocessor, texts, places), status

    return ServingInputs(decode, (preprocessor.tokenizer,), parts)


def _as_text(value: Any) -> str | bytes:
    """Return a text unchanged; refuse missing values, which would become "None" or "nan"."""
    if not isinstance(value, str | bytes):
        raise InputError(f"{kind_of(value)} is not a text: pass strings.")
    return value
