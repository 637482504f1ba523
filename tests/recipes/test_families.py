"""Requirements of every family of image models; each line of FAMILIES is one architecture."""

import os
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.model.pretrained import load_weights_file, why_not_downloaded
from kft.stages.table import plan_table
from recipes import ApplicationRecipe, InceptionV3Recipe, MobileNetRecipe, ResNetRecipe, VGG16Recipe
from recipes.application import ARCHITECTURES
from recipes.mobilenet import _alpha_in_name

APPLICATIONS = keras.applications
NAMED = {
    VGG16Recipe: ("VGG16", "VGG19"),
    ResNetRecipe: tuple(f"ResNet{d}{v}" for v in ("", "V2") for d in (50, 101, 152)),
    InceptionV3Recipe: ("InceptionV3",),
    MobileNetRecipe: ("MobileNet", "MobileNetV2"),
}
SMALLEST = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
# The smallest model of each graph that comes in several sizes, and another one if image sizes differ.
OTHERS = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "Xception",
)


def module_of(name):
    """Return the module of `keras.applications` with the architecture and its `preprocess_input`."""
    if name.startswith("MobileNetV3"):  # its module does not list it
        return APPLICATIONS.mobilenet_v3
    modules = (getattr(APPLICATIONS, one) for one in dir(APPLICATIONS) if one.islower())
    return next(one for one in modules if hasattr(one, name))


FAMILIES = [
    *((family, name) for family, names in NAMED.items() for name in names),
    *((ApplicationRecipe, name) for name in OTHERS),
]
FAMILIES = [(f, name, module_of(name), SMALLEST.get(name, 32)) for f, name in FAMILIES]
every_family = pytest.mark.parametrize(
    ("family", "name", "module", "smallest"), FAMILIES, ids=[family[1] for family in FAMILIES]
)


def test_the_table_has_every_model_of_keras_applications():
    offered = {name for name in dir(APPLICATIONS) if name[0].isupper()}
    assert set(ApplicationRecipe.architectures) == set(ARCHITECTURES) == offered
    for family, names in NAMED.items():
        assert set(family.architectures) == set(names)


@pytest.mark.once
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_table_says_what_keras_does(name):
    """Image sizes are the defaults of Keras' models, and preprocessing is that of their module."""
    module, known = module_of(name), ARCHITECTURES[name]
    recipe = ApplicationRecipe(name, num_classes=2, weights=None)
    assert recipe.image_size == (known.size, known.size)
    if name != "NASNetMobile":  # Keras rejects it on PyTorch before it checks the size
        with pytest.raises(ValueError, match=f"at least {known.smallest}x{known.smallest}"):
            getattr(APPLICATIONS, name)(include_top=False, weights=None, input_shape=(8, 8, 3))
    x = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    inputs = keras.Input((None, None, 3))
    ours = recipe.preprocess(inputs)
    assert (known.pixels is None) == np.array_equal(module.preprocess_input(x.copy()), x)
    if known.pixels is not None:
        found = keras.Model(inputs, ours).predict(x, verbose=0)
        np.testing.assert_allclose(found, module.preprocess_input(x.copy()), atol=1e-4)


@every_family
def test_the_smallest_image_is_accepted_and_a_smaller_one_refused(family, name, module, smallest):
    family(name, num_classes=2, weights=None, image_size=(smallest, smallest))
    with pytest.raises(InputError, match=f"needs at least .{smallest}, {smallest}"):
        family(name, num_classes=2, weights=None, image_size=(smallest - 1, smallest))
    with pytest.raises(InputError, match="name='ResNet51'` is not an architecture"):
        family("ResNet51", num_classes=2)


@pytest.mark.once
def test_a_name_that_another_recipe_has_is_said_to_be_there():
    with pytest.raises(
        InputError,
        match=r"of MobileNetRecipe: pass 'MobileNetV2' or 'MobileNet'; the recipe Appl.* has it\.$",
    ):
        MobileNetRecipe("MobileNetV3Small", num_classes=2)
    with pytest.raises(InputError, match=r"\(did you mean MobileNetV2\?\): pass [^;]*\.$"):
        MobileNetRecipe("MobilenetV2", num_classes=2)


