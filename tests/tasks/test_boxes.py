"""Reading boxes from files and memory, and errors about bad ones."""

import json

import numpy as np
import pytest
from PIL import Image

from kft.data.augment.boxes import still_seen
from kft.errors import InputError
from kft.tasks.detection import Detection
from kft.testing.families import TinyImages

pytestmark = pytest.mark.once

HEIGHT, WIDTH = 20, 40
BOX = (4, 5, 12, 15)
CORNERS = "<xmin>{1}</xmin><ymin>{2}</ymin><xmax>{3}</xmax><ymax>{4}</ymax>"
OBJECT = f"<object><name>{{0}}</name><bndbox>{CORNERS}</bndbox>{{5}}</object>"


def save_images(folder, count):
    folder.mkdir(parents=True)
    for n in range(count):
        Image.new("RGB", (WIDTH, HEIGHT), (n, 9, 9)).save(folder / f"n{n}.png")


def voc(root, *images, size=(WIDTH, HEIGHT)):
    """Write a folder in the Pascal VOC format; an image is a list of objects, or a whole file."""
    save_images(root / "JPEGImages", len(images))
    (root / "Annotations").mkdir()
    for n, one in enumerate(images):
        said = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
        objects = one if isinstance(one, str) else "".join(OBJECT.format(*each) for each in one)
        whole = objects if isinstance(one, str) else f"<annotation>{said}{objects}</annotation>"
        (root / "Annotations" / f"n{n}.xml").write_text(whole, encoding="utf-8")
    return root


def thing(name="cell", box=BOX, more=""):
    return (name, *box, more)


def yolo(root, *images, classes="cell\nplate\n"):
    """Write a folder in the YOLO format; an image is the text of its file, or None."""
    save_images(root / "images", len(images))
    (root / "labels").mkdir()
    if classes is not None:
        (root / "classes.txt").write_text(classes)
    for n, one in enumerate(images):
        if one is not None:
            (root / "labels" / f"n{n}.txt").write_text(one)
    return root


