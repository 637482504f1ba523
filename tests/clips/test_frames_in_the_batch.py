"""Frames in the batch: models of clips are analysed, cut and saved like models of images."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest

import kft
from kft.cache.cut import find_cut
from kft.errors import InputError
from kft.model.frames import FoldFrames, UnfoldFrames
from kft.model.graph import outer_calls
from kft.recipe.clips import Clips
from kft.stages.plan import plan
from kft.testing.families import TinyImages
from kft.testing.recipes import check_recipe
from tests.clips.making import TinyClips, moving_squares
from tests.small_images import TinyRecipe as Pictures

CLIPS, LABELS = moving_squares(12)


@dataclass(kw_only=True, eq=False)
class Films(Clips, Pictures):
    """A recipe for clips with a backbone of three blocks at three resolutions."""


def entered(recipe, unfreeze):
    """Return the model of a recipe as a stage trains it."""
    plan(recipe.model, [kft.Stage(unfreeze, 1, 1e-3)], "frozen")[0].enter(recipe.model)
    return recipe.model


@pytest.mark.once
def test_frames_go_into_the_batch_and_come_back():
    clips = np.arange(2 * 3 * 4 * 4 * 3, dtype="float32").reshape(2, 3, 4, 4, 3)
    folded = FoldFrames(3)(clips)
    assert folded.shape == (6, 4, 4, 3)
    assert np.array_equal(UnfoldFrames(3)(folded), clips)


@pytest.mark.once
def test_pixels_are_not_rounded_where_the_policy_computes_in_less():
    inputs = keras.Input((2, 4, 4, 3))
    layer = FoldFrames(2, dtype="mixed_bfloat16")
    assert layer(inputs).dtype == "float32"


@pytest.mark.once
def test_the_blocks_of_clips_are_those_of_images():
    images, clips = Pictures(num_classes=2), Films(num_classes=2)
    ours, theirs = kft.find_blocks(clips.model), kft.find_blocks(images.model)
    assert [block.name for block in theirs] == ["block3", "block2", "block1"]
    assert [block.name for block in ours] == [block.name for block in theirs]


@pytest.mark.once
@pytest.mark.parametrize("time", ["attention", "gru"])
def test_what_is_learnt_of_time_is_a_part_of_the_head(time):
    recipe = TinyClips(num_classes=2, time=time)
    assert "block1_conv" not in str(kft.find_blocks(recipe.model)[0].layers)
    trained = {weight.path for weight in entered(recipe, 0).trainable_weights}
    assert any("head_" in path for path in trained)
    assert not any("block" in path for path in trained)
    assert not recipe.head_is_linear
    assert recipe.default_stages()[0].solve is False


@pytest.mark.once
def test_attention_starts_as_the_mean_of_the_frames():
    average = TinyClips(num_classes=2, time="average")
    attention = TinyClips(num_classes=2, time="attention")
    x = average.load(CLIPS)
    for ours, theirs in zip(attention.model.weights[:4], average.model.weights[:4], strict=True):
        ours.assign(theirs)
    both = [keras.Model(one.model.input, one.head_input) for one in (average, attention)]
    one, other = (model.predict_on_batch(x) for model in both)
    assert np.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("unfreeze", [0, 1])
def test_a_cut_keeps_a_row_for_each_clip(unfreeze):
    recipe = TinyClips(num_classes=2, time="gru")
    model = entered(recipe, unfreeze)
    cut, _ = find_cut(model)
    x = recipe.load(CLIPS[:5])
    kept = cut.prefix.predict_on_batch(x)
    kept = keras.tree.flatten(kept)
    assert [rows.shape[:2] for rows in kept] == [(5, 3)] * len(kept)
    found = cut.suffix.predict_on_batch(kept[0] if len(kept) == 1 else tuple(kept))
    assert np.allclose(found, model.predict_on_batch(x), atol=1e-6)
    ours, theirs = cut.suffix.trainable_variables, model.trainable_variables
    assert {id(one) for one in ours} == {id(one) for one in theirs}


@pytest.mark.once
def test_operations_count_for_each_frame():
    per_frame = find_cut(entered(TinyImages(num_classes=2), 0))[0].operations
    assert find_cut(entered(TinyClips(num_classes=2, frames=5), 0))[0].operations == 5 * per_frame


@pytest.mark.once
def test_a_suffix_has_the_layers_themselves_and_no_model_in_it():
    cut, _ = find_cut(entered(TinyClips(num_classes=2, time="gru"), 1))
    assert not any(isinstance(call.operation, keras.Model) for call in outer_calls(cut.suffix))


@pytest.mark.parametrize("time", ["gru", pytest.param("average", marks=pytest.mark.once)])
def test_training_on_kept_and_on_computed_features_is_the_same(time):
    stages = [kft.Stage(0, 1, 1e-3), kft.Stage(1, 1, 1e-3)]
    losses = []
    for cache in (False, True):
        recipe = TinyClips(num_classes=2, time=time)
        run = recipe.fit(
            (CLIPS, LABELS), (CLIPS, LABELS), stages=stages, cache=cache, batch_size=8, verbose=0
        )
        losses.append(run.history["loss"] + run.history["val_loss"])
    assert np.allclose(*losses, rtol=1e-4)


def test_clips_keep_the_contract_of_recipes():
    check_recipe(
        lambda: TinyClips(num_classes=2, time="gru"),
        (CLIPS, LABELS),
        leave_out={"cache", "export", "tune"},  # the cache is tested above
    )


@pytest.mark.once
def test_clips_go_all_the_way_to_an_export_and_a_search():
    check_recipe(lambda: TinyClips(num_classes=2), (CLIPS, LABELS), leave_out={"cache", "resume"})


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"frames": 0}, "`frames=0`: pass a whole number from 1 to 1,024"),
        ({"frames": 2.5}, "`frames=2.5`"),
        ({"time": "lstm"}, "`time='lstm'` is unknown: pass 'average', 'attention', 'gru'"),
    ],
)
def test_wrong_arguments_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        TinyClips(num_classes=2, **wrong)


@pytest.mark.once
def test_order_is_learnt_by_gru_and_not_by_the_average():
    """Only the order of frames shows whether a square moves left or right."""
    train, test = moving_squares(96, seed=1), moving_squares(48, seed=2)
    reached = {}
    for time in ("average", "gru"):
        recipe = TinyClips(num_classes=2, frames=4, time=time, pooling="flatten", dropout=0.0)
        recipe.fit(train, test, stages=[kft.Stage("all", 12, 3e-3)], batch_size=16, verbose=0)
        reached[time] = recipe.evaluate(test).accuracy
    assert reached["gru"] > 0.9
    assert reached["average"] < 0.75
