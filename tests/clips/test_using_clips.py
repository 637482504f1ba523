"""Recipes for clips in use: augmentation, the page of a run and the command line."""

import json

import keras
import numpy as np
import pytest

import kft
from kft.report import thumbnails
from tests.clips.making import TinyClips, gif, moving_squares, write_folder, write_video
from tests.small_images import encoded

pytestmark = pytest.mark.once

CLIPS, LABELS = moving_squares(12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return class folders with the clips as videos, GIFs and folders of frames."""
    root = tmp_path_factory.mktemp("data") / "clips"
    for number, (clip, label) in enumerate(zip(CLIPS, LABELS, strict=True)):
        place = root / label
        place.mkdir(parents=True, exist_ok=True)
        if number % 3 == 0:
            write_folder(place / str(number), clip)
        elif number % 3 == 1:
            write_video(place / f"{number}.mkv", clip)
        else:
            (place / f"{number}.gif").write_bytes(gif(clip))
    return root


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    recipe = TinyClips(num_classes=2)
    place = tmp_path_factory.mktemp("runs") / "clips"
    run = recipe.fit(
        str(folder), str(folder), run_dir=place, stages=[kft.Stage("all", 1, 1e-2)], verbose=0
    )
    return recipe, run, place


@pytest.mark.parametrize("augment", ["light", "standard"])
def test_all_frames_of_a_clip_move_in_the_same_way(augment):
    random = np.random.default_rng(0)
    still = np.repeat(random.uniform(0, 255, (4, 1, 16, 16, 3)).astype("float32"), 3, axis=1)
    change = TinyClips(num_classes=2).augmentation(augment)
    moved, _ = change(still, np.zeros(4), seed=(0, 1, 2))
    assert np.array_equal(moved[:, 0], moved[:, 1])
    assert np.array_equal(moved[:, 0], moved[:, 2])
    assert not np.allclose(moved[0], still[0])
    again, _ = change(still, np.zeros(4), seed=(0, 1, 2))
    assert np.array_equal(moved, again)


def test_colours_of_a_clip_change_in_the_same_way():
    layers = [keras.layers.RandomBrightness(0.5, value_range=(0, 255), dtype="float32")]
    change = TinyClips(num_classes=2).augmentation(layers)
    still = np.full((4, 3, 16, 16, 3), 100, "float32")
    moved, _ = change(still, np.zeros(4), seed=(0, 0, 0))
    levels = moved.mean(axis=(2, 3, 4))
    assert np.allclose(levels, levels[:, :1])
    assert len(np.unique(levels[:, 0].round(3))) == 4


def test_mixed_clips_have_mixed_labels_and_a_function_is_given_clips():
    recipe = TinyClips(num_classes=2)
    mix = recipe.augmentation(
        [keras.layers.MixUp(0.2, dtype="float32", data_format="channels_last")]
    )
    assert mix.soft_targets
    rows = np.eye(2, dtype="float32")[[0, 1, 0, 1]]
    moved, mixed = mix(CLIPS[:4].astype("float32"), rows, seed=(0, 0, 1))
    assert moved.shape == (4, 4, 16, 16, 3)
    assert np.allclose(mixed.sum(axis=1), 1)
    own = lambda x, y, seed: (x[:, ::-1], y)  # noqa: E731
    assert recipe.augmentation(own) is own


def test_a_fit_with_augmentation_takes_clips():
    recipe = TinyClips(num_classes=2)
    run = recipe.fit(
        (CLIPS, LABELS), 0.25, stages=[kft.Stage(0, 1, 1e-3)], augment="light", verbose=0
    )
    assert len(run.history["loss"]) == 1


def test_a_clip_is_answered_the_same_however_it_is_given(trained, tmp_path):
    recipe = trained[0]
    clip = CLIPS[0]
    ways = [
        clip[None],
        [clip],
        [tuple(encoded(clip))],
        write_folder(tmp_path / "clip", clip),
        [(tmp_path / "clip")],
    ]
    answers = [recipe.predict(way).scores for way in ways]
    for answer in answers[1:]:
        assert np.allclose(answer, answers[0], atol=1e-6)


def test_the_page_shows_strips_of_the_clips_that_were_mistaken(trained):
    _, run, place = trained
    assert run.evaluation.accuracy < 1, "train less: a mistake is wanted"
    page = (place / "report.html").read_text()
    assert page.count("data:image/jpeg") >= 1
    assert "cannot be shown" not in page


def test_a_strip_has_frames_side_by_side(folder):
    import base64
    import io

    from PIL import Image

    url = thumbnails.from_clip(CLIPS[0])
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as strip:
        assert strip.size == (4 * 112, 112)
    assert thumbnails.from_clip(str(folder / "none.mp4")) is None


def test_equal_clips_in_both_parts_are_told(trained):
    found = trained[1].journal["data"]
    assert found["across"] == 12
    assert found["alike"] is None


def test_a_saved_recipe_answers_as_before(trained, folder):
    recipe, _, place = trained
    loaded = kft.load(place, recipe=TinyClips)
    assert (loaded.frames, loaded.time) == (3, "average")
    found = loaded.predict([str(folder / LABELS[0] / "0")]).scores
    assert np.allclose(found, recipe.predict([str(folder / LABELS[0] / "0")]).scores)


def test_numbers_and_several_labels_of_clips():
    numbers = TinyClips(task="regression")
    numbers.fit((CLIPS, np.arange(12.0)), 0.25, stages=[kft.Stage(0, solve=True)], verbose=0)
    assert numbers.predict(CLIPS[:2]).scores.shape[0] == 2
    labels = TinyClips(task="multi_label", num_classes=3, time="attention")
    rows = np.tile([[1, 0, 1], [0, 1, 1]], (6, 1))
    labels.fit((CLIPS, rows), 0.25, stages=[kft.Stage(0, 1, 1e-3)], verbose=0)
    assert len(labels.predict(CLIPS[:2])) == 2


def test_a_stream_of_clips():
    import tensorflow as tf

    recipe = TinyClips(num_classes=2)
    data = tf.data.Dataset.from_tensor_slices((CLIPS[:, :3], np.arange(12) % 2)).batch(4)
    run = recipe.fit(data, data, stages=[kft.Stage("all", 1, 1e-3)], verbose=0)
    assert len(run.history["loss"]) == 1
    dark = tf.data.Dataset.from_tensor_slices((CLIPS[:, :3] / np.float32(255), np.arange(12) % 2))
    with pytest.raises(kft.InputError, match="multiply by 255"):
        recipe.fit(dark.batch(4), data, stages=[kft.Stage("all", 1, 1e-3)], verbose=0)
    other = tf.data.Dataset.from_tensor_slices((CLIPS, np.arange(12) % 2)).batch(4)
    with pytest.raises(kft.InputError, match=r"clips of shape .* but \[n, 3, height, width"):
        recipe.fit(other, other, stages=[kft.Stage("all", 1, 1e-3)], verbose=0)


def test_the_command_line_predicts_a_folder_of_clips(cli, trained, tmp_path):
    _, _, place = trained
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "bad.mp4").write_bytes(b"\0\0\0\x18ftypisom and no more")
    fine = write_folder(tmp_path / "more" / "fine", CLIPS[0])
    own = ("--recipe", f"{TinyClips.__module__}:TinyClips")
    code, _, err = cli("predict", place, *own, tmp_path / "more")
    assert code == 2
    assert "bad.mp4: cannot be decoded" in err
    code, out, err = cli(
        "predict", place, *own, tmp_path / "more", "--on-bad-example", "skip", "--json"
    )
    assert code == 0
    assert json.loads(out)["input"] == [fine]
    assert "bad.mp4" in err


def test_what_takes_images_alone_says_so(trained):
    recipe = trained[0]
    with pytest.raises(
        kft.InputError, match="takes clips, but only images and texts are perturbed"
    ):
        recipe.evaluate((CLIPS, LABELS), perturb="standard")
    with pytest.raises(
        kft.InputError, match=r"Grad-CAM explains images, but TinyClips takes clips\."
    ):
        kft.explain.grad_cam(recipe, CLIPS)
    with pytest.raises(kft.InputError, match="takes clips: expected images or texts"):
        kft.explain.integrated_gradients(recipe, CLIPS)
    near = kft.explain.nearest(recipe, CLIPS[:1], (CLIPS, LABELS), count=1)
    assert near.indices.tolist() == [[0]]
