"""Text encoders with each kind of tokenizer, served through the C API; each backend exports another."""

import keras
import pytest
from processes import ask

import kft
import recipes
from kft.export import check_version
from kft.stages.stage import Stage
from tests.recipes import tiny_encoders

SERVED = {"tensorflow": "Roberta", "jax": "DebertaV3", "torch": "FNet"}
TEXTS = [*tiny_encoders.TEXTS, "", "grüße </s> 日本", "the good " * 40]


def test_an_encoder_serves_what_it_predicts(tmp_path):
    kind = SERVED[keras.backend.backend()]
    preset = tiny_encoders.save_preset(kind, tmp_path / "preset")
    recipe = getattr(recipes, f"{kind}Recipe")(preset, num_classes=2)
    recipe.fit(
        (tiny_encoders.TEXTS * 2, ["a", "b"] * 4),
        stages=[Stage("all", 1, 1e-3)],
        batch_size=4,
        verbose=0,
        finish=kft.Finish(report=False),
    )
    version = recipe.export(tmp_path / "serving")
    assert check_version(version) == []
    raw = [text.encode().decode("latin-1") for text in TEXTS]
    (answer,) = ask(version, [("serving_default", ["\xff", *raw])])
    assert answer["status"] == ["not UTF-8", *[""] * len(TEXTS)]
    expected = recipe.predict(TEXTS)
    for classes, scores, one in zip(
        answer["classes"][1:], answer["scores"][1:], expected, strict=True
    ):
        assert dict(zip(classes, scores, strict=True)) == pytest.approx(one.scores, abs=1e-5)