# One architecture per file: the others only differ in depth.
@pytest.mark.once
@pytest.mark.parametrize(
    ("family", "name", "smallest"),
    [
        (family, name, smallest)
        for family, name, _, smallest in FAMILIES
        if name in ("VGG16", "ResNet50", "InceptionV3", "MobileNetV2", *OTHERS)
        and name not in ("EfficientNetV2S", "InceptionResNetV2", "NASNetMobile")
    ],
)
def test_default_stages_fit_the_model(family, name, smallest):
    recipe = family(name, num_classes=2, weights=None, image_size=(smallest, smallest))
    stages = recipe.default_stages()
    assert [stage.label for stage in stages] == ["solved head", "all"]
    assert "head" in str(plan_table(recipe.model, stages))


@pytest.mark.once
def test_a_model_that_keras_does_not_have_on_this_backend_is_refused():
    with pytest.raises(InputError, match=r"name='NASNetMobile'`: .*not available with the torch"):
        _ = ApplicationRecipe("NASNetMobile", num_classes=2, weights=None).model


@pytest.fixture
def downloaded(tmp_path, monkeypatch):
    """Replace the file that Keras downloads for EfficientNetB0 by one with the same scaling."""
    model = keras.applications.EfficientNetB0(include_top=False, weights=None)
    (norm,) = (one for one in model.layers if isinstance(one, keras.layers.Normalization))
    norm.set_weights(
        [np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), norm.get_weights()[2]]
    )
    path = tmp_path / "efficientnetb0_notop.weights.h5"
    model.save_weights(path)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(path))
    return path


@pytest.mark.once
def test_efficientnet_computes_what_keras_own_does(downloaded, tmp_path):
    """Tested with downloaded weights, with a file and after loading: Keras' graph depends on this."""
    x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    theirs = keras.applications.EfficientNetB0(include_top=False, input_shape=(32, 32, 3))
    expected = theirs.predict(x, verbose=0)
    for weights in ("imagenet", downloaded):
        recipe = ApplicationRecipe(
            "EfficientNetB0", num_classes=2, image_size=(32, 32), weights=weights
        )
        inputs = recipe.inputs()
        ours = keras.Model(inputs, recipe.backbone(inputs)).predict(x, verbose=0)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    loaded = kft.load(recipe.save(tmp_path / "run"))
    np.testing.assert_array_equal(loaded.predict(x).scores, recipe.predict(x).scores)


@pytest.mark.once
def test_alpha_scales_mobilenet_and_must_be_positive():
    def parameters(**arguments):
        recipe = MobileNetRecipe(num_classes=2, weights=None, image_size=(32, 32), **arguments)
        return recipe.model.count_params()

    assert parameters(alpha=0.35) < parameters() / 3
    with pytest.raises(InputError, match="alpha=0"):
        MobileNetRecipe(num_classes=2, weights=None, alpha=0)


@pytest.mark.once
def test_weights_that_cannot_be_downloaded_name_the_file_to_bring(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    cached = Path.home() / ".keras" / "models"
    file = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    if (cached / file).exists():
        pytest.skip("this machine has the pretrained weights already")
    with pytest.raises(InputError, match="the tests have no network") as caught:
        _ = InceptionV3Recipe(num_classes=2, image_size=(75, 75)).model
    said = str(caught.value)
    assert re.search(rf"Fetch https://\S+/{re.escape(file)} on a machine with a network", said)
    assert said.count(file) == 1


@pytest.mark.once
@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("404 -- Not Found", "the server answered 404, Not Found"),
        (
            "None -- [Errno -3] Temporary failure in name resolution",
            "Temporary failure in name resolution (is there a network?)",
        ),
        ("None -- timed out", "timed out (is there a network?)"),
    ],
)
def test_a_failing_download_says_why(said, why):
    url = "https://example.org/file.h5"
    assert why_not_downloaded(f"URL fetch failure on {url}: {said}", url) == why


@pytest.fixture(scope="module")
def mobilenet_weights(tmp_path_factory):
    """Return a weights file of MobileNetV2 0.35 in the format of keras.applications."""
    keras.utils.set_random_seed(5)
    model = keras.applications.MobileNetV2(
        include_top=False, weights=None, alpha=0.35, input_shape=(96, 96, 3)
    )
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    model.save_weights(path)
    return path, [keras.ops.convert_to_numpy(weight) for weight in model.weights]


def test_weights_of_a_file_go_into_the_model_exactly(mobilenet_weights):
    path, expected = mobilenet_weights
    recipe = MobileNetRecipe(num_classes=2, alpha=0.35, weights=path, image_size=(64, 64))
    found = [keras.ops.convert_to_numpy(weight) for weight in recipe.model.weights]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=False))


