"""The purpose of stages: pretraining on one task makes another learnable from a few examples."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import kft
from kft.cli.demo.recipe import DigitsRecipe

EXAMPLES = 5  # of each digit from 5 to 9
STAGES = [
    kft.Stage(unfreeze=0, epochs=20, learning_rate=3e-2),
    kft.Stage(unfreeze=1, epochs=5, learning_rate=1e-3, warmup=0.1),
    kft.Stage(unfreeze="all", epochs=5, learning_rate=1e-3, warmup=0.1, layer_decay=0.7),
]
FROM_SCRATCH = [kft.Stage(unfreeze="all", epochs=30, learning_rate=3e-3)]


def placed(digits, names):
    """Place each digit randomly on a larger picture, so that shape matters and position does not."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((len(digits), 16, 16, 3), "float32")
    for picture, digit in zip(pictures, digits, strict=True):
        top, left = rng.integers(0, 9, 2)
        picture[top : top + 8, left : left + 8] = digit[..., None]
    return pictures, np.asarray(names)


@pytest.fixture(scope="module")
def digits():
    pixels, numbers = load_digits(return_X_y=True)
    return pixels.reshape(-1, 8, 8) / 16 * 255, numbers


@pytest.fixture(scope="module")
def pretrained(digits, tmp_path_factory):
    """Return a weights file of a backbone that classifies the digits 0 to 4 and their quarter turns."""
    images, numbers = (part[digits[1] < 5] for part in digits)
    turned = np.concatenate([np.rot90(images, turns, axes=(1, 2)) for turns in range(4)])
    names = [f"{number} turned {turns}" for turns in range(4) for number in numbers]
    source = DigitsRecipe(num_classes=20)
    source.fit(
        placed(turned, names),
        stages=[kft.Stage(unfreeze="all", epochs=4, learning_rate=5e-3, decay="linear")],
        batch_norm="train",
        batch_size=64,
        early_stopping=None,
        verbose=0,
    )
    path = tmp_path_factory.mktemp("source") / "source.weights.h5"
    features = source.model.get_layer("block3_pool").output
    keras.Model(source.model.input, features).save_weights(path)
    return path


@pytest.fixture(scope="module")
def task(digits):
    """Return pictures of the digits 5 to 9: a pool for training, and 400 for testing."""
    images, numbers = (part[digits[1] >= 5] for part in digits)
    pictures, names = placed(images, numbers.astype(str))
    return (pictures[:-400], names[:-400]), (pictures[-400:], names[-400:])


def accuracy(task, weights, stages, batch_norm, seed):
    (pictures, names), test = task
    order = np.random.default_rng(seed).permutation(len(names))
    few = np.concatenate([order[names[order] == name][:EXAMPLES] for name in np.unique(names)])
    recipe = DigitsRecipe(num_classes=5, weights=weights, seed=seed)
    recipe.fit(
        (pictures[few], names[few]),
        (pictures[few], names[few]),  # validation data are not used for selection
        stages=stages,
        batch_norm=batch_norm,
        batch_size=10,
        early_stopping=None,
        seed=seed,
        verbose=0,
    )
    return recipe.evaluate(test, batch_size=100).accuracy


@pytest.mark.once
def test_stages_from_a_source_task_beat_training_from_scratch_with_few_examples(task, pretrained):
    gains = []
    for seed in (1, 2):
        scratch = accuracy(task, None, FROM_SCRATCH, "train", seed)
        stages = accuracy(task, pretrained, STAGES, "frozen", seed)
        gains.append(stages - scratch)
    assert min(gains) > 0, gains
    assert sum(gains) / len(gains) > 0.07, gains
