"""Each named family keeps the contract of recipes with its real architecture at its smallest."""

import numpy as np
import pytest

import recipes
from kft.testing import check_recipe
from kft.testing.families import save_tiny_llama
from recipes import (
    AlbertRecipe,
    ApplicationRecipe,
    BertRecipe,
    CausalLMRecipe,
    DebertaV3Recipe,
    DistilBertRecipe,
    ElectraRecipe,
    EncoderRecipe,
    FNetRecipe,
    GPT2Recipe,
    ImageBackboneRecipe,
    InceptionV3Recipe,
    LlamaRecipe,
    MobileNetRecipe,
    ResNetRecipe,
    RobertaRecipe,
    VGG16Recipe,
    VideoRecipe,
    XLMRobertaRecipe,
)
from tests.recipes import tiny_backbones, tiny_encoders, tiny_gpt2

# On PyTorch these take a minute of processor time together, and several times as much on the other
# backends, where the tiny families of test_recipes.py go through the same steps.
pytestmark = pytest.mark.once

EXAMPLES = 8
LABELS = ["a", "b"] * (EXAMPLES // 2)
ELSEWHERE = {"export", "tune"}  # tests/export/test_families_serve.py and tests/tuning
# Commits of 15 to 25 million weights cost more than all else, and are the same for each convolution.
LARGE = {*ELSEWHERE, "resume"}

IMAGES = {
    "application": (ApplicationRecipe, {"name": "MobileNetV3Small"}, 32, ELSEWHERE),
    "mobilenet": (MobileNetRecipe, {"name": "MobileNetV2", "alpha": 0.35}, 32, ELSEWHERE),
    "resnet": (ResNetRecipe, {"name": "ResNet50"}, 32, LARGE),
    "vgg16": (VGG16Recipe, {"name": "VGG16"}, 32, LARGE),
    "inception_v3": (InceptionV3Recipe, {}, 75, LARGE),
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_family_of_image_models_keeps_the_contract(name):
    family, arguments, size, leave_out = IMAGES[name]
    shape = (EXAMPLES, size, size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    check_recipe(
        lambda: family(**arguments, num_classes=2, weights=None, image_size=(size, size)),
        (images, LABELS),
        leave_out=leave_out,
    )


# Resuming is the same for all encoders: two of them show it.
ENCODERS = {
    "bert": (BertRecipe, "Bert", ELSEWHERE),
    "encoder": (EncoderRecipe, "DistilBert", LARGE),
    "albert": (AlbertRecipe, "Albert", ELSEWHERE),
    "deberta_v3": (DebertaV3Recipe, "DebertaV3", LARGE),
    "distil_bert": (DistilBertRecipe, "DistilBert", LARGE),
    "electra": (ElectraRecipe, "Electra", LARGE),
    "f_net": (FNetRecipe, "FNet", LARGE),
    "roberta": (RobertaRecipe, "Roberta", LARGE),
    "xlm_roberta": (XLMRobertaRecipe, "XLMRoberta", LARGE),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_a_family_of_encoders_keeps_the_contract(name, tmp_path):
    family, kind, leave_out = ENCODERS[name]
    preset = tiny_encoders.save_preset(kind, tmp_path / "preset")
    check_recipe(
        # Dropout in frozen layers would keep the cache from reaching the head.
        lambda: family(preset, num_classes=2, backbone_dropout=0.0),
        (tiny_encoders.TEXTS * 2, LABELS),
        leave_out=leave_out,
    )


def test_video_keeps_the_contract():
    shape = (EXAMPLES, 3, 32, 32, 3)
    clips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    check_recipe(
        lambda: VideoRecipe(
            "MobileNetV3Small", num_classes=2, weights=None, image_size=(32, 32), frames=2
        ),
        (clips, LABELS),
        leave_out=ELSEWHERE,
    )


BACKBONES = {
    "image_backbone": (ImageBackboneRecipe, "ViT", ELSEWHERE),
    "of convolutions": (ImageBackboneRecipe, "DenseNet", LARGE),
    "of a tower": (ImageBackboneRecipe, "CLIP", LARGE),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_an_image_backbone_keeps_the_contract(name, tmp_path):
    family, kind, leave_out = BACKBONES[name]
    preset = tiny_backbones.save_preset(kind, tmp_path / "preset")
    check_recipe(
        lambda: family(preset, num_classes=2),
        (tiny_backbones.images(EXAMPLES), LABELS),
        leave_out=leave_out,
    )


LANGUAGE = {
    "causal_lm": (CausalLMRecipe, tiny_gpt2.save_preset),
    "gpt2": (GPT2Recipe, tiny_gpt2.save_preset),
    "llama": (LlamaRecipe, save_tiny_llama),
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_family_of_language_models_keeps_the_contract(name, tmp_path):
    family, save_preset = LANGUAGE[name]
    preset = save_preset(tmp_path / "preset")
    texts = ["the film was good", "the plot was bad", "a good actor", "not the film"] * 2
    check_recipe(lambda: family(preset, sequence_length=16), texts, leave_out=ELSEWHERE)


def test_every_named_family_is_held_to_the_contract():
    families = [*IMAGES.values(), *BACKBONES.values(), *ENCODERS.values(), *LANGUAGE.values()]
    held = {family.__name__ for family, *_ in families} | {"VideoRecipe"}
    assert held == set(recipes.__all__)
