"""Segmentation from outputs to figures, pictures and files."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kft
from kft.errors import InputError
from kft.model.forward import Forward
from kft.tasks import Segmentation
from kft.tasks.masks.layers import MaskLoss, PixelAccuracy
from kft.tasks.masks.stored import IGNORED
from kft.testing.families import TinyImages, tiny_images

CLASSES = ("sky", "road", "tree")


def sure(masks, of=0.8):
    """Return outputs in which these class numbers have a high probability."""
    k = len(CLASSES)
    return np.where(np.eye(k)[np.asarray(masks)] > 0, of, (1 - of) / (k - 1)).astype("float32")


def scored(*pairs):
    scorer = Segmentation(CLASSES).scorer(CLASSES)
    for truth, said in pairs:
        scorer.update(np.array([truth], np.uint8), sure([said]))
    return scorer.result()


@pytest.mark.once
def test_pixels_of_all_images_count_together_and_ignored_ones_nowhere():
    found = scored(
        ([[0, 0, 1, 1]], [[0, 1, 1, 1]]),
        ([[0, IGNORED, 1, IGNORED]], [[0, 0, 2, 2]]),
    )
    assert found.confusion_matrix.tolist() == [[2, 1, 0], [0, 2, 1], [0, 0, 0]]
    sky, road, tree = found.per_class
    assert sky.iou == 2 / 3
    assert road.iou == 2 / 4
    assert road.dice == 4 / 6
    assert (tree.iou, tree.recall, tree.images) == (0.0, None, 0)
    assert found.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)  # no trees in the data
    assert found.pixel_accuracy == pytest.approx(4 / 6)
    assert [(one.index, one.size) for one in found.mistakes()] == [(1, 0.5), (0, 0.25)]
    assert found.mistakes()[0].expected == "sky 50%, road 50%"
    assert "IoU" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.once
def test_an_interval_is_over_images():
    right, wrong = ([[0, 1]], [[0, 1]]), ([[0, 1]], [[1, 0]])
    low, high = scored(*[right, wrong] * 10).figures.figure("pixel_accuracy").interval
    assert 0.2 < low < 0.35
    assert 0.65 < high < 0.8
    assert scored(right, right).figures.figure("mean_iou").interval == (1.0, 1.0)


@pytest.mark.once
def test_an_image_of_which_all_is_ignored_says_nothing():
    found = scored(([[IGNORED, IGNORED]], [[0, 1]]))
    assert found.mean_iou is None
    assert found.pixel_accuracy is None
    assert not found.mistakes()


def test_loss_and_accuracy_see_what_is_not_ignored():
    truth = np.array([[[0, 1, IGNORED]], [[IGNORED] * 3]], np.uint8)
    outputs = sure([[[0, 0, 2]], [[0, 0, 0]]])
    cross = (-np.log(0.8) - np.log(0.1)) / 2 / 2  # of two images, one of which is ignored
    assert float(MaskLoss()(truth, outputs)) == pytest.approx(cross, rel=1e-4)
    # Dice of sky: 2 x 0.8 of 1 + 1.6; of road: 2 x 0.1 of 1 + 0.2.
    dice = (1 - 1.6 / 2.6 + 1 - 0.2 / 1.2) / 2 / 2
    found = float(MaskLoss(dice=2.0)(truth, outputs))
    assert found == pytest.approx(cross + 2 * dice, rel=1e-4)
    metric = PixelAccuracy()
    metric.update_state(truth, outputs)
    assert float(metric.result()) == 0.5


def bright(count=24, seed=0):
    """Return images of 16 x 16 pixels with a bright square, and its mask."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, 16, 16, 3)).astype(np.uint8)
    masks = np.zeros((count, 16, 16), np.int64)
    for image, mask, (top, left) in zip(images, masks, rng.integers(0, 8, (count, 2)), strict=True):
        image[top : top + 8, left : left + 8] += 160
        mask[top : top + 8, left : left + 8] = 1
    return images, masks


