"""A GPT-2 of a few thousand weights, saved as a preset folder."""

from pathlib import Path

import keras
import keras_hub

# The 256 bytes in byte-pair vocabularies: printable ones unchanged, the others from "Ā" on.
_PRINTING = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
BYTES = [chr(one) for one in _PRINTING] + [chr(256 + n) for n in range(256 - len(_PRINTING))]


def save_preset(folder: Path) -> str:
    """Save a tiny GPT-2 whose tokens are the bytes, "good" and "the"."""
    merges = ["g o", "go o", "goo d", "t h", "th e"]
    words = [*BYTES, *(merge.replace(" ", "") for merge in merges), "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    keras.utils.set_random_seed(3)
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=len(vocabulary),
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=32,
    )
    backbone.save_to_preset(str(folder))
    keras_hub.models.GPT2Tokenizer(vocabulary, merges).save_to_preset(str(folder))
    return str(folder)
