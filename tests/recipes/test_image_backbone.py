"""Image backbones of every kind: features, blocks and cuts, other image sizes, preprocessing."""

import json
import shutil

import keras
import keras_hub
import numpy as np
import pytest

import kft
from kft.cache.cut import find_cut
from kft.errors import InputError
from kft.model.blocks import find_anatomy
from kft.model.image_sizes import for_size
from kft.stages.stage import Stage
from recipes import ImageBackboneRecipe
from tests.recipes import tiny_bert, tiny_encoders
from tests.recipes.tiny_backbones import KINDS, SIZE, build, images, save_preset

SCALE = np.array([1 / 51, 1 / 55, 1 / 58], "float32")
OFFSET = np.array([-2.1, -2.0, -1.8], "float32")
# Patches and windows; the other graphs consist of the same layers.
EVERYWHERE = ("ViT", "SwinTransformer")
EACH = [pytest.param(kind, marks=() if kind in EVERYWHERE else pytest.mark.once) for kind in KINDS]
TRANSFORMERS = ("ViT", "DeiT", "DINOV2", "DINOV3", "CLIP", "SigLIP")


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """Return the preset folder of each kind."""
    folder = tmp_path_factory.mktemp("backbones")
    return {kind: save_preset(kind, folder / kind) for kind in KINDS}


def run_on(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs))


