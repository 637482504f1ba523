"""The feature maps at each resolution that are found in the graphs of all families."""

import keras
import pytest

from kft.model.pyramid import pyramid
from recipes import ApplicationRecipe

# The strides and channels of the maps of one model per family.
CHANNELS = {
    "ConvNeXtTiny": {4: 96, 8: 192, 16: 384, 32: 768},
    "DenseNet121": {2: 64, 4: 128, 8: 256, 16: 512, 32: 1024},
    "EfficientNetB0": {2: 96, 4: 144, 8: 240, 16: 672, 32: 1280},
    "EfficientNetV2B0": {2: 16, 4: 32, 8: 192, 16: 672, 32: 1280},
    "InceptionResNetV2": {2: 64, 4: 192, 8: 320, 16: 1088, 32: 1536},
    "InceptionV3": {2: 64, 4: 192, 8: 288, 16: 768, 32: 2048},
    "MobileNet": {2: 64, 4: 128, 8: 256, 16: 512, 32: 1024},
    "MobileNetV2": {2: 96, 4: 144, 8: 192, 16: 576, 32: 1280},
    "MobileNetV3Large": {2: 64, 4: 72, 8: 240, 16: 672, 32: 960},
    "MobileNetV3Small": {2: 16, 4: 72, 8: 96, 16: 288, 32: 576},
    "ResNet50": {2: 64, 4: 256, 8: 512, 16: 1024, 32: 2048},
    "ResNet50V2": {2: 64, 4: 256, 8: 512, 16: 1024, 32: 2048},
    "VGG16": {2: 128, 4: 256, 8: 512, 16: 512, 32: 512},
    "Xception": {2: 64, 4: 128, 8: 256, 16: 728, 32: 2048},
}
NASNET = {2: 32, 4: 44, 8: 264, 16: 528, 32: 1056}


def channels(name):
    """Return strides and channels of the maps that are found, and check that they make a model."""
    recipe = ApplicationRecipe(name, num_classes=2, weights=None)
    inputs = recipe.inputs()
    output = recipe.backbone(inputs)
    maps = pyramid(inputs, output)
    keras.Model(inputs, maps)
    assert list(maps.values())[-1] is output
    keras.backend.clear_session()
    return {int(key.removeprefix("stride_")): one.shape[-1] for key, one in maps.items()}


@pytest.mark.once
@pytest.mark.parametrize("name", CHANNELS)
def test_a_family_has_a_map_at_each_resolution(name):
    assert channels(name) == CHANNELS[name]


@pytest.mark.once("tensorflow")
def test_a_family_whose_cells_see_two_before_them_has_maps_too():
    assert channels("NASNetMobile") == NASNET


@pytest.mark.once
def test_a_map_inside_a_residual_branch_is_not_taken():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    branch = keras.layers.Conv2D(4, 3, padding="same")(x)
    whole = keras.layers.Add()([x, branch])
    below = keras.layers.Conv2D(8, 3, strides=2, padding="same")(whole)
    beside = keras.layers.Conv2D(2, 1)(whole)  # not connected to the output
    padded = keras.layers.ZeroPadding2D(1)(below)
    output = keras.layers.Conv2D(8, 3, strides=2)(padded)
    assert beside is not None
    maps = pyramid(inputs, output)
    assert [maps[name] is one for name, one in zip(maps, (whole, below, output), strict=True)] == [
        True
    ] * 3


@pytest.mark.once
def test_a_backbone_of_one_resolution_has_one_map():
    inputs = keras.Input((16, 16, 3))
    output = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    assert pyramid(inputs, output) == {"stride_1": output}