@pytest.mark.parametrize(
    "text",
    [
        "names: [cell, plate]\n",
        "names:\n  0: cell\n  1: plate\n",
        "nc: 2\nnames:\n- cell\n- plate\n",
    ],
)
def test_the_classes_of_yolo_may_stand_in_a_description(tmp_path, text):
    root = yolo(tmp_path / "data", "1 0.5 0.5 0.2 0.2", classes=None)
    (root / "data.yaml").write_text(f"path: ../elsewhere\ntrain: images\n{text}")
    assert read(root).classes == ("cell", "plate")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nc: 2\n", "neither classes.txt nor data.yaml or dataset.yaml or data.yml with names"),
        (
            "names: {1: cell}\n",
            r"the names of data.yaml have the numbers \[1\]: number them from 0",
        ),
        (
            "names: {a: cell}\n",
            r"the names of data.yaml have the numbers \['a'\]: number them from 0",
        ),
        ("names: cell\n", "data.yaml='cell', but a list of class names is expected"),
        ("names: [cell, cell]\n", "data.yaml names 'cell' 2 times"),
        ("names: [1, 2]\n", "data.yaml holds 1, but each class needs a name"),
        ("names: &a [*a]\n", "is not plain YAML: anchors and aliases"),
        ("names: []\n", "names no class"),
    ],
)
def test_a_wrong_description_of_yolo_is_named(tmp_path, text, message):
    root = yolo(tmp_path / "data", "", classes=None)
    (root / "data.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read(root)


def test_a_description_of_yolo_elsewhere_is_not_read(tmp_path):
    root = yolo(tmp_path / "data", "", classes=None)
    (tmp_path / "secret.yaml").write_text("names: [cell]\n")
    (root / "data.yaml").symlink_to(tmp_path / "secret.yaml")
    with pytest.raises(InputError, match=r"data\.yaml is a link that leads out of the folder"):
        read(root)


def coco(root, annotations, images=1):
    save_images(root / "images", images)
    entries = [
        {"id": n, "file_name": f"n{n}.png", "height": HEIGHT, "width": WIDTH} for n in range(images)
    ]
    categories = [{"id": 7, "name": "plate"}, {"id": 3, "name": "cell"}]
    content = {"images": entries, "annotations": annotations, "categories": categories}
    (root / "coco.json").write_text(json.dumps(content))
    return root


def annotation(**changed):
    return {"image_id": 0, "category_id": 3, "bbox": [4, 5, 8, 10], **changed}


def read(source, task=None, **settings):
    return TinyImages(task=task or Detection()).read(source, **settings)


def in_pixels(row):
    scaled = row[:, :4] * np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    return [
        (*map(float, box.round(4)), int(kind)) for box, kind in zip(scaled, row[:, 4], strict=True)
    ]


def test_the_three_forms_of_folders_and_arrays_are_read_alike(tmp_path):
    expected = [[(4.0, 5.0, 12.0, 15.0, 0), (0.0, 0.0, 40.0, 20.0, 1)], []]
    large = (0, 0, 40, 20)
    pixels = np.zeros((2, HEIGHT, WIDTH, 3), np.uint8)
    by_name = {"boxes": [BOX, large], "labels": ["cell", "plate"]}
    sources = [
        voc(tmp_path / "voc", [thing(), thing("plate", large)], []),
        yolo(tmp_path / "yolo", "0 0.2 0.5 0.2 0.5\n1 0.5 0.5 1 1\n", None),
        coco(
            tmp_path / "coco",
            [annotation(), annotation(category_id=7, bbox=[0, 0, 40, 20])],
            images=2,
        ),
        (pixels, [by_name, []]),
    ]
    for source in sources:
        examples = read(source)
        assert examples.classes == ("cell", "plate")
        assert [in_pixels(row) for row in examples.targets] == expected
        assert examples.counts() == {"cell": 1, "plate": 1}
        assert [examples.label(n) for n in (0, 1)] == ["1 cell, 1 plate", "nothing"]
    numbered = read((pixels, [np.array([[*BOX, 0], [*large, 1]]), []]))
    assert [in_pixels(row) for row in numbered.targets] == expected
    assert numbered.classes == ("0", "1")


def test_difficult_boxes_and_crowds_are_ignored(tmp_path):
    hard = thing("plate", more="<difficult>1</difficult>")
    found = read(voc(tmp_path / "voc", [thing(), hard]))
    assert in_pixels(found.targets[0]) == [(*BOX, 0), (*BOX, -3)]
    found = read(coco(tmp_path / "coco", [annotation(), annotation(category_id=7, iscrowd=1)]))
    assert in_pixels(found.targets[0]) == [(*BOX, 0), (*BOX, -3)]
    assert found.counts() == {"cell": 1, "plate": 0}


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((4, 5, 4, 15), "is empty"),
        ((12, 5, 4, 15), "is inverted: left and top come first"),
        ((4, 5, 12, 25), "lies outside of the image of 40 x 20 pixels"),
        (("nan", 5, 12, 15), "has a coordinate that is not a finite number"),
        (("x", 5, 12, 15), "<xmin> 'x': a number is expected"),
    ],
)
def test_a_box_that_cannot_be_is_named_with_its_file(tmp_path, box, reason):
    folder = voc(tmp_path / "voc", [thing()], [thing(box=box)])
    with pytest.raises(InputError, match=r"n1\.png") as error:
        read(folder)
    assert reason in str(error.value)
    assert len(read(folder, on_bad_example="skip")) == 1


def test_up_to_a_pixel_outside_is_cut_off(tmp_path):
    found = read(voc(tmp_path / "voc", [thing(box=(-1, 5, 12, 20.5))]))
    assert in_pixels(found.targets[0]) == [(0.0, 5.0, 12.0, 20.0, 0)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "has a document type"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><annotation/>", "has a document type"),
        ("<annotation>", "is not an XML file"),
        ("<a>" * 30 + "</a>" * 30, "more than 20 deep"),
        (
            "<annotation><object><name>cell</name></object></annotation>",
            "object 1 of n0.xml has no <bndbox>",
        ),
        ("<boxes/>", "n0.xml has the root element 'boxes', but 'annotation' is expected"),
        ("<v:annotation xmlns:v='x'/>", "has the root element 'v:annotation'"),
        *(
            (f"<annotation>{OBJECT.format('cell', *box, more)}</annotation>", reason)
            for box, more, reason in [
                (BOX, "<difficult>maybe</difficult>", "has <difficult> 'maybe': expected 0 or 1"),
                ((4, 5, "1_2", 15), "", "has <xmax> '1_2': a number is expected"),
                ((4, 5, "\u0661\u0662", 15), "", "a number is expected"),
            ]
        ),
    ],
)
def test_an_xml_file_that_is_none_is_refused(tmp_path, content, reason):
    with pytest.raises(InputError) as error:
        read(voc(tmp_path / "voc", content))
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 0.5 0.5 0.2", "line 1 of n0.txt has 4 values"),
        ("\n-1 0.5 0.5 0.2 0.2", "the class '-1' is not a whole number from 0"),
        ("0 0.5 0.5 0.2 x", "are not four numbers"),
        ("0 0.5 0.5 0.2 0_1", "are not four numbers"),
        ("0 0.5 0.5 nan 0.2", "has a coordinate that is not a finite number"),
        (
            "2 0.5 0.5 0.2 0.2",
            "a box has the class number 2, but the classes are ('cell', 'plate')",
        ),
        ("0 0.5 0.5 1.5 0.2", "lies outside of the image of 40 x 20 pixels"),
    ],
)
def test_a_text_file_that_is_wrong_is_named(tmp_path, text, reason):
    with pytest.raises(InputError) as error:
        read(yolo(tmp_path / "yolo", text))
    assert reason in str(error.value)


