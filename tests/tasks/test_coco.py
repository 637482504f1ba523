"""Masks of COCO files, as annotation tools export them: polygons, run lengths and errors."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kft.errors import InputError
from kft.tasks import Segmentation
from kft.tasks.masks.regions import region_of
from kft.testing.families import TinyImages

pytestmark = pytest.mark.once

SIZE = (20, 30)
CATEGORIES = [{"id": 7, "name": "cell"}, {"id": 3, "name": "plate"}]
SQUARE = [[2, 3, 12, 3, 12, 13, 2, 13]]


def annotation(**changed):
    return {"id": 1, "image_id": 1, "category_id": 7, "segmentation": SQUARE, **changed}


def save(
    root,
    annotations,
    *,
    images=1,
    where="annotations/instances_default.json",
    entries=None,
    **changed,
):
    """Write images with a COCO file."""
    (root / "images").mkdir(parents=True)
    listed = []
    for number in range(1, images + 1):
        Image.fromarray(np.full((*SIZE, 3), number, np.uint8)).save(
            root / "images" / f"n{number}.png"
        )
        listed.append(
            {"id": number, "file_name": f"n{number}.png", "height": SIZE[0], "width": SIZE[1]}
        )
    content = {
        "images": entries or listed,
        "annotations": annotations,
        "categories": CATEGORIES,
        **changed,
    }
    (root / where).parent.mkdir(exist_ok=True)
    (root / where).write_text(json.dumps(content), encoding="utf-8")
    return root


def read(source, task=None, **settings):
    return TinyImages(task=task or Segmentation()).read(source, **settings)


def painted(segmentation, size=SIZE):
    mask = np.zeros(size, np.uint8)
    for part in region_of(segmentation, size):
        part.paint(mask, 1)
    return mask


def compressed(counts):
    """Return run lengths as COCO's compressed text, encoded as in its reference code."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != -1 if bits & 16 else value != 0
            text += chr((bits | 32 if more else bits) + 48)
    return text


def test_polygons_and_runs_become_masks_with_a_background(tmp_path):
    counts = [60, 20, 20 * 30 - 80]  # the fourth column
    annotations = [
        annotation(),
        annotation(id=2, category_id=3, segmentation={"size": list(SIZE), "counts": counts}),
    ]
    examples = read(save(tmp_path / "cells", annotations, images=2))
    assert examples.classes == ("background", "plate", "cell")
    first, second = (row.read() for row in examples.targets)
    expected = np.zeros(SIZE, np.uint8)
    expected[3:13, 2:12] = 2
    expected[:, 3] = 1  # later annotations cover earlier ones
    np.testing.assert_array_equal(first, expected)
    assert not second.any()  # an image without annotations is background
    assert examples.counts() == {"background": 2, "plate": 1, "cell": 1}


def test_a_model_learns_from_a_coco_file(tmp_path):
    annotations = [annotation(id=n, image_id=n) for n in range(1, 9)]
    recipe = TinyImages(task=Segmentation(channels=8))
    run = recipe.fit(save(tmp_path / "cells", annotations, images=8), verbose=0)
    assert run.evaluation.figures["pixel_accuracy"] > 0.5
    assert recipe.classes == ("background", "plate", "cell")


def test_a_category_called_background_is_the_background(tmp_path):
    categories = [{"id": 1, "name": "cell"}, {"id": 2, "name": "background"}]
    hole = [[4, 5, 8, 5, 8, 9, 4, 9]]
    annotations = [annotation(category_id=1), annotation(category_id=2, segmentation=hole)]
    examples = read(save(tmp_path / "cells", annotations, categories=categories))
    assert examples.classes == ("background", "cell")
    mask = examples.targets[0].read()
    assert mask.sum() == 100 - 16
    assert not mask[5:9, 4:8].any()


@given(st.integers(0, 2**32 - 1), st.integers(3, 12))
def test_a_polygon_covers_the_pixels_whose_middle_it_holds(seed, corners):
    points = np.random.default_rng(seed).uniform(-8, 38, (corners, 2)).round(2)
    mask = painted([points.ravel().tolist()])
    expected = np.zeros(SIZE, np.uint8)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            x, y, crossings = column + 0.5, row + 0.5, 0
            for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
                if (y1 <= y) != (y2 <= y):
                    crossings += x1 + (y - y1) / (y2 - y1) * (x2 - x1) <= x
            expected[row, column] = crossings % 2
    np.testing.assert_array_equal(mask, expected)


