"""A search over a text recipe."""

import pytest

import kft
from kft.tuning.sharing import why_little_is_shared
from recipes import BertRecipe
from tests.recipes import tiny_bert

TEXTS = ["good film", "bad film", "great actor", "awful plot", "very good", "very bad"] * 4
LABELS = [1, 0, 1, 0, 1, 0] * 4


def test_a_text_search_shares_features_and_keeps_the_model_that_it_scored(tmp_path):
    preset = tiny_bert.save_preset(tmp_path / "preset")
    recipe = BertRecipe(preset, num_classes=2, backbone_dropout=0.0, sequence_length=8)

    def space(hp):
        hp.Float("head_lr", 1e-2, 1e-1, sampling="log")
        hp.Float("dropout", 0.0, 0.4)

    data = (TEXTS, LABELS)
    search = recipe.tune(
        data, data, run_dir=tmp_path / "search", max_trials=2, space=space,
        stages=[kft.Stage(0, 2, 1e-2)], batch_size=8, verbose=0,
    )  # fmt: skip
    assert [trial.failed for trial in search.trials] == [False, False]
    assert len({trial.values["dropout"] for trial in search.trials}) == 2
    for trial in search.trials:
        accuracy = kft.load(trial.run_dir).evaluate(data).accuracy
        assert accuracy == pytest.approx(trial.score)
    kept = [path for path in (tmp_path / "search" / "features").iterdir() if path.is_dir()]
    assert len(kept) == 1, "training and validation data are the same here"


@pytest.mark.once
def test_a_search_says_why_trials_of_texts_share_nothing(tmp_path):
    """Dropout inside frozen layers makes each pass different."""
    preset, stages = str(tiny_bert.save_preset(tmp_path / "preset")), [kft.Stage(0, 1, 1e-2)]
    recipe = BertRecipe(preset, num_classes=2, sequence_length=8)
    said = why_little_is_shared(recipe, stages, "frozen")
    assert "draws random numbers" in said
    assert "backbone_dropout=0.0" in said
    recipe = BertRecipe(preset, num_classes=2, sequence_length=8, backbone_dropout=0.0)
    assert why_little_is_shared(recipe, stages, "frozen") is None