@pytest.mark.parametrize("text", ["", "\n \r\n", "\ufeff"])
def test_an_image_with_an_empty_file_has_no_boxes(tmp_path, text):
    found = read(yolo(tmp_path / "yolo", "0 0.5 0.5 0.2 0.2", text))
    assert [len(row) for row in found.targets] == [1, 0]


@pytest.mark.parametrize(("size", "said"), [("1e300", "1e+300"), ("9" * 400, None), ("nan", None)])
def test_an_absurd_size_is_named_in_short_or_ignored(tmp_path, size, said):
    root = voc(tmp_path / "voc", [thing()], size=(size, HEIGHT))
    if said is None:
        assert len(read(root)) == 1
        return
    with pytest.raises(InputError) as error:
        read(root)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"bbox": [4, 5, 8]}, "its bbox is [4, 5, 8], but four finite numbers are expected"),
        ({"category_id": 9}, "no category has the id 9"),
        ({"bbox": [4, 5, -8, 10]}, "is inverted"),
    ],
)
def test_an_annotation_that_cannot_be_used_is_named(tmp_path, changed, reason):
    with pytest.raises(InputError) as error:
        read(coco(tmp_path / "coco", [annotation(**changed)]))
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        (None, "no boxes: pass an empty list"),
        ("cell", "its boxes are 'cell' (str): expected an array [boxes, 5]"),
        ([[1, 2, 3, 4]], "an array of the shape (1, 4)"),
        ([[1, 2, 3, 4, 0.5]], "the class 0.5: a name or a whole number from 0"),
        ({"boxes": [[1, 2, 3, 4]]}, "a dict of 'boxes': expected"),
        ({"boxes": [[1, 2, 3, 4]], "labels": []}, "1 boxes with 0 labels"),
        *(
            ({"boxes": [[1, 2, 3, 4]], "labels": labels}, "pass a list with the name or number of")
            for labels in ("a", 1, None, np.array(1), {"a"}, {"a": 1}, b"a")
        ),
        (np.ma.masked_equal([[1, 2, 3, 4, 0]], 2), "an array with 1 masked values"),
        ({"boxes": np.ma.masked_equal([[1, 2, 3, 4]], 2), "labels": ["a"]}, "1 masked values"),
        ([[1, 2, 3, 4, 0]] * 101, "101 boxes, but at most 100 are taken: pass max_boxes"),
    ],
)
def test_boxes_in_memory_are_checked(boxes, reason):
    pixels = np.zeros((2, HEIGHT, WIDTH, 3), np.uint8)
    with pytest.raises(InputError) as error:
        read((pixels, [[[1, 2, 3, 4, 0]], boxes]))
    assert reason in str(error.value)


