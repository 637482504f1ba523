"""Inputs of recipes: the same checks in all methods, before any work."""

import os

import numpy as np
import pandas as pd
import pytest

from kft.data.raw_images import raw_images
from kft.errors import InputError
from kft.insight.explain import grad_cam, integrated_gradients, nearest
from kft.insight.forgetting import forgetting
from kft.stages.stage import Stage
from recipes import BertRecipe
from tests.recipes.tiny_bert import save_preset
from tests.small_images import TinyRecipe, encoded

pytestmark = pytest.mark.once

X = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype="uint8")
Y = np.arange(8) % 2
ONCE = {"stages": [Stage(0, 1, 1e-3)], "verbose": 0}
UNIT = X / 255.0


@pytest.fixture(scope="module")
def images():
    return TinyRecipe(num_classes=2, classes=["a", "b"])


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    preset = save_preset(tmp_path_factory.mktemp("preset") / "bert")
    return BertRecipe(str(preset), num_classes=2, classes=["n", "p"])


@pytest.mark.parametrize(
    "call",
    [
        lambda recipe: recipe.fit((UNIT, Y), (X, Y), **ONCE),
        lambda recipe: recipe.fit((X, Y), (UNIT, Y), **ONCE),
        lambda recipe: recipe.evaluate((UNIT, Y)),
        lambda recipe: recipe.evaluate((UNIT, Y), perturb="jpeg"),
        lambda recipe: recipe.predict(UNIT),
        lambda recipe: recipe.export("never", examples=UNIT),
        lambda recipe: grad_cam(recipe, UNIT),
        lambda recipe: integrated_gradients(recipe, list(UNIT)),
        lambda recipe: nearest(recipe, X, (UNIT, Y)),
        lambda recipe: forgetting(recipe, (UNIT, Y)),
    ],
    ids=[
        "fit",
        "validation_data",
        "evaluate",
        "perturb",
        "predict",
        "export",
        "grad_cam",
        "integrated_gradients",
        "nearest",
        "forgetting",
    ],
)
def test_images_from_0_to_1_are_refused_wherever_they_come_in(call, images):
    with pytest.raises(
        InputError, match="from 0 to 1, but 0 to 255 are expected: undo the scaling"
    ):
        call(images)


def test_one_image_is_not_taken_for_many(images):
    assert len(images.predict(X[:1]).labels) == 1
    for call in (images.predict, images.load, lambda raw: grad_cam(images, raw)):
        with pytest.raises(InputError, match=r"is one image, .*: pass image\[None\]"):
            call(X[0])


def test_images_are_loaded_by_their_position_whatever_their_names(images, tmp_path):
    paths = [os.path.join(os.fsencode(tmp_path), b"caf\x82 %d.png" % number) for number in range(8)]
    for path, content in zip(paths, encoded(X), strict=True):
        with open(path, "wb") as file:
            file.write(content)
    column = pd.Series([os.fsdecode(path) for path in paths], range(3, 11), dtype=object)
    np.testing.assert_array_equal(images.load(column), X)
    answers = images.predict(column)
    assert r"caf\x82 7.png" in str(answers).encode().decode()
    assert len(answers.labels) == 8


def test_images_of_several_sizes_may_lie_in_an_array_of_objects(images):
    apart = np.empty(2, object)
    apart[:] = [X[0], X[1][:8]]
    assert images.load(apart).shape == (2, 16, 16, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "HSV"])
def test_images_of_pillow_are_loaded_as_predict_takes_them(images, mode):
    from PIL import Image

    opened = [
        Image.fromarray(image).convert("RGBA").convert("RGB").convert(mode) for image in X[:2]
    ]
    opened.append(Image.fromarray(X[2]))  # with another mode
    np.testing.assert_array_equal(images.load(opened), raw_images(opened))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([encoded(X[:1])[0], None], r"^input 1: no image\. Correct"),
        (X[:2] * 1j, r"raw has dtype complex128, but images are numbers"),
        (["/dev/null"], r"^/dev/null: a device, but a file is expected\. A JPEG"),
        (["no.png"], r"^no\.png: no such file\. A JPEG"),
    ],
)
def test_what_are_no_images_is_not_loaded(images, raw, message):
    with pytest.raises(InputError, match=message):
        images.load(raw)


def test_a_pipe_is_not_waited_for(images, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png: a named pipe, but a file is expected"):
        images.load([tmp_path / "pipe.png"])


def test_examples_of_an_export_may_be_whatever_predict_takes(images, texts, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(X[:1])[0])
    whole = encoded(X[:1])
    for given in (X[:1], whole, tmp_path / "a.png"):
        assert images.encoded(images.raw_inputs(given)) == whole
    assert texts.encoded(texts.raw_inputs(pd.Series(["good"], index=[4]))) == ["good"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (pd.DataFrame({"text": ["good", "bad"]}), r"DataFrame with the columns 'text': pass one"),
        ({"text": ["good"]}, r"raw is a dict of text"),
        ({"good", "bad"}, r"raw is of type set, which has no order"),
        (["good", None, float("nan"), ""], r"^input 1: no text; input 2: no text\. Correct these"),
        ([1, ("a", "b")], r"input 0: 1 \(int\), but a text .*; input 1: \('a', 'b'\) \(tuple\)"),
        ([], r"`predict` got no inputs"),
    ],
)
def test_what_are_no_texts_is_not_answered(raw, message, texts):
    with pytest.raises(InputError, match=message):
        texts.predict(raw)


def test_gaps_never_become_words(texts):
    with pytest.raises(InputError, match="NoneType is not a text: pass strings"):
        texts.load(["good", None])


def test_recipes_refuse_examples_of_another_kind(images, texts):
    with pytest.raises(InputError, match="has numbers, but BertRecipe takes texts"):
        texts.evaluate((np.zeros((2, 3)), [0, 1]))
    read = texts.read((["good", "bad"], ["a", "b"]))
    with pytest.raises(InputError, match="has texts, but TinyRecipe takes images"):
        images.evaluate(read)


def test_classes_are_named_once(texts):
    with pytest.raises(InputError, match=r"`classes` names 'dog' 2 times: name each class once"):
        TinyRecipe(num_classes=2, classes=["dog", "dog "])
    with pytest.raises(InputError, match=r"`classes='ab'`: pass a list of texts"):
        TinyRecipe(num_classes=2, classes="ab")
