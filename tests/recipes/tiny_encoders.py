"""Text encoders of a few thousand weights, one of each kind, saved as preset folders."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_hub
from sentencepiece import SentencePieceTrainer

from tests.recipes import tiny_bert, tiny_gpt2

SHAPE = {"num_layers": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 32}
TEXTS = ["the film was good !", "the plot was bad .", "great actors", "awful"]


def save_preset(kind: str, folder: Path, **changes: Any) -> Path:
    """Save a tiny encoder with seeded weights and its tokenizer as a preset folder.

    Args:
        kind: One of `KINDS`.
        folder: A directory that does not exist yet.
        changes: Arguments of the backbone that override the defaults.
    """
    tokenizer = KINDS[kind]()
    size = tokenizer.vocabulary_size()
    shape = {**SHAPE, "vocab_size" if kind == "Electra" else "vocabulary_size": size}
    if kind in ("Albert", "Electra"):
        shape["embedding_dim"] = 4
    if kind != "FNet":
        shape["num_heads"] = 2
    keras.utils.set_random_seed(7)
    build = getattr(keras_hub.models, f"{kind}Backbone")
    build(**{**shape, **changes}).save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return folder


def _word_pieces(kind: str) -> Any:
    tokenizer_class = getattr(keras_hub.models, f"{kind}Tokenizer")
    return tokenizer_class(tiny_bert.VOCABULARY, lowercase=True)


def _byte_pairs() -> Any:
    merges = ["g o", "go o", "goo d", "t h", "th e", "Ġ f", "Ġf i"]
    words = [
        "<s>",
        "<pad>",
        "</s>",
        "<mask>",
        *tiny_gpt2.BYTES,
        *(one.replace(" ", "") for one in merges),
    ]
    vocabulary = {word: number for number, word in enumerate(words)}
    return keras_hub.models.RobertaTokenizer(vocabulary, merges)


def _sentence_pieces(kind: str, **settings: Any) -> Any:
    file = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS, "a film is not very bad", "the actor was awful"]),
        model_writer=file,
        model_type="unigram",
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    return getattr(keras_hub.models, f"{kind}Tokenizer")(file.getvalue())


def _marked(kind: str) -> Any:
    """Return sentence pieces with the special tokens of ALBERT and F-Net, which come first."""
    marks = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
    names = {"pad_piece": "<pad>", "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
    return _sentence_pieces(kind, **marks, **names, user_defined_symbols="[MASK]")


def _deberta() -> Any:
    marks = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    names = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    return _sentence_pieces("DebertaV3", **marks, **names)


KINDS: dict[str, Callable[[], Any]] = {
    "Bert": lambda: _word_pieces("Bert"),
    "DistilBert": lambda: _word_pieces("DistilBert"),
    "Electra": lambda: _word_pieces("Electra"),
    "Roberta": _byte_pairs,
    "XLMRoberta": lambda: _sentence_pieces("XLMRoberta"),
    "Albert": lambda: _marked("Albert"),
    "FNet": lambda: _marked("FNet"),
    "DebertaV3": _deberta,
}
