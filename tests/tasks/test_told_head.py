"""Recipes name their head, so that it is not guessed from the graph."""

import keras
import numpy as np
import pytest

from kft.data.augment import ImageAugmentation
from kft.distribution.model_copies import copied
from kft.errors import InputError
from kft.model.blocks import find_anatomy
from kft.tasks import Classification, Several, Task
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once


class Decoder(Task):
    """A head with more spatial layers than the backbone, which a guess mistakes for its blocks."""

    name = "decoder"
    needs = "map"

    def head(self, features, inputs):
        x = features
        for size in (16, 8, 4):
            x = keras.layers.Conv2DTranspose(size, 3, padding="same", name=f"up_{size}")(x)
        return keras.layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x)

    def loss(self):
        return "binary_crossentropy"


def test_the_head_is_what_the_task_put_on_the_features():
    model = TinyRecipe(task=Decoder(), image_size=(16, 16)).model
    expected = ["up_16", "up_8", "up_4", "mask"]
    for each in (model, copied(model)):
        anatomy = find_anatomy(each)
        assert [layer.name for layer in anatomy.head.layers] == expected
        assert len(anatomy.blocks) == 2
        assert set(anatomy.head.layers) <= set(each.layers)


def test_a_layer_of_the_backbone_that_the_head_uses_again_stays_in_the_backbone():
    class Tied(Task):
        name = "tied"
        needs = "map"

        def head(self, features, inputs):
            conv = keras.Model(inputs, features).get_layer("block1_conv")
            return keras.layers.Dense(1, name="own")(conv(inputs))

        def loss(self):
            return "mse"

    anatomy = find_anatomy(TinyRecipe(task=Tied(), image_size=(16, 16)).model)
    assert [layer.name for layer in anatomy.head.layers] == ["own"]


def test_equal_recipes_start_from_equal_heads():
    one, other = (TinyRecipe(task=Decoder(), image_size=(16, 16), seed=3).model for _ in "ab")
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_augmentation_that_leaves_the_labels_behind_is_refused():
    """Flipping an image but not its mask would silently train on wrong labels."""
    recipe = TinyRecipe(task=Decoder(), image_size=(16, 16))
    for augment in (
        "light",
        [keras.layers.RandomFlip()],
        ImageAugmentation([keras.layers.RandomFlip()]),
    ):
        with pytest.raises(InputError, match="changes the inputs and not the labels"):
            recipe.augmentation(augment)
    assert recipe.augmentation("none") is None
    assert callable(recipe.augmentation(lambda x, y, seed: (x, y)))
    for task in (Classification(2), Several({"kind": Classification(2)})):
        assert callable(TinyRecipe(task=task).augmentation("light"))
    with pytest.raises(InputError, match="changes the inputs and not the labels"):
        TinyRecipe(task=Several({"kind": Classification(2), "mask": Decoder()})).augmentation(
            "light"
        )
