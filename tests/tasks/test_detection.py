"""Detection from outputs to figures, pictures and files."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kft
from kft.errors import InputError
from kft.model.forward import Forward
from kft.tasks import Detection
from kft.tasks.boxes.losses import BoxLoss, assigned
from kft.testing.families import TinyImages

SIZE = 32


def squares(count=16, seed=0):
    """Return images with one bright square each, and its box in pixels."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, SIZE, SIZE, 3), np.uint8)
    boxes = []
    for image in images:
        left, top = (int(one) for one in rng.integers(2, 16, 2))
        image[top : top + 12, left : left + 12] = 255
        boxes.append([[left, top, left + 12, top + 12, 0]])
    return images, boxes


def tiny(**settings):
    task = Detection(("square",), channels=8, max_boxes=5, **settings)
    return TinyImages(task=task, image_size=(SIZE, SIZE))


def outputs_of(boxes, places=6, classes=2):
    """Return a model's outputs for these boxes (fractions, score and class), with empty places."""
    found = np.zeros((1, places, 8 + classes), np.float32)
    found[..., 6:8] = 0.25
    for place, (*sides, score, kind) in enumerate(boxes):
        found[0, place, :4] = sides
        found[0, place, 8 + kind] = score
    return found


def test_a_detector_learns_on_kept_maps_and_then_with_the_backbone():
    data = squares()
    recipe = tiny()
    stages = [kft.Stage(0, 6, 2e-2), kft.Stage("all", 10, 1e-2)]
    settings = {"batch_size": 4, "early_stopping": None, "cache": True, "verbose": 0}
    run = recipe.fit(data, data, stages=stages, **settings)
    assert set(run.journal["cache"]["stages"]) == {"1"}  # cached for the first stage only
    assert run.evaluation.ap50 > 0.7
    assert run.evaluation.per_class[0].boxes == 16


def test_places_belong_to_the_box_that_fits_their_level():
    import keras

    recipe = tiny()
    places = Forward(recipe.model)(np.zeros((1, SIZE, SIZE, 3), "float32"))[0, :, 4:8]
    targets = np.full((1, 3, 5), -1, np.float32)
    targets[0, 0] = [0.1, 0.1, 0.2, 0.2, 0]  # small, inside the next one
    targets[0, 1] = [0, 0, 1, 1, 0]
    owner, owned, ignored = (
        keras.ops.convert_to_numpy(one)
        for one in assigned(
            keras.ops.convert_to_tensor(targets), keras.ops.convert_to_tensor(places)
        )
    )
    for place, box in enumerate(targets[0, :2]):
        mine = places[owned[0] & (owner[0] == place)]
        middle = (box[:2] + box[2:4]) / 2
        assert len(mine)
        assert (np.abs(mine[:, :2] - middle) <= 1.5 * mine[:, 2:] + 1e-6).all()
    assert not ignored.any()
    targets[0, 1, 4] = -2
    _, owned, ignored = assigned(
        keras.ops.convert_to_tensor(targets), keras.ops.convert_to_tensor(places)
    )
    assert keras.ops.convert_to_numpy(ignored).all()
    assert 0 < keras.ops.convert_to_numpy(owned).sum() < len(places)


def test_the_loss_is_zero_for_the_truth_and_ignored_places_cost_nothing():
    loss = BoxLoss()
    box = [0.25, 0.25, 0.75, 0.75]
    target = np.array([[[*box, 0], [0, 0, 0, 0, -1]]], np.float32)
    right = outputs_of([(*box, 1.0, 0)], places=1)
    right[0, 0, 4:8] = [0.5, 0.5, 0.25, 0.25]
    assert float(loss(target, right)) == pytest.approx(0, abs=1e-4)
    moved = right.copy()
    moved[..., :4] += 0.2
    assert float(loss(target, moved)) > 0.5
    nothing, crowd = target.copy(), target.copy()
    nothing[..., 4], crowd[..., 4] = -1, -2
    assert float(loss(nothing, right)) > 1  # a confident answer where there is nothing
    assert float(loss(crowd, right)) == 0


