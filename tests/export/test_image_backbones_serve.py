"""KerasHub image backbones served through the C API; each backend exports another."""

import keras
import pytest
from builds import png
from processes import ask

import kft
from kft.export import check_version
from kft.stages.stage import Stage
from recipes import ImageBackboneRecipe
from tests.recipes.tiny_backbones import images, save_preset

SERVED = {"tensorflow": "ViT", "jax": "DINOV2", "torch": "CLIP"}


def test_an_image_backbone_serves_what_it_predicts(tmp_path):
    preset = save_preset(SERVED[keras.backend.backend()], tmp_path / "preset")
    recipe = ImageBackboneRecipe(preset, num_classes=2)
    recipe.fit(
        (images(8), ["a", "b"] * 4),
        stages=[Stage(0, solve=True)],
        batch_size=4,
        verbose=0,
        finish=kft.Finish(report=False),
    )
    version = recipe.export(tmp_path / "serving")
    assert check_version(version) == []
    raw = [png(seed, (40, 60)) for seed in range(4)]
    (answer,) = ask(version, [("serving_default", raw)])
    expected = recipe.predict(raw)
    assert answer["label"] == expected.labels
    for classes, scores, one in zip(answer["classes"], answer["scores"], expected, strict=True):
        assert dict(zip(classes, scores, strict=True)) == pytest.approx(one.scores, abs=1e-5)
