"""Families small enough for tests: backbones of a few hundred parameters, with seeded weights."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from kft.recipe.image import ImageRecipe
from kft.recipe.language import LanguageRecipe
from kft.recipe.preprocessing import unit_pixels
from kft.recipe.text import TextRecipe
from kft.runs.randomness import seeded
from kft.stages.stage import Stage

WORDS = ("good", "bad", "film", "plot", "actor", "a", "the", "was", "is", "not")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def _tiny(input_tensor: Any, include_top: bool = False, weights: str | None = None) -> keras.Model:
    x = input_tensor
    for block in (1, 2):
        x = keras.layers.Conv2D(
            4,
            3,
            strides=2,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.GlorotUniform(seed=block),
            name=f"block{block}_conv",
        )(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


@dataclass(kw_only=True, eq=False)
class TinyImages(ImageRecipe):
    """Images of 16 x 16 pixels, two blocks of convolutions, maps of 4 x 4 x 4."""

    architectures: ClassVar = {"tiny": _tiny}
    smallest_image: ClassVar[int] = 8

    name: str = field(default="tiny", kw_only=False)
    image_size: tuple[int, int] = (16, 16)
    weights: str | None = None

    def preprocess(self, inputs: Any) -> Any:
        """Scale pixels to -1 to 1."""
        return unit_pixels(inputs)


@dataclass(kw_only=True, eq=False)
class TinyTexts(TextRecipe):
    """Texts of the words in `WORDS`, up to 16 tokens, two Transformer layers of 8 channels.

    `save_tiny_bert` writes its preset.
    """

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """Return the head, then everything."""
        return [Stage(0, 1, 1e-3, name="head"), Stage("all", 1, 1e-4, name="all")]


def save_tiny_bert(folder: Path) -> str:
    """Write a tiny BERT with seeded weights as a KerasHub preset.

    Args:
        folder: A directory that does not exist yet.

    Returns:
        Its path, the `preset` of a `TinyTexts`.
    """
    sizes = {"hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 16}
    return save_bert(folder, [*_SPECIAL, *WORDS], **sizes)


def save_bert(folder: str | os.PathLike, vocabulary: Sequence[str], **sizes: int) -> str:
    """Write a BERT of two layers and two heads with seeded weights as a KerasHub preset.

    Args:
        folder: A directory that does not exist yet.
        vocabulary: The tokens, including BERT's special ones.
        **sizes: `hidden_dim`, `intermediate_dim` and `max_sequence_length` of its backbone.

    Returns:
        The directory.
    """
    import keras_hub

    with seeded(0):
        backbone = keras_hub.models.BertBackbone(
            vocabulary_size=len(vocabulary), num_layers=2, num_heads=2, **sizes
        )
    backbone.save_to_preset(str(folder))
    keras_hub.models.BertTokenizer(list(vocabulary), lowercase=True).save_to_preset(str(folder))
    return str(folder)


@dataclass(kw_only=True, eq=False)
class TinyLanguage(LanguageRecipe):
    """A language model of two decoder layers of 8 channels, for texts of the words in `WORDS`.

    `save_tiny_llama` writes its preset. Texts are cut into rows of 8 tokens.
    """

    sequence_length: int | None = 8

    def default_stages(self, steps: int | None = None) -> list[Stage]:
        """Return the head, then everything."""
        return [Stage(0, 1, 1e-3, name="head"), Stage("all", 1, 1e-4, name="all")]


def save_tiny_llama(folder: Path, tied: bool = False) -> str:
    """Write a tiny Llama with seeded weights as a KerasHub preset.

    Args:
        folder: A directory that does not exist yet.
        tied: Whether the scores are computed with the input's embeddings.

    Returns:
        Its path, the `preset` of a `TinyLanguage`.
    """
    import keras_hub
    from sentencepiece import SentencePieceTrainer

    file = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(tiny_texts(64)),
        model_writer=file,
        model_type="bpe",
        vocab_size=40,
        minloglevel=2,
    )
    tokenizer = keras_hub.models.LlamaTokenizer(file.getvalue())
    with seeded(0):
        backbone = keras_hub.models.LlamaBackbone(
            vocabulary_size=tokenizer.vocabulary_size(),
            num_layers=2,
            num_query_heads=2,
            num_key_value_heads=1,
            hidden_dim=8,
            intermediate_dim=16,
            tie_word_embeddings=tied,
        )
    backbone.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return str(folder)


def tiny_images(count: int, seed: int = 0) -> np.ndarray:
    """Return random images, uint8 `(count, 16, 16, 3)`."""
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def tiny_texts(count: int, words: int = 5, seed: int = 0) -> list[str]:
    """Return random texts of this many words each."""
    chosen = np.random.default_rng(seed).integers(0, len(WORDS), (count, words))
    return [" ".join(WORDS[index] for index in row) for row in chosen]