@given(st.lists(st.integers(0, 90), min_size=1, max_size=30))
def test_compressed_runs_are_those_that_were_written(counts):
    counts = [*counts, max(0, 3000 - sum(counts))]
    size = (1, sum(counts))
    plain = painted({"size": list(size), "counts": counts}, size)
    np.testing.assert_array_equal(
        painted({"size": list(size), "counts": compressed(counts)}, size), plain
    )
    assert plain.sum() == sum(counts[1::2])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"segmentation": []}, "a box alone does not say which pixels belong to a class"),
        ({"segmentation": [[1, 2, 3, 4]]}, "a polygon of 4 numbers, but x and y of at least three"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "the coordinate nan: a finite number"),
        ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "the coordinate '6'"),
        (
            {"segmentation": [[1, 2, 1e308, 4, -1e308, 6]]},
            r"the coordinate 1e\+308.*at most 1,000,000",
        ),
        (
            {"segmentation": {"size": [1, 2], "counts": [2]}},
            r"runs of the size \[1, 2\], but its image",
        ),
        (
            {"segmentation": {"size": [20, 30], "counts": [5]}},
            "runs of 5 pixels together, but the image has 600",
        ),
        ({"segmentation": {"size": [20, 30], "counts": "p" * 40}}, "nor COCO's text of them"),
        ({"segmentation": {"size": [20, 30], "counts": [-600, 1200]}}, "no list of whole numbers"),
        ({"category_id": 99}, "no category has the id 99"),
        ({"category_id": [7]}, r"no category has the id \[7\]"),
        ({"image_id": 5}, "no image has the id 5"),
    ],
)
def test_an_annotation_that_cannot_be_used_is_named(tmp_path, changed, said):
    folder = save(tmp_path / "cells", [annotation(), annotation(id=22, **changed)], images=2)
    with pytest.raises(
        InputError, match=f"annotation 22 of annotations/instances_default.json.*{said}"
    ):
        read(folder)
    assert 1 <= len(read(folder, on_bad_example="skip")) <= 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"categories": None}, "has no list 'categories' of objects"),
        ({"entries": [3]}, "has no list 'images' of objects"),
        ({"categories": [{"id": "a", "name": "cell"}]}, "a category whose id is 'a'"),
        ({"categories": [{"id": 1, "name": " "}]}, "calls category 1 ' ': give it a name"),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
            "category 1, 'b', twice",
        ),
        ({"categories": []}, "names 1 classes: pass 2 to 255"),
    ],
)
def test_a_file_that_is_no_coco_file_says_what_it_lacks(tmp_path, changed, said):
    with pytest.raises(InputError, match=said):
        read(save(tmp_path / "cells", [], **changed))


def test_images_that_are_not_there_or_of_another_size_are_named(tmp_path):
    folder = save(tmp_path / "cells", [annotation()], images=2)
    (folder / "images" / "n2.png").unlink()
    with pytest.raises(InputError, match=r"n2\.png: there is no such file in"):
        read(folder)
    Image.fromarray(np.zeros((5, 6, 3), np.uint8)).save(folder / "images" / "n2.png")
    with pytest.raises(InputError, match=r"its mask is 30 x 20 pixels, but the image 6 x 5"):
        read(folder)


def test_nothing_outside_of_the_folder_is_read(tmp_path):
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "secret.png")
    entry = {"id": 1, "file_name": "../../secret.png", "height": SIZE[0], "width": SIZE[1]}
    with pytest.raises(InputError, match="it lies outside of the folder"):
        read(save(tmp_path / "cells", [annotation()], entries=[entry]))


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000, "a\0b", "\ud800", None, ["n1.png"]])
def test_a_name_that_no_file_has_is_named(tmp_path, name):
    entry = {"id": 1, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
    with pytest.raises(InputError, match="there is no such file in"):
        read(save(tmp_path / "cells", [annotation()], entries=[entry]))


def test_several_files_are_not_guessed_among(tmp_path):
    folder = save(tmp_path / "cells", [annotation()])
    (folder / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"the JSON files .*other\.json: leave the one"):
        read(folder)
    (folder / "other.json").unlink()
    (folder / "annotations" / "instances_default.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(InputError, match="is not a JSON file"):
        read(folder)


def test_a_folder_of_images_with_the_file_beside_them_will_do(tmp_path):
    folder = save(tmp_path / "cells", [annotation()], where="_annotations.coco.json")
    (folder / "images" / "n1.png").rename(folder / "n1.png")
    (folder / "images").rmdir()
    assert len(read(folder)) == 1
