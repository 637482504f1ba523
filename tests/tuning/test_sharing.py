"""Trials on a shared backbone have the same results as if each was built and fitted alone."""

import numpy as np
import pytest

import kft
from kft.tuning.sharing import SharedBackbone
from recipes import BertRecipe
from tests.models import values
from tests.recipes import tiny_bert
from tests.small_images import TinyRecipe, bright_sides

STAGES = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 1, 1e-2)]


def fit(recipe):
    recipe.fit(
        bright_sides(16), bright_sides(8, seed=1), stages=STAGES, batch_size=8, verbose=0,
        batch_norm="train", finish=kft.Finish(report=False),
    )  # fmt: skip
    return [np.array(weight) for weight in values(recipe.model).values()]


def test_a_second_trial_equals_a_recipe_of_its_own():
    shared = SharedBackbone(TinyRecipe(num_classes=2))
    fit(shared.build({"dropout": 0.5}, None))
    second = shared.build({"hidden": (6,), "dropout": 0.3}, None)
    alone = TinyRecipe(num_classes=2, hidden=(6,), dropout=0.3)
    assert second.arguments() == alone.arguments()
    assert second.model.count_params() == alone.model.count_params()
    for one, other in zip(fit(second), fit(alone), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_text_recipe_shares_its_encoder_and_tokenizer(tmp_path):
    recipe = BertRecipe(tiny_bert.save_preset(tmp_path / "preset"), num_classes=2)
    shared = SharedBackbone(recipe)
    first = shared.build({}, ("bad", "good"))
    second = shared.build({"dropout": 0.4}, ("bad", "good"))
    assert second.encoder is first.encoder
    assert second.classes == ("bad", "good")
    np.testing.assert_allclose(
        second.predict(["good film", "bad plot"]).scores,
        BertRecipe(recipe.preset, num_classes=2, dropout=0.4)
        .predict(["good film", "bad plot"])
        .scores,
        atol=1e-6,
    )


def test_arguments_are_checked_as_ever():
    with pytest.raises(kft.InputError, match="dropout"):
        SharedBackbone(TinyRecipe(num_classes=2)).build({"dropout": 1.5}, None)
    assert not SharedBackbone.suits(TinyRecipe(num_classes=2), {"image_size": 8})
