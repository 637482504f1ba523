"""A recipe with adapters: its fit, its cache, its files, and several on one backbone."""

import json

import keras
import numpy as np
import pytest

import kft
from kft.cache.cut import find_cut
from kft.family.merging import merged
from kft.model.adapters import adapters_of
from kft.model.flags import kept_flags
from kft.stages.plan import plan
from kft.testing import check_recipe
from kft.testing.checks import equal, weights_of
from kft.testing.families import TinyImages, TinyTexts, save_tiny_bert, tiny_images, tiny_texts

DATA = (tiny_texts(24), ["a", "b"] * 12)
STAGES = [
    kft.Stage(0, 1, 1e-2, name="head"),
    kft.Stage("all", 2, 1e-2, only="adapters"),
]
LORA = kft.LoRA(rank=2, alpha=6)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert") / "preset")


def recipe_of(preset, adapters=LORA, **others):
    # On PyTorch, Keras' dropout without a seed uses the global generator.
    settings = {"num_classes": 2, "backbone_dropout": 0.0, **others}
    return TinyTexts(preset, adapters=adapters, **settings)


def fitted(recipe, data=DATA, **settings):
    plain = {"stages": STAGES, "batch_size": 8, "verbose": 0, "finish": kft.Finish(report=False)}
    recipe.fit(data, data, **{**plain, **settings})
    return recipe


def outputs(recipe):
    return recipe.model.predict(recipe.load(tiny_texts(6, seed=1)), verbose=0)


def images_of(adapters=LORA, **others):
    return TinyImages(num_classes=2, adapters=adapters, **others)


IMAGES = (tiny_images(24), ["a", "b"] * 12)


def test_images_with_adapters_keep_the_contract():
    """After a kill between commits, the kernels, A and B are the same to the last bit."""
    leave_out = {"cache", "export", "tune"}  # cached features have a test below
    check_recipe(images_of, IMAGES, leave_out=leave_out)


@pytest.mark.once
def test_images_with_adapters_are_exported():
    leave_out = {"plan", "cache", "resume", "outcome", "tune"}
    check_recipe(images_of, IMAGES, leave_out=leave_out)


@pytest.mark.once  # JAX, which takes two minutes to compile these fits, runs those of images
def test_texts_with_adapters_keep_the_contract(preset):
    check_recipe(lambda: recipe_of(preset), DATA, leave_out={"cache", "export", "tune"})


@pytest.fixture(scope="module")
def trained(preset):
    return fitted(recipe_of(preset))


def test_a_fit_moves_adapters_and_head_and_nothing_else():
    recipe = images_of()
    before = weights_of(recipe.model)
    fitted(recipe, IMAGES)
    moved = {
        "head" if "predictions" in weight.path else weight.name
        for weight, was, now in zip(
            recipe.model.weights, before, weights_of(recipe.model), strict=True
        )
        if not np.array_equal(was, now)
    }
    assert moved == {"head", "lora_kernel_a", "lora_kernel_b"}


def cut_of(recipe):
    """Return the names of the layers below the cut of the second stage."""
    with kept_flags(recipe.model):
        plan(recipe.model, STAGES)[1].enter(recipe.model)
        cut, reason = find_cut(recipe.model)
    return [] if cut is None else [layer.name for layer in cut.layers], reason


@pytest.mark.once
def test_the_cut_lies_below_the_lowest_adapter(preset):
    below, _ = cut_of(recipe_of(preset, kft.LoRA(2, blocks=1)))
    assert "transformer_layer_0" in below
    assert "transformer_layer_1" not in below
    everywhere, _ = cut_of(recipe_of(preset, kft.LoRA(2)))
    assert not [name for name in everywhere if name.startswith("transformer")]
    from_the_input, reason = cut_of(recipe_of(preset, kft.LoRA(2, layers=["embedding"])))
    assert from_the_input == []
    assert "trains from the first layer on" in reason


def test_training_on_kept_features_ends_where_training_on_images_does():
    ends = []
    for cache in (True, False):
        recipe = fitted(images_of(kft.LoRA(2, blocks=1)), IMAGES, cache=cache)
        ends.append(
            [np.asarray(keras.ops.convert_to_numpy(one.b)) for one in adapters_of(recipe.model)]
        )
    for kept, anew in zip(*ends, strict=True):
        np.testing.assert_allclose(kept, anew, atol=2e-3)
    assert max(np.abs(one).max() for one in ends[0]) > 1e-2


@pytest.mark.once
def test_features_are_kept_once_for_all_ranks_and_for_none(preset, tmp_path):
    stages = [kft.Stage(0, 1, 1e-2)]
    for adapters in (None, kft.LoRA(2), kft.LoRA(4, alpha=1, layers="attention")):
        cache = kft.Cache(True, directory=tmp_path / "features")
        fitted(recipe_of(preset, adapters), stages=stages, cache=cache)
        held = [path for path in (tmp_path / "features").iterdir() if len(path.name) == 32]
        assert len(held) == 1, adapters


