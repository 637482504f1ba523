"""The steps that are compiled although Keras would not compile them."""

import keras
import numpy as np
import pytest

import kft
from kft.data.batches import Batches
from kft.data.buckets import BucketedBatches
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels
from kft.training import compilation
from kft.training.compilation import choose, pad_to_longest
from recipes import BertRecipe
from tests.recipes import tiny_bert

BACKEND = keras.backend.backend()
TENSORFLOW = BACKEND == "tensorflow"


def batches(count: int) -> BucketedBatches:
    """Return `count` batches of 2 texts, of two lengths."""
    texts = Examples(
        kind="texts",
        inputs=np.array(["a text"] * (2 * count), object),
        targets=np.zeros(2 * count, int),
        classes=("no", "yes"),
        source="texts",
        task=SingleLabels(),
    )
    lengths = np.arange(2 * count) % 15 + 2

    def load(texts, length):
        return np.ones((len(texts), length), int)

    return BucketedBatches(texts, load, lengths=lengths, buckets=(8, 16), batch_size=2)


@pytest.mark.parametrize(
    ("count", "epochs", "repaid"), [(100, (3,), True), (100, (2,), False), (50, (9, 3), True)]
)
def test_texts_on_tensorflow_are_compiled_where_the_steps_repay_it(count, epochs, repaid):
    stages = [kft.Stage(0, each, 1e-3) for each in epochs]
    assert choose("auto", batches(count), stages) == (True if repaid and TENSORFLOW else "auto")


def test_what_was_asked_for_stays():
    long = [kft.Stage(0, 1000, 1e-3)]
    assert choose(False, batches(8), long) is False
    assert choose(True, batches(8), [kft.Stage(0, 1, 1e-3)]) is True
    assert choose("auto", batches(8), long, distribution=object()) == "auto"
    images = batches(8).examples
    assert choose("auto", Batches(images, np.asarray, batch_size=2), long) == "auto"


def test_batches_are_no_longer_than_they_need_where_no_length_is_compiled():
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Embedding(9, 4)(inputs)))
    for jit in ("auto", True):
        model.compile("adam", "mse", jit_compile=jit)
        data = batches(8)
        choices = data.buckets
        pad_to_longest(model, data, None)
        compiled = BACKEND == "jax" or model.jit_compile
        for index in range(len(data)):
            need = data.lengths[data.order(0)[2 * index : 2 * index + 2]].max()
            fits = need if not compiled else next(one for one in choices if one >= need)
            assert data[index][0].shape == (2, fits)


@pytest.mark.once("tensorflow")
def test_a_compiled_fit_ends_where_the_other_does(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    words = np.array(tiny_bert.VOCABULARY[5:])
    texts = [" ".join(rng.choice(words, 5)) for _ in range(16)]  # one length: each is compiled anew
    labels = np.arange(16) % 2
    ended = []
    for steps in (10**9, 0):
        monkeypatch.setattr(compilation, "_STEPS_THAT_REPAY", steps)
        keras.utils.set_random_seed(0)
        preset = tiny_bert.save_preset(tmp_path / str(steps))
        recipe = BertRecipe(preset, num_classes=2, dropout=0.0, backbone_dropout=0.0)
        recipe.fit(
            (texts, labels), (texts[:8], labels[:8]),
            stages=[kft.Stage(0, 2, 1e-2)], cache=True, batch_size=8, verbose=0,
        )  # fmt: skip
        assert recipe.model.jit_compile is (steps == 0)
        ended.append(recipe.predict(texts[:8]))
    np.testing.assert_allclose(*(np.asarray(one.scores) for one in ended), rtol=1e-4, atol=1e-5)
