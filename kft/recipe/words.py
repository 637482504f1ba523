"""Where the words of a text begin and end among its tokens, in a graph that exports also use.

A text is split at white space, and each punctuation mark and each CJK character is a part of its
own, as in BERT. The parts are tokenized one by one, so that the first token of each is known. A
word is a run of parts: "U.N" and "well-known" are one word, but in "Germany's" the apostrophe and
the "s" are separate words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kft.tasks.tags.words import APOSTROPHES, CJK, ENDS, STARTS

__all__ = [
    "NOWHERE",
    "measure_words",
    "pack_words",
    "split_parts",
    "tokenized",
    "word_features",
    "word_inputs",
]

NOWHERE = -1
_ENDS = 2  # the tokens that begin and end a text

_SPACE = r"\s|\p{Cc}|\p{Cf}"
_MARK = r"[!-/]|[:-@]|[\[-`]|[{-~]|[\p{P}]"
_CJK = "|".join(f"[\\x{{{first:X}}}-\\x{{{last:X}}}]" for first, last in CJK)
_ALONE = f"{_MARK}|{_CJK}"


def pack_words(preprocessor: Any, texts: Any) -> dict[str, Any]:
    """Convert a string tensor `[n]` to the inputs of an encoder, and the positions of its words.

    Args:
        preprocessor: A KerasHub preprocessor.
        texts: The texts, in UTF-8.

    Returns:
        `token_ids`, `padding_mask`, `segment_ids`; `word_starts`, int32 `[n, length]`, the byte at
        which a part of the text begins, at the part's first token, otherwise -1; and `word_ends`, the
        byte at which the word that begins there ends, -1 for a part within a word.
    """
    import tensorflow as tf

    parts, starts, ends = split_parts(texts)
    ragged, placed = tokenized(preprocessor, parts)
    token_ids, segment_ids = preprocessor.packer((ragged,))
    length = preprocessor.sequence_length
    places = {
        name: _placed(ragged.with_flat_values(placed(values)), length)
        for name, values in ((STARTS, starts.flat_values), (ENDS, _word_ends(parts, starts, ends)))
    }
    packed = {
        "token_ids": token_ids,
        "padding_mask": token_ids != preprocessor.tokenizer.pad_token_id,
        "segment_ids": segment_ids,
        **places,
    }
    return {name: tf.cast(values, tf.int32) for name, values in packed.items()}


def measure_words(preprocessor: Any, texts: Any) -> tuple[Any, Any, Any]:
    """Return where texts may be cut, between words; see `kft.recipe.cutting.Cutter`."""
    import tensorflow as tf

    parts, starts, ends = split_parts(texts)
    tokens = tf.cast(preprocessor.tokenizer(parts.flat_values).row_lengths(), tf.int32)
    word_ends = _word_ends(parts, starts, ends)
    begins = word_ends != NOWHERE
    word = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    firsts = tf.boolean_mask(starts.flat_values, begins)
    each = [firsts, tf.boolean_mask(word_ends, begins), tf.math.segment_sum(tokens, word)]
    before = tf.concat([[0], tf.cumsum(tf.cast(begins, tf.int64))], 0)
    rooms = tf.fill(tf.shape(texts), preprocessor.sequence_length - _ENDS)
    return rooms, tf.stack(each, axis=1), tf.gather(before, parts.row_splits)


def split_parts(texts: Any) -> tuple[Any, Any, Any]:
    """Return the parts of texts, and the bytes at which each starts and ends, ragged `[n, parts]`.

    Args:
        texts: A string tensor `[n]`.
    """
    import tensorflow as tf
    import tensorflow_text as tf_text

    parts, starts, ends = tf_text.regex_split_with_offsets(texts, f"{_SPACE}|{_ALONE}", _ALONE)
    return parts, tf.cast(starts, tf.int32), tf.cast(ends, tf.int32)


def tokenized(preprocessor: Any, parts: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the tokens of texts, and a function from values of parts to values of tokens.

    Args:
        preprocessor: A KerasHub preprocessor.
        parts: The parts that `split_parts` returned.

    Returns:
        The tokens, ragged `[n, tokens]`; and a function from one value per part to one value per
        token, -1 for tokens that are not the first of a part.
    """
    import tensorflow as tf

    pieces = preprocessor.tokenizer(parts.flat_values)
    rows = pieces.value_rowids()
    is_first = tf.concat([[True], rows[1:] != rows[:-1]], 0)[: tf.size(rows)]
    counts = tf.math.segment_sum(pieces.row_lengths(), parts.value_rowids())
    counts = tf.concat([counts, tf.zeros([parts.nrows() - tf.size(counts, tf.int64)], tf.int64)], 0)
    ragged = tf.RaggedTensor.from_row_lengths(pieces.flat_values, counts)
    return ragged, lambda values: tf.where(is_first, tf.gather(values, rows), NOWHERE)


def word_inputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return an encoder's inputs, and inputs for where words begin and end.

    Args:
        inputs: The encoder's inputs, by name.
    """
    own = {name: keras.Input((None,), dtype="int32", name=name) for name in (STARTS, ENDS)}
    return {**inputs, **own}


def word_features(tokens: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the features for a task that needs `"words"`: those of tokens, and positions of words.

    Args:
        tokens: `(batch, length, channels)`, returned under the name `tokens`.
        inputs: The result of `word_inputs`; positions keep their names.
    """
    return {"tokens": tokens, **{name: inputs[name] for name in (STARTS, ENDS)}}


def _word_ends(parts: Any, starts: Any, ends: Any) -> Any:
    """Return the end of the word that begins with each part, -1 for a part within a word; flat."""
    import tensorflow as tf

    start, end, texts = starts.flat_values, ends.flat_values, parts.flat_values
    row = parts.value_rowids()
    alone = tf.strings.regex_full_match(texts, _ALONE)
    joins = tf.strings.regex_full_match(texts, _MARK)
    for apostrophe in APOSTROPHES:
        joins &= texts != apostrophe
    touches = (row[1:] == row[:-1]) & (start[1:] == end[:-1])  # the part before
    after_letters = tf.concat([[False], touches & ~alone[:-1]], 0)[: tf.size(row)]
    before_letters = tf.concat([touches & ~alone[1:], [False]], 0)[: tf.size(row)]
    is_joint = joins & after_letters & before_letters
    follows_joint = tf.concat([[False], touches & is_joint[:-1]], 0)[: tf.size(row)]
    begins = ~(is_joint | follows_joint)
    # The parts of a word share a number; the word's end is that of its last part.
    word = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    last = tf.math.segment_max(end, word)
    return tf.where(begins, tf.gather(last, word), NOWHERE)


def _placed(ragged: Any, length: int) -> Any:
    """Return values of tokens padded for the start and end tokens of a text."""
    import tensorflow as tf

    values = ragged[:, : length - _ENDS].to_tensor(NOWHERE, shape=[None, length - _ENDS])
    return tf.pad(values, [[0, 0], [1, 1]], constant_values=NOWHERE)