@pytest.mark.parametrize("kind", EACH)
def test_a_backbone_gives_its_own_features_and_is_cut_under_its_deepest_trained_block(
    kind, presets
):
    recipe = ImageBackboneRecipe(presets[kind], num_classes=2, dropout=0.0)
    x = images(2).astype("float32")
    given = keras.tree.pack_sequence_as(recipe.encoder.input, [x * SCALE + OFFSET])
    found = keras.Model(recipe.model.input, recipe.backbone(recipe.model.input))
    own = recipe.encoder(given, training=False)
    if isinstance(own, dict):  # HGNetV2 returns several maps
        own = min(own.values(), key=lambda one: one.shape[1])
    np.testing.assert_allclose(
        run_on(found, x), keras.ops.convert_to_numpy(own), rtol=1e-4, atol=1e-5
    )
    anatomy = find_anatomy(recipe.model)
    assert [layer.name for layer in anatomy.head.layers] == ["predictions"]
    assert len(anatomy.blocks) >= (3 if kind in TRANSFORMERS else 2)
    for block in anatomy.blocks[1:]:
        for layer in block.layers:
            layer.trainable = False
    cut, reason = find_cut(recipe.model)
    assert cut is not None, reason
    below = {layer for block in anatomy.blocks[1:] for layer in block.layers}
    if kind == "MiT":
        assert "hierarchical_encoder_0_0 draws random numbers" in reason  # its DropPath may draw
    else:
        assert below <= set(cut.layers)
    kept = run_on(cut.suffix, cut.prefix(x, training=False))
    np.testing.assert_allclose(kept, run_on(recipe.model, x), rtol=1e-4, atol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize("kind", KINDS)
def test_a_backbone_takes_images_of_another_size(kind, presets):
    recipe = ImageBackboneRecipe(presets[kind], num_classes=2, image_size=48)
    scores = recipe.predict(images(2)).scores
    assert recipe.model.input_shape == (None, 48, 48, 3)
    assert np.isfinite(scores).all()


@pytest.mark.once
def test_positions_are_interpolated_and_what_precedes_them_stays():
    old = build("ViT")
    table = next(one for one in old.weights if one.shape == (17, 8))
    values = np.repeat(np.linspace(0, 1, 17, dtype="float32")[:, None], 8, axis=1)
    values[1:] = 0.25
    table.assign(values)
    new = for_size(old, (64, 48), "vit")
    resized = next(one for one in new.weights if one.shape == (8 * 6 + 1, 8))
    found = keras.ops.convert_to_numpy(resized)
    np.testing.assert_allclose(found[0], values[0])
    np.testing.assert_allclose(found[1:], 0.25, rtol=1e-5)
    others = [index for index, one in enumerate(old.weights) if one is not table]
    ours, theirs = (
        [keras.ops.convert_to_numpy(one) for one in model.weights] for model in (old, new)
    )
    assert all(np.array_equal(ours[index], theirs[index]) for index in others)
    assert for_size(old, (SIZE, SIZE), "vit") is old


@pytest.mark.once
def test_dino_is_interpolated_as_keras_hub_does_it(presets):
    ours = for_size(keras_hub.models.Backbone.from_preset(str(presets["DINOV2"])), (48, 48), "dino")
    theirs = keras_hub.models.Backbone.from_preset(str(presets["DINOV2"]), image_shape=(48, 48, 3))
    x = {"images": images(2, 48) / np.float32(255)}
    np.testing.assert_allclose(run_on(ours, x), run_on(theirs, x), rtol=1e-4, atol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize(
    ("kind", "size"), [("CLIP", (32, 48)), ("ViT", (36, 36)), ("SwinTransformer", (20, 20))]
)
def test_a_size_that_a_backbone_cannot_take_is_told_with_its_own(kind, size, presets):
    with pytest.raises(InputError, match=r"trained on images of \(32, 32\).*image_size=\(32, 32\)"):
        _ = ImageBackboneRecipe(presets[kind], num_classes=2, image_size=size).model


@pytest.mark.once
def test_tokens_are_pooled_by_the_first_or_over_the_patches(presets):
    x = images(2).astype("float32")
    vectors = {}
    for pooling in ("auto", "cls", "mean"):
        recipe = ImageBackboneRecipe(presets["DINOV2"], num_classes=2, pooling=pooling)
        tokens = run_on(keras.Model(recipe.model.input, recipe.backbone(recipe.model.input)), x)
        vectors[pooling] = run_on(keras.Model(recipe.model.input, recipe.head_input), x)
    np.testing.assert_array_equal(vectors["auto"], vectors["cls"])
    np.testing.assert_allclose(vectors["cls"], tokens[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(vectors["mean"], tokens[:, 3:].mean(axis=1), rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match=r"`pooling='avg'` takes features with 4 axes"):
        _ = ImageBackboneRecipe(presets["ViT"], num_classes=2, pooling="avg").model


@pytest.mark.parametrize("kind", ["ViT", pytest.param("CLIP", marks=pytest.mark.once)])
def test_a_stage_trains_the_block_nearest_the_head_on_kept_features(kind, presets):
    x, y = images(8), [0, 1] * 4
    losses = {}
    for cache in (False, True):
        recipe = ImageBackboneRecipe(presets[kind], num_classes=2, dropout=0.0)
        stages = [Stage(0, 1, 1e-2), Stage(1, 1, 1e-2)]
        run = recipe.fit((x, y), stages=stages, cache=cache, batch_size=4, augment=None, verbose=0)
        losses[cache] = run.history["loss"]
    assert losses[True] == pytest.approx(losses[False], rel=1e-4)


@pytest.mark.once
@pytest.mark.parametrize(
    ("kind", "strides"),
    [("DenseNet", {2, 4, 8}), ("ResNet", {2, 4, 8}), ("MiT", {4, 8}), ("SwinTransformer", {8})],
)
def test_the_maps_of_a_backbone_have_its_resolutions(kind, strides, presets):
    recipe = ImageBackboneRecipe(presets[kind], task=kft.tasks.Segmentation(classes=("a", "b")))
    inputs = recipe.model.input
    maps = recipe.features("pyramid", recipe.backbone(inputs), inputs)
    assert {name: one.shape[1:3] for name, one in maps.items()} == {
        f"stride_{stride}": (SIZE // stride, SIZE // stride) for stride in strides
    }
    assert recipe.model.output_shape == (None, SIZE, SIZE, 2)


@pytest.mark.once
@pytest.mark.parametrize("kind", ["DenseNet", "ViT"])
def test_pixels_are_segmented_with_maps_and_with_tokens(kind, presets):
    masks = (images(8)[..., 0] > 127).astype("int32")
    recipe = ImageBackboneRecipe(presets[kind], task=kft.tasks.Segmentation(classes=("a", "b")))
    run = recipe.fit(
        (images(8), masks), stages=[Stage("all", 1, 1e-3)], batch_size=4, augment=None, verbose=0
    )
    assert np.isfinite(run.history["loss"]).all()


@pytest.mark.once
def test_a_vector_has_no_pixels_to_segment(presets):
    with pytest.raises(InputError, match=r"needs feature maps, but .* gives one vector"):
        _ = ImageBackboneRecipe(
            presets["SigLIP"], task=kft.tasks.Segmentation(classes=("a", "b"))
        ).model


@pytest.mark.once
def test_pixels_are_scaled_as_the_converter_says_and_runs_keep_it(presets, tmp_path):
    folder = shutil.copytree(presets["ViT"], tmp_path / "preset")
    recipe = ImageBackboneRecipe(folder, num_classes=2)
    layer = recipe.model.get_layer("pixels")
    np.testing.assert_allclose(
        run_on(layer, images(1)), images(1) * SCALE + OFFSET, rtol=1e-5, atol=1e-5
    )
    expected = recipe.predict(images(3)).scores
    recipe.save(tmp_path / "run")
    shutil.rmtree(folder)
    loaded = kft.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict(images(3)).scores, expected)
    path = tmp_path / "run" / "preset" / "image_converter.json"
    content = json.loads(path.read_text())
    content["config"]["scale"] = {"a": 1}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError):
        kft.load(tmp_path / "run")


@pytest.mark.once
def test_a_preset_of_something_else_is_refused(presets, tmp_path):
    lacking = shutil.copytree(presets["ViT"], tmp_path / "lacking")
    (lacking / "image_converter.json").unlink()
    with pytest.raises(InputError, match=r"lacks image_converter.json"):
        ImageBackboneRecipe(lacking, num_classes=2)
    text = tiny_encoders.save_preset("Roberta", tmp_path / "text")
    shutil.copy(presets["ViT"] / "image_converter.json", text)
    with pytest.raises(InputError, match=r"holds a RobertaBackbone, which takes no images"):
        _ = ImageBackboneRecipe(text, num_classes=2, image_size=32).model
    hugging_face = tiny_bert.save_hugging_face(tmp_path / "bert")
    with pytest.raises(InputError, match=r"of image backbones KerasHub converts deit, dinov2"):
        ImageBackboneRecipe(hugging_face, num_classes=2)


@pytest.mark.once
def test_default_stages_decay_over_the_layers_of_transformers_alone(presets):
    decays = {
        kind: ImageBackboneRecipe(presets[kind], num_classes=2).default_stages()[-1].layer_decay
        for kind in ("ViT", "DenseNet")
    }
    assert decays == {"ViT": 0.75, "DenseNet": 0.9}
