"""Explanations find what was planted, add up, and change when the weights are shuffled."""

from typing import ClassVar

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.insight import explain
from kft.insight.explain.randomised import _rank_correlation
from recipes import BertRecipe
from tests.recipes import tiny_bert
from tests.small_images import TinyRecipe

GOOD, BAD = ("good", "great"), ("bad", "awful")


def squares(count=96, seed=0):
    """Noise with a square of 12 pixels somewhere, whose colour is the class; and where it is."""
    random = np.random.default_rng(seed)
    x = random.uniform(60, 140, (count, 32, 32, 3)).astype("float32")
    y = np.arange(count) % 2
    where = np.zeros((count, 32, 32), bool)
    for index, label in enumerate(y):
        top, left = random.integers(0, 21, 2)
        where[index, top : top + 12, left : left + 12] = True
        x[index, where[index]] = (220, 30, 30) if label else (30, 30, 220)
    return x, y, where


def convolutions(*, include_top, weights, input_tensor):
    x = input_tensor
    for block in (1, 2, 3):
        x = keras.layers.Conv2D(16, 3, padding="same", name=f"block{block}_conv")(x)
        x = keras.layers.BatchNormalization(momentum=0.5, name=f"block{block}_bn")(x)
        x = keras.layers.LeakyReLU(name=f"block{block}_relu")(x)
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


class SquaresRecipe(TinyRecipe):
    architectures: ClassVar = {"Tiny": convolutions}


@pytest.fixture(scope="module")
def pictures():
    keras.utils.set_random_seed(0)
    x, y, _ = squares()
    recipe = SquaresRecipe(num_classes=2, image_size=(32, 32), dropout=0.0)
    stages = [kft.Stage("all", epochs=12, learning_rate=1e-2)]
    settings = {"batch_norm": "train", "early_stopping": None, "batch_size": 16}
    run = recipe.fit((x, np.array(["blue", "red"])[y]), stages=stages, verbose=0, **settings)
    assert run.evaluation.accuracy > 0.9
    return recipe