def test_sizes_files_and_classes_have_to_agree(tmp_path):
    with pytest.raises(
        InputError, match="its boxes are for 99 x 20 pixels, but the image has 40 x 20"
    ):
        read(voc(tmp_path / "size", [thing()], size=(99, HEIGHT)))
    folder = voc(tmp_path / "voc", [thing()], [thing()])
    (folder / "Annotations" / "n0.xml").unlink()
    (folder / "JPEGImages" / "n1.png").unlink()
    with pytest.raises(InputError) as error:
        read(folder)
    assert "JPEGImages/n0.png: no boxes: Annotations/n0.xml is missing" in str(error.value)
    assert "Annotations/n1.xml: boxes without an image" in str(error.value)
    with pytest.raises(InputError, match="the class 'cell', but the classes are"):
        read(voc(tmp_path / "other", [thing()]), Detection(("plate",)))
    with pytest.raises(InputError, match=r"neither classes\.txt nor data\.yaml"):
        read(yolo(tmp_path / "yolo", "0 0.5 0.5 0.1 0.1", classes=None))
    with pytest.raises(InputError, match=r"no image of .* has a box that counts"):
        read(voc(tmp_path / "none", [], []))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is not a folder of boxes: expected JPEGImages/ with"):
        read(tmp_path / "empty")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ()}, "names no class"),
        *(({"classes": one}, "a list of class names") for one in ("ab", 1, True, {"a"}, {"a": 1})),
        ({"max_boxes": 0}, "max_boxes"),
        ({"max_boxes": 1001}, "at most 1000"),
        ({"box_loss": 0}, "`box_loss=0` is not a weight"),
        ({"channels": 12}, "a multiple of 8"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        Detection(**arguments)


def squares(count, seed=0):
    """Return images `[n, 64, 64, 3]` with one bright square each, and its box."""
    rng = np.random.default_rng(seed)
    images, boxes = np.zeros((count, 64, 64, 3), np.uint8), []
    for image in images:
        left, top, side = (int(one) for one in rng.integers((4, 4, 12), (36, 36, 24)))
        image[top : top + side, left : left + side] = 255
        boxes.append(np.array([[left, top, left + side, top + side, 0]]))
    return images, boxes


@pytest.mark.parametrize("augment", ["light", "standard"])
def test_augmented_boxes_move_with_their_images(augment):
    recipe = TinyImages(task=Detection(max_boxes=3), image_size=(64, 64))
    examples = recipe.read(squares(16))
    found = recipe.batches(examples, batch_size=16, augment=recipe.augmentation(augment), seed=1)
    x, y = found[0]
    moved = 0
    for image, boxes, before in zip(x, y, examples.targets, strict=True):
        rows, columns = np.nonzero(image[..., 0] > (image.min() + image.max()) / 2)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        if min(seen) > 0 and max(seen) < 64:  # otherwise the border repeats the square
            np.testing.assert_allclose(boxes[0, :4] * 64, seen, atol=1.5)
        np.testing.assert_array_equal(boxes[:, 4], [0, -1, -1])
        moved += abs(boxes[0, :4] - before[0, :4]).max() > 0.05
    assert moved > 8


def test_layers_that_boxes_cannot_follow_are_refused():
    import keras

    recipe = TinyImages(task=Detection())
    with pytest.raises(InputError, match="a RandomRotation, is not known to move boxes"):
        recipe.augmentation([keras.layers.RandomRotation(0.1)])
    with pytest.raises(InputError, match='"strong" mixes and rotates images'):
        recipe.augmentation("strong")
    assert recipe.augmentation([keras.layers.RandomFlip("vertical")]) is not None


def test_boxes_that_leave_an_image_become_padding():
    boxes = np.array([[[0.5, 0.5, 1.4, 1.4, 2], [-0.5, 0, 0.01, 1, 1], [0, 0, 1, 1, -3]]])
    found = still_seen(boxes, (64, 64))
    np.testing.assert_allclose(found[0], [[0.5, 0.5, 1, 1, 2], [0, 0, 0, 0, -1], [0, 0, 1, 1, -3]])


def test_the_command_line_goes_from_a_folder_to_a_folder(cli, tmp_path):
    data = voc(tmp_path / "data", *[[thing()]] * 10)
    stages = tmp_path / "stages.yaml"
    stages.write_text("- {unfreeze: 0, epochs: 1, learning_rate: 0.01}\n")
    run, drawn = tmp_path / "run", tmp_path / "drawn"
    recipe = "kft.testing.families:TinyImages"
    fitted = ("fit", recipe, "--task", "detection", "--data", data, "--run-dir", run)
    code, _, err = cli(*fitted, "--set", "channels=8", "--stages", stages, "--quiet")
    assert code == 0, err
    asked = ("predict", run, data / "JPEGImages", "--recipe", recipe, "--quiet", "--output")
    code, out, err = cli(*asked, drawn)
    assert (code, out) == (0, f"10 answers: {drawn}\n"), err
    assert sorted(one.name for one in drawn.iterdir()) == [f"n{n}.png" for n in range(10)]
    code, out, err = cli(*asked, tmp_path / "boxes.csv")
    assert code == 0, err
    assert (tmp_path / "boxes.csv").read_text().startswith("input,boxes\n")