def test_a_saved_recipe_is_loaded_with_its_adapters_apart_from_their_kernels(tmp_path):
    recipe = fitted(images_of(dropout=0.0), IMAGES)  # its random stream would restart
    loaded = kft.load(recipe.save(tmp_path / "saved"), recipe=TinyImages)
    assert loaded.adapters == LORA
    assert equal(weights_of(recipe.model), weights_of(loaded.model)), "A and B are not merged"
    assert str(recipe.predict(IMAGES[0][:6])) == str(loaded.predict(IMAGES[0][:6]))
    further = [fitted(one, IMAGES, stages=STAGES[1:]) for one in (recipe, loaded)]
    assert equal(*[weights_of(one.model) for one in further]), "both train on alike"


@pytest.mark.once
def test_a_merged_recipe_has_no_adapters_and_the_same_answers(preset, trained):
    recipe, found = trained, merged(trained)
    plain = recipe_of(preset, None)
    assert [w.shape for w in found.model.weights] == [w.shape for w in plain.model.weights]
    np.testing.assert_allclose(outputs(found), outputs(recipe), atol=1e-5)
    assert not np.allclose(outputs(found), outputs(plain), atol=1e-3)
    assert str(found.predict(tiny_texts(3))) == str(recipe.predict(tiny_texts(3)))
    assert merged(plain) is plain


@pytest.mark.once
def test_adapters_of_several_fits_are_loaded_on_one_backbone(preset, trained, tmp_path):
    texts, other = DATA[0], ["good" if "good" in text else "other" for text in DATA[0]]
    one, two = trained, fitted(recipe_of(preset), (texts, other))
    for name, recipe in (("one", one), ("two", two)):
        recipe.save_adapters(tmp_path / name)
    size = sum(path.stat().st_size for path in (tmp_path / "one").iterdir())
    assert size < 60_000, "without the backbone"
    served = recipe_of(preset)
    for name, recipe in (("one", one), ("two", two), ("one", one)):
        served.load_adapters(tmp_path / name)
        assert np.array_equal(outputs(served), outputs(recipe)), name
        assert served.classes == recipe.classes


@pytest.mark.once
def test_norms_and_biases_are_saved_with_adapters(preset, tmp_path):
    stages = [kft.Stage("all", 1, 1e-2, only=["adapters", "norms", "biases"])]
    recipe = fitted(recipe_of(preset), stages=stages)
    served = recipe_of(preset)
    served.load_adapters(recipe.save_adapters(tmp_path / "saved"))
    assert np.array_equal(outputs(served), outputs(recipe))


@pytest.mark.once
def test_adapters_of_another_model_are_refused(preset, trained, tmp_path):
    saved = trained.save_adapters(tmp_path / "saved")
    with pytest.raises(kft.InputError, match=r"rank=2, alpha=6.*adapters=LoRA\(rank=4"):
        recipe_of(preset, kft.LoRA(4)).load_adapters(saved)
    with pytest.raises(kft.InputError, match="for the task"):
        recipe_of(preset, num_classes=None, task="regression").load_adapters(saved)
    other = recipe_of(preset)
    kernel = adapters_of(other.model)[0].base
    kernel.assign(kernel + 1)
    with pytest.raises(
        kft.InputError, match=r"for the backbone of TinyTexts, .*but this recipe has"
    ):
        other.load_adapters(saved)
    three = recipe_of(preset, num_classes=3)
    with pytest.raises(kft.InputError, match=r"adapters.json describes|does not fit the model"):
        three.load_adapters(saved)
    with pytest.raises(kft.InputError, match="has no adapters to save"):
        recipe_of(preset, None).save_adapters(tmp_path / "none")
    deep = fitted(recipe_of(preset), stages=[kft.Stage("all", 1, 1e-3)])
    with pytest.raises(kft.InputError, match=r"Stage 1 .* trained more of the backbone"):
        deep.save_adapters(tmp_path / "deep")


@pytest.mark.once
def test_damaged_adapters_are_refused_by_name(preset, tmp_path):
    recipe = recipe_of(preset)
    saved = recipe.save_adapters(tmp_path / "saved")
    weights = saved / "adapters.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(kft.InputError, match="SHA-256 differs"):
        recipe.load_adapters(saved)
    described = json.loads((saved / "adapters.json").read_text())
    (saved / "adapters.json").write_text(json.dumps({**described, "adapters": {"rank": "2"}}))
    with pytest.raises(kft.InputError, match=r"adapters.json.*rank='2'"):
        recipe.load_adapters(saved)
    (saved / "adapters.json").write_text(json.dumps({**described, "state": None}))
    with pytest.raises(kft.InputError, match="see state in it"):
        recipe.load_adapters(saved)


@pytest.mark.once
def test_the_default_stages_train_adapters(preset):
    recipe = recipe_of(preset)
    assert [stage.only for stage in recipe.usual_stages(10)] == [None, ("adapters",)]
    assert [stage.only for stage in recipe_of(preset, None).usual_stages(10)] == [None, None]