@pytest.mark.once
def test_weights_of_another_architecture_are_refused_with_what_differs(mobilenet_weights):
    path, _ = mobilenet_weights
    recipe = MobileNetRecipe("MobileNet", num_classes=2, weights=path)
    with pytest.raises(InputError, match=r"260 weights, the model 135; .* only in the file"):
        _ = recipe.model
    with pytest.raises(InputError, match=r"does not fit VGG16: the file has 260 .* model 26;"):
        _ = VGG16Recipe(num_classes=2, weights=path).model


@pytest.mark.once
def test_weights_of_another_width_say_which(mobilenet_weights, tmp_path):
    """Also if both widths round to the same network, and only the file name differs."""
    path, _ = mobilenet_weights
    for alpha in (0.5, 0.37):
        recipe = MobileNetRecipe(num_classes=2, alpha=alpha, weights=path, image_size=(64, 64))
        with pytest.raises(InputError, match=rf"of alpha=0.35, but `alpha={alpha}`: pass alpha=0"):
            _ = recipe.model
    named = tmp_path / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    named.symlink_to(path)
    recipe = MobileNetRecipe(num_classes=2, alpha=0.36, weights=named, image_size=(64, 64))
    with pytest.raises(InputError, match=r"of alpha=0.35, but `alpha=0.36`: pass alpha=0.35"):
        _ = recipe.model


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "alpha"),
    [
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_224_no_top.h5", 1.4),
        ("mobilenet_v2_0.35_224_notop.weights.h5", 0.35),
        ("mobilenet_7_5_160_tf_no_top.h5", 0.75),
        ("mobilenet_1_0_224_tf_no_top.h5", 1.0),
        ("mobilenet_3_224_10.weights.h5", None),
        ("mine.weights.h5", None),
    ],
)
def test_a_files_name_tells_the_width_as_keras_writes_it(name, alpha):
    assert _alpha_in_name(f"1.0_224_/{name}") == alpha


@pytest.mark.once
def test_weights_of_other_shapes_name_the_layers(tmp_path):
    def model(width):
        inputs = keras.Input((8,))
        x = keras.layers.Dense(4, name="same")(inputs)
        x = keras.layers.BatchNormalization(name="norm")(keras.layers.ReLU()(x))
        return keras.Model(inputs, keras.layers.Dense(width, name="wide")(x))

    model(3).save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(InputError, match=r"in the layers wide \(\(4, 3\) in the file, \(4, 5\) in"):
        load_weights_file(model(5), tmp_path / "w.weights.h5", architecture="it")


@pytest.mark.once
def test_weights_with_a_classifier_are_recognised(tmp_path):
    model = keras.applications.MobileNet(
        include_top=True, weights=None, alpha=0.25, classes=7, input_shape=(32, 32, 3)
    )
    model.save_weights(tmp_path / "top.weights.h5")
    with pytest.raises(InputError, match="seems to include the classifier"):
        _ = MobileNetRecipe(
            "MobileNet", num_classes=2, alpha=0.25, weights=tmp_path / "top.weights.h5"
        ).model


@pytest.mark.once
def test_a_file_that_is_no_weights_file_is_refused(tmp_path):
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\nshort")
    (tmp_path / "weights.bin").write_bytes(b"")
    for name, said in (("cut.h5", "cannot be read as HDF5"), ("weights.bin", "ending in .h5")):
        with pytest.raises(InputError, match=said):
            _ = MobileNetRecipe(num_classes=2, weights=tmp_path / name).model


@pytest.mark.parametrize(
    ("name", "alpha", "file"),
    [
        ("MobileNetV2", 0.35, "mobilenet_v2_0.35_224_notop.weights.h5"),
        ("MobileNet", 0.25, "mobilenet_2_5_224_tf_no_top.h5"),
    ],
)
def test_real_pretrained_weights_load(name, alpha, file):
    folder = os.environ.get("KFT_WEIGHTS")
    if folder is None:
        pytest.skip("KFT_WEIGHTS names no folder with pretrained weights")
    recipe = MobileNetRecipe(name, num_classes=2, alpha=alpha, weights=Path(folder, file))
    reference = recipe.architectures[name](
        include_top=False, alpha=alpha, weights=Path(folder, file), input_shape=(224, 224, 3)
    )
    for mine, theirs in zip(recipe.model.weights, reference.weights, strict=False):
        assert np.array_equal(keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(theirs))