@pytest.mark.once
def test_answers_below_the_threshold_count_for_the_average_precision_alone():
    task = Detection(("cell", "plate"), max_boxes=4)
    scorer = task.scorer(None)
    cell, plate = (0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)
    target = np.full((1, 4, 5), -1, np.float32)
    target[0, 0], target[0, 1] = (*cell, 0), (*plate, 1)
    answers = [(*cell, 0.9, 0), (*plate, 0.2, 1), (0.1, 0.5, 0.4, 0.9, 0.4, 0)]
    scorer.update(target, outputs_of(answers))
    found = scorer.result()
    assert found.mean_ap == pytest.approx(1)
    assert (found.precision, found.recall) == (0.5, 0.5)
    cells, plates = found.per_class
    assert (cells.found, cells.wrong, plates.found, plates.recall) == (1, 1, 0, 0)
    assert found.worst[0].size == 2
    assert found.worst[0].expected == "1 cell, 1 plate"
    assert found.worst[0].predicted == "2 cell"
    assert "AP75" in str(found)
    assert found.to_dict()["per_class"][0]["class"] == "cell"
    with pytest.raises(InputError, match="boxes are NaN or infinite"):
        scorer.update(target, outputs_of(answers) * np.nan)
    with pytest.raises(InputError, match=r"expected \[n, boxes, 5\]"):
        scorer.update(target[..., :4], outputs_of(answers))


@pytest.mark.once
def test_of_boxes_that_overlap_the_best_one_is_kept():
    task = Detection(("cell", "plate"), max_boxes=4, threshold=0.1)
    same = (0, 0, 0.5, 0.5)
    answers = [(*same, 0.3, 0), (0, 0, 0.5, 0.45, 0.9, 0), (*same, 0.5, 1)]
    found = task.reduced(outputs_of(answers))[0]
    np.testing.assert_allclose(found[:3, 4:], [[0.9, 0], [0.5, 1], [0, 0]])


@pytest.mark.once
def test_answers_are_boxes_in_pixels_of_each_image(tmp_path):
    task = Detection(("cell", "plate"), max_boxes=2, image_size=(SIZE, SIZE))
    rows = task.reduced(outputs_of([(0.25, 0.5, 0.75, 1, 0.9, 1)]))
    paths = []
    for folder, size in (("a", (40, 20)), ("b", (80, 60))):
        (tmp_path / folder).mkdir()
        paths.append(str(tmp_path / folder / "one.png"))
        Image.new("RGB", size).save(paths[-1])
    found = task.predictions(paths, np.concatenate([rows, rows * 0]), None).with_inputs(paths)
    assert [len(one) for one in found] == [1, 0]
    box = found[0][0]
    assert (box.label, box.score) == ("plate", pytest.approx(0.9))
    assert (box.left, box.top, box.right, box.bottom) == (10, 10, 30, 20)
    assert found.labels == ["1 plate", "nothing"]
    found.write(tmp_path / "drawn")
    for name, size in (("one.png", (40, 20)), ("one-2.png", (80, 60))):
        with Image.open(tmp_path / "drawn" / name) as written:
            assert written.size == size
            assert bool(np.asarray(written).any()) == (name == "one.png")
    lines = pd.read_json(found.write(tmp_path / "boxes.jsonl"), lines=True)
    assert lines["boxes"][0][0]["left"] == 10
    assert pd.read_parquet(found.write(tmp_path / "boxes.parquet"))["boxes"][1].tolist() == []
    assert "data:image/png" in found._repr_html_()


@pytest.mark.once
def test_the_page_shows_wrong_and_missed_boxes_on_the_images(tmp_path):
    recipe = tiny()
    run_dir = tmp_path / "run"
    recipe.fit(squares(), 0.25, stages=[kft.Stage("all", 1, 1e-3)], run_dir=run_dir, verbose=0)
    page = (run_dir / "report.html").read_text()
    assert page.count("<figcaption>model</figcaption>") == 4
    assert "Images with the most wrong and missed boxes" in page
    loaded = kft.load(run_dir, recipe=TinyImages)
    assert loaded.task == recipe.task
    images = squares(2)[0]
    np.testing.assert_array_equal(loaded.predict(images).found, recipe.predict(images).found)


@pytest.mark.once
def test_a_stream_yields_padded_boxes_in_fractions():
    import tensorflow as tf

    images, boxes = squares(8)
    padded = np.full((8, 5, 5), -1, np.float32)
    padded[:, 0] = np.array(boxes, np.float32)[:, 0] / [SIZE, SIZE, SIZE, SIZE, 1]
    stream = tf.data.Dataset.from_tensor_slices((images.astype("float32"), padded)).batch(4)
    run = tiny().fit(stream, stream, stages=[kft.Stage("all", 1, 1e-3)], verbose=0)
    assert run.evaluation.per_class[0].boxes == 8
