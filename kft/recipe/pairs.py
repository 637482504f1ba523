"""Questions and contexts as one row of tokens.

A text has the question on its first line, followed by the context. Their tokens are packed as
encoders are pretrained on pairs, `[CLS] question [SEP] context [SEP]`; positions of the context's
words are given in bytes of the context.
"""

from __future__ import annotations

from typing import Any

from kft.data.parts import SEPARATOR
from kft.recipe.words import NOWHERE, split_parts, tokenized
from kft.tasks.tags.words import ENDS, STARTS

__all__ = ["measure_pairs", "pack_pairs"]


def pack_pairs(preprocessor: Any, texts: Any) -> dict[str, Any]:
    """Convert a string tensor `[n]` to the inputs of an encoder, and positions of the context's words.

    A question is cut to half of the tokens, or to what a shorter context leaves, and the context to
    what the question leaves.

    Args:
        preprocessor: A KerasHub preprocessor.
        texts: The texts, in UTF-8.

    Returns:
        `token_ids`, `padding_mask`, `segment_ids`; `word_starts` and `word_ends`, int32 `[n, length]`,
        the bytes of the context at which a part of it starts and ends, at the part's first token,
        otherwise -1. Parts are words and punctuation marks.
    """
    import tensorflow as tf
    import tensorflow_text as tf_text

    questions, contexts = _split(texts)
    parts, starts, ends = split_parts(contexts)
    context, placed = tokenized(preprocessor, parts)
    question = _cut_questions(preprocessor, questions, context)
    # Packing token numbers in the same way shows where each token is placed.
    first = preprocessor.tokenizer.vocabulary_size()
    size = tf.size(context.flat_values)
    numbers = context.with_flat_values(tf.cast(first + tf.range(size), question.dtype))
    question, numbers = tf_text.WaterfallTrimmer(_room(preprocessor)).trim([question, numbers])
    packed, segment_ids = preprocessor.packer((question, numbers))
    is_context = packed >= first
    at = tf.where(is_context, packed - first, tf.cast(size, packed.dtype))

    def of_tokens(values: Any, elsewhere: Any) -> Any:
        return tf.gather(tf.concat([values, [elsewhere]], 0), at)

    ids = of_tokens(context.flat_values, tf.zeros([], packed.dtype))
    token_ids = tf.where(is_context, ids, packed)
    made = {
        "token_ids": token_ids,
        "padding_mask": token_ids != preprocessor.tokenizer.pad_token_id,
        "segment_ids": segment_ids,
        STARTS: of_tokens(placed(starts.flat_values), NOWHERE),
        ENDS: of_tokens(placed(ends.flat_values), NOWHERE),
    }
    return {name: tf.cast(values, tf.int32) for name, values in made.items()}


def measure_pairs(preprocessor: Any, texts: Any) -> tuple[Any, Any, Any]:
    """Return where contexts may be cut, between their parts; see `kft.recipe.cutting.Cutter`."""
    import tensorflow as tf

    questions, contexts = _split(texts)
    parts, starts, ends = split_parts(contexts)
    tokens = preprocessor.tokenizer(parts.flat_values)
    context = parts.with_flat_values(tokens).merge_dims(1, 2)
    question = _cut_questions(preprocessor, questions, context)
    rooms = _room(preprocessor) - tf.cast(question.row_lengths(), tf.int32)
    each = [starts.flat_values, ends.flat_values, tf.cast(tokens.row_lengths(), tf.int32)]
    return rooms, tf.stack(each, axis=1), parts.row_splits


def _split(texts: Any) -> tuple[Any, Any]:
    """Return the questions and the contexts of texts, string tensors `[n]`."""
    import tensorflow as tf

    questions = tf.strings.regex_replace(texts, f"(?s){SEPARATOR}.*", "")
    first_line = f"^[^{SEPARATOR}]*{SEPARATOR}?"
    return questions, tf.strings.regex_replace(texts, first_line, "", replace_global=False)


def _cut_questions(preprocessor: Any, questions: Any, context: Any) -> Any:
    """Return the tokens of questions, cut to half of the room, or to what a shorter context leaves."""
    import tensorflow_text as tf_text

    room = _room(preprocessor)
    question = preprocessor.tokenizer(questions)
    _, question = tf_text.WaterfallTrimmer(room).trim([context[:, : room // 2], question])
    return question


def _room(preprocessor: Any) -> int:
    """Return the tokens of a row, without those for its start and the ends of its parts."""
    packer = preprocessor.packer
    marks = len(packer.start_value) + len(packer.sep_value) + len(packer.end_value)
    return preprocessor.sequence_length - marks