def test_a_decoder_learns_on_kept_maps_and_then_with_the_backbone():
    data = bright()
    recipe = TinyImages(task=Segmentation(("dark", "square"), dice=0.5, channels=8))
    stages = [kft.Stage(0, 8, 2e-2), kft.Stage("all", 2, 1e-3)]
    run = recipe.fit(data, data, stages=stages, batch_size=8, cache=True, verbose=0)
    assert set(run.journal["cache"]["stages"]) == {"1"}  # cached for the first stage only
    assert run.evaluation.mean_iou > 0.7
    assert run.evaluation.pixel_accuracy > 0.9


@pytest.mark.once
def test_probabilities_have_the_size_of_the_image_and_both_decoders_are_heads():
    for decoder in ("unet", "fpn"):
        task = Segmentation(CLASSES, decoder=decoder, channels=8)
        recipe = TinyImages(task=task, image_size=(18, 26))
        outputs = Forward(recipe.model)(np.zeros((2, 18, 26, 3), "float32"))
        assert outputs.shape == (2, 18, 26, 3)
        np.testing.assert_allclose(outputs.sum(axis=-1), 1, rtol=1e-5)
        with_weights = [layer.name for layer in recipe.model.layers if layer.weights]
        head = kft.model.blocks.find_anatomy(recipe.model).head
        assert len(head.weights) > 2
        assert not any(name.startswith("block") for name in (one.name for one in head.layers))
        assert with_weights[:2] == ["block1_conv", "block2_conv"]


@pytest.mark.once
def test_answers_are_masks_of_the_images_own_size(tmp_path):
    images, masks = bright()
    recipe = TinyImages(task=Segmentation(("dark", "square")))
    recipe.fit((images, masks), 0.25, stages=[kft.Stage("all", 2, 1e-2)], verbose=0)
    paths = []
    for folder, image in zip(("a", "b"), images, strict=False):
        (tmp_path / folder).mkdir()
        paths.append(str(tmp_path / folder / "one.png"))
        Image.fromarray(image).resize((40, 30)).save(paths[-1])
    found = recipe.predict(paths)
    assert found[0].shape == (16, 16)
    found.write(tmp_path / "masks")
    for name in ("one.png", "one-2.png"):
        with Image.open(tmp_path / "masks" / name) as written:
            assert written.size == (40, 30)
            assert set(np.unique(np.asarray(written))) <= {0, 1}
    areas = pd.read_csv(found.write(tmp_path / "areas.csv"))
    assert areas["area_square"].tolist() == pytest.approx([(one == 1).mean() for one in found])
    assert "data:image/png" in found._repr_html_()
    assert "dark" in str(found)
    with pytest.raises(InputError, match="pass a new or empty folder"):
        found.write(tmp_path / "masks")


@pytest.mark.once
def test_predict_keeps_no_probabilities():
    recipe = TinyImages(task=Segmentation(CLASSES))
    assert recipe.predict(tiny_images(40)).masks.nbytes == 40 * 16 * 16


@pytest.mark.once
def test_the_page_shows_what_data_and_model_say(tmp_path):
    recipe = TinyImages(task=Segmentation(("dark", "square")))
    recipe.fit(
        bright(), 0.25, stages=[kft.Stage("all", 1, 1e-3)], run_dir=tmp_path / "run", verbose=0
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("<figcaption>model</figcaption>") == 6
    assert "Images with the most wrong pixels" in page
    loaded = kft.load(tmp_path / "run", recipe=TinyImages)
    assert loaded.task == recipe.task
    assert loaded.classes == ("dark", "square")


@pytest.mark.once
def test_several_tasks_refuse_to_augment_masks():
    task = kft.tasks.Several({"mask": Segmentation(CLASSES), "kind": kft.tasks.Classification(2)})
    recipe = TinyImages(task=task)
    assert set(recipe.model.output) == {"mask", "kind"}
    with pytest.raises(InputError, match="changes the inputs and not the labels"):
        recipe.augmentation("light")
    keras.backend.clear_session()
