"""Texts for the notebooks, and a BERT small enough to train in seconds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

SUBJECTS = ("film", "plot", "acting", "music", "ending", "dialogue")
WORDS = {
    "good": ("great", "moving", "funny", "clever", "warm", "gripping"),
    "bad": ("dull", "awful", "clumsy", "tired", "noisy", "hollow"),
}
FILLERS = ("and", "but", "the", "was", "were", "a", "i", "found", "it", "rather", "quite", "very")


def reviews(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return made-up sentences about films, and their labels `good` or `bad`.

    Args:
        count: The number of sentences; half of them are good.
        seed: Seed of the sentences.
    """
    random = np.random.default_rng(seed)
    labels = ["good", "bad"] * (count // 2)
    texts = []
    for label in labels:
        subject, other = random.choice(SUBJECTS, 2, replace=False)
        word, another = random.choice(WORDS[label], 2, replace=False)
        how = random.choice(("rather", "quite", "very"))
        texts.append(f"the {subject} was {how} {word} and i found the {other} {another}")
    return texts, labels


def save_small_bert(folder: str | os.PathLike) -> Path:
    """Save a BERT of two layers with random weights, as KerasHub saves a preset.

    It replaces a pretrained one where there is no network.

    Args:
        folder: A folder that does not exist yet.

    Returns:
        The folder.
    """
    from kft.testing.families import save_bert

    words = [*FILLERS, *SUBJECTS, *WORDS["good"], *WORDS["bad"]]
    letters = [chr(ord("a") + place) for place in range(26)]
    pieces = [f"##{letter}" for letter in letters]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *pieces]
    vocabulary += [word for word in words if word not in vocabulary]
    sizes = {"hidden_dim": 32, "intermediate_dim": 64, "max_sequence_length": 32}
    return Path(save_bert(folder, vocabulary, **sizes))