def reviews(count=48):
    random = np.random.default_rng(0)
    labels = ["neg", "pos"] * (count // 2)
    texts = [
        f"the {random.choice(['film', 'plot'])} was {random.choice(GOOD if label == 'pos' else BAD)}"
        for label in labels
    ]
    return texts, labels


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    keras.utils.set_random_seed(0)
    preset = tiny_bert.save_preset(tmp_path_factory.mktemp("bert") / "preset")
    smooth = {"dropout": 0.0, "backbone_dropout": 0.0, "label_smoothing": 0.1}
    recipe = BertRecipe(preset, num_classes=2, sequence_length=8, **smooth)
    stages = [kft.Stage("all", epochs=20, learning_rate=3e-3, warmup=0.2, decay="linear")]
    data = reviews()
    run = recipe.fit(data, data, stages=stages, early_stopping=None, batch_size=8, verbose=0)
    assert run.evaluation.accuracy > 0.9
    return recipe


def share_inside(maps, where):
    """The part of a map's weight that lies inside, against the part of the picture that does."""
    weight = np.abs(maps)
    return (weight * where).sum() / weight.sum() / where.mean()


def test_grad_cam_looks_where_the_square_is(pictures):
    x, y, where = squares(16, seed=1)
    found = explain.grad_cam(pictures, x)
    assert found.maps.shape == (16, 32, 32)
    assert found.maps.min() >= 0
    assert found.maps.max() == pytest.approx(1)
    assert list(found.labels) == [("blue", "red")[label] for label in y]
    grown = (
        where | np.roll(where, 4, 1) | np.roll(where, -4, 1)
    )  # the maps' cells are 8 pixels wide
    assert share_inside(found.maps, grown) > 1.3
    assert len(found.plot().axes) == 16


def test_grad_cam_explains_the_class_that_is_asked_for(pictures):
    x, _, _ = squares(8, seed=1)
    own = explain.grad_cam(pictures, x)
    red = explain.grad_cam(pictures, x, target="red")
    assert set(red.labels) == {"red"}
    np.testing.assert_allclose(red.maps[1::2], own.maps[1::2])
    blue = explain.grad_cam(pictures, x, target="blue")
    assert not np.allclose(red.maps, blue.maps)
    np.testing.assert_allclose(red.scores, pictures.predict(x).scores[:, 1], rtol=1e-5)
    finer = explain.grad_cam(pictures, x, layer="block2_relu")
    assert not np.allclose(finer.maps, own.maps)


def test_integrated_gradients_of_images_add_up_and_lie_on_the_square(pictures):
    x, _, where = squares(6, seed=1)
    found = explain.integrated_gradients(pictures, x, steps=100)
    scores = pictures.predict(np.concatenate([x, np.zeros_like(x[:1])])).scores
    column = np.array([("blue", "red").index(label) for label in found.labels])
    fall = scores[np.arange(6), column] - scores[6, column]
    np.testing.assert_allclose(found.maps.sum(axis=(1, 2)), fall, atol=0.03)
    np.testing.assert_allclose(found.gaps, found.maps.sum(axis=(1, 2)) - fall, atol=1e-5)
    assert share_inside(found.maps, where) > 1.5
    coarse = explain.integrated_gradients(pictures, x, steps=2)
    assert np.abs(coarse.gaps).max() > np.abs(found.gaps).max()


def test_token_attribution_finds_the_word_and_adds_up(words):
    texts = ["the film was great", "the plot was awful"]
    found = explain.integrated_gradients(words, texts, steps=100)
    assert found.tokens[0] == ("[CLS]", "the", "film", "was", "great", "[SEP]")
    for tokens, values, word in zip(
        found.tokens, found.attributions, ("great", "awful"), strict=True
    ):
        assert tokens[int(np.argmax(values))] == word
    np.testing.assert_allclose(found.gaps, 0, atol=0.05)
    assert "great" in str(found)
    assert found._repr_html_().count("<span") == 12
    assert len(found.plot(1).axes[0].get_yticklabels()) == 6


@pytest.mark.parametrize("method", [explain.grad_cam, explain.integrated_gradients])
def test_an_explanation_of_images_changes_when_the_weights_are_shuffled(pictures, method):
    x, _, _ = squares(8, seed=2)
    before = pictures.predict(x).scores
    found = explain.randomise(pictures, lambda: method(pictures, x, target="red"))
    assert found.blocks == ("head", "block3", "block2", "block1")
    assert found.last < 0.6
    assert "block1" in str(found)
    np.testing.assert_array_equal(pictures.predict(x).scores, before)


def test_an_explanation_of_texts_changes_when_the_weights_are_shuffled(words):
    texts = ["the film was great", "the plot was awful", "the plot was good"]
    method = lambda: explain.integrated_gradients(words, texts, target="pos")  # noqa: E731
    assert explain.randomise(words, method).last < 0.6


@pytest.mark.once
def test_an_explanation_that_ignores_the_model_would_be_found_out(pictures):
    x, _, _ = squares(4, seed=2)
    edges = np.abs(np.diff(x.mean(axis=-1), axis=1))

    class Edges:
        maps = edges

    assert explain.randomise(pictures, Edges).last == pytest.approx(1)


@pytest.mark.once
def test_rank_correlation_is_spearmans():
    one, other = np.array([1.0, 2, 2, 9]), np.array([0.1, 0.2, 0.2, 0.3])
    assert _rank_correlation(one, other) == pytest.approx(1)
    assert _rank_correlation(one, -other) == pytest.approx(-1)
    assert _rank_correlation(one, np.zeros(4)) == 0


def test_the_nearest_training_image_of_a_training_image_is_itself(pictures):
    x, y, _ = squares(24)
    labels = np.array(["blue", "red"])[y]
    every = explain.nearest(pictures, x[:4], (x, labels), count=24)
    own = [
        row[indices == n]
        for n, (row, indices) in enumerate(zip(every.similarities, every.indices, strict=True))
    ]
    np.testing.assert_allclose(np.concatenate(own), 1, atol=1e-5)
    assert every.similarities.min() < 0.99
    found = explain.nearest(pictures, x[:4], (x, labels), count=3)
    assert np.all(np.diff(found.similarities, axis=1) <= 0)
    assert found.images.shape == (4, 4, 32, 32, 3)
    same = [set(row) == {label} for row, label in zip(found.neighbour_labels, labels, strict=False)]
    assert np.mean(same) > 0.7
    assert len(found.plot().axes) == 16
    assert "example 0" in str(found)


def test_the_nearest_training_texts_have_the_same_meaning(words):
    found = explain.nearest(words, ["the film was great"], reviews(), count=2)
    assert found.neighbour_names[0][0] == "the film was great"
    assert set(found.neighbour_labels[0]) == {"pos"}
    assert "<li>pos" in found._repr_html_()
    with pytest.raises(InputError, match="only images have a picture"):
        found.plot()


def test_mistakes_are_named(pictures, words):
    x, y, _ = squares(4)
    with pytest.raises(InputError, match="`target='green'` is not a class: pass one of blue, red"):
        explain.grad_cam(pictures, x, target="green")
    with pytest.raises(InputError, match="`layer='block9'`"):
        explain.grad_cam(pictures, x, layer="block9")
    with pytest.raises(InputError, match="call integrated_gradients"):
        explain.grad_cam(words, ["good"])
    with pytest.raises(InputError, match="`steps=0`"):
        explain.integrated_gradients(pictures, x, steps=0)
    with pytest.raises(InputError, match="nothing to explain"):
        explain.grad_cam(pictures, [])
    with pytest.raises(InputError, match="`count=0`"):
        explain.nearest(pictures, x, (x, y), count=0)
