"""Data as annotation tools export them: CVAT, Label Studio, Prodigy and doccano."""

import json

import numpy as np
import pytest
from PIL import Image

from kft.errors import InputError
from kft.tasks import Detection, Segmentation
from kft.tasks.masks.stored import IGNORED
from kft.tasks.tags.files import read_json, read_json_lines
from kft.testing.families import TinyImages

pytestmark = pytest.mark.once

HEIGHT, WIDTH, COUNT = 20, 40, 3
LABELS = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:1,2,3::\nbig dog:4,5,6::\n"
TEXT, ENTITIES = "Ada is in London", [[0, 3, "PER"], [10, 16, "LOC"]]


def save_images(folder, count=COUNT):
    folder.mkdir(parents=True)
    for n in range(count):
        Image.new("RGB", (WIDTH, HEIGHT), (n, 9, 9)).save(folder / f"n{n}.png")


def coco(root, file, images, name="n{}.png"):
    save_images(root / images)
    (root / file).parent.mkdir(exist_ok=True)
    box = {"bbox": [4, 5, 8, 10], "segmentation": [[4, 5, 12, 5, 12, 15, 4, 15]], "iscrowd": 0}
    content = {
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "images": [
            {"id": n, "width": WIDTH, "height": HEIGHT, "file_name": name.format(n)}
            for n in range(COUNT)
        ],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1 + n % 2, **box} for n in range(COUNT)
        ],
    }
    (root / file).write_text(json.dumps(content))
    return root


def read(root, task):
    found = TinyImages(task=task).read(root)
    assert len(found) == COUNT
    return found


@pytest.mark.parametrize(
    ("file", "images", "name"),
    [
        ("annotations/instances_default.json", "images/default", "n{}.png"),  # CVAT
        ("annotations/instances_val.json", "val", "n{}.png"),  # COCO itself
        ("result.json", "images", "images/n{}.png"),  # Label Studio
        ("_annotations.coco.json", ".", "n{}.png"),  # Roboflow
    ],
)
@pytest.mark.parametrize("task", [Detection(), Segmentation()])
def test_images_of_a_coco_file_lie_where_tools_put_them(tmp_path, file, images, name, task):
    root = coco(tmp_path / "data", file, "images" if images == "." else images, name)
    if images == ".":
        for path in (root / "images").iterdir():
            path.rename(root / path.name)
        (root / "images").rmdir()
    classes = ("background", "cat", "dog") if isinstance(task, Segmentation) else ("cat", "dog")
    assert read(root, task).classes == classes


def test_a_part_of_a_coco_files_name_leads_nowhere_else(tmp_path):
    root = coco(tmp_path / "data", "annotations/instances_...json", "images")
    save_images(tmp_path / "secret")
    path = root / "annotations" / "instances_...json"
    path.write_text(path.read_text().replace("n0.png", "../../secret/n0.png"))
    with pytest.raises(InputError, match=r"n0.png: (it lies outside|there is no such file)"):
        TinyImages(task=Detection()).read(root)


def test_boxes_of_cvats_yolo_lie_beside_their_images(tmp_path):
    save_images(tmp_path / "obj_train_data")
    for n in range(COUNT - 1):  # the last image has no boxes
        (tmp_path / "obj_train_data" / f"n{n}.txt").write_text(f"{n % 2} 0.5 0.5 0.2 0.5\n")
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "obj.data").write_text("classes = 2\nnames = data/obj.names\n")
    (tmp_path / "train.txt").write_text("data/obj_train_data/n0.png\n")
    found = read(tmp_path, Detection())
    assert found.classes == ("cat", "dog")
    label = Detection(classes=["cat", "dog"]).label
    assert [label(row, found.classes) for row in found.targets][1:] == ["1 dog", "nothing"]
    (tmp_path / "obj_train_data" / "alone.txt").write_text("0 0.5 0.5 0.2 0.5\n")
    with pytest.raises(InputError, match=r"obj_train_data/alone.txt: boxes without an image"):
        TinyImages(task=Detection()).read(tmp_path)


def test_boxes_of_cvats_yolo_without_the_names_of_their_classes_are_refused(tmp_path):
    save_images(tmp_path / "obj_train_data")
    with pytest.raises(InputError, match=r"has obj_train_data/ but neither classes\.txt"):
        TinyImages(task=Detection()).read(tmp_path)


def voc_masks(root):
    save_images(root / "JPEGImages")
    (root / "SegmentationClass").mkdir()
    for n in range(COUNT):
        mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        mask[5:15, 4:12] = (1, 2, 3) if n % 2 else (4, 5, 6)
        Image.fromarray(mask).save(root / "SegmentationClass" / f"n{n}.png")
    return root


def test_masks_of_pascal_voc_have_the_colours_of_a_labelmap(tmp_path):
    root = voc_masks(tmp_path)
    (root / "labelmap.txt").write_text(LABELS)
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "JPEGImages" / "for_another_task.png")
    found = read(root, Segmentation())
    assert found.classes == ("background", "cat", "big dog")
    masks = Segmentation(image_size=(HEIGHT, WIDTH)).collate(found.targets, None)
    assert set(np.unique(masks)) <= {0, 1, 2, IGNORED}
    assert masks[1, 8, 8] == 1
    assert masks[0, 8, 8] == 2


def test_masks_of_pascal_voc_need_no_labelmap(tmp_path):
    root = voc_masks(tmp_path)
    with pytest.raises(InputError, match=r"colors="):
        TinyImages(task=Segmentation()).read(root)
    colors = {"nothing": (0, 0, 0), "cat": (1, 2, 3), "dog": (4, 5, 6)}
    assert read(root, Segmentation(colors=colors)).classes == ("nothing", "cat", "dog")


REGIONS = [
    {"start": start, "end": end, "text": TEXT[start:end], "labels": [kind]}
    for start, end, kind in ENTITIES
]
RELATION = {"type": "relation", "from_id": "a", "to_id": "b"}
FULL = {
    "id": 7,
    "data": {"text": TEXT},
    "annotations": [
        {"was_cancelled": True, "result": []},
        {"result": [*({"type": "labels", "value": one} for one in REGIONS), RELATION]},
    ],
}


@pytest.mark.parametrize(
    "value",
    [
        {"text": TEXT, "entities": ENTITIES},
        {"text": TEXT, "entities": [{"start": s, "end": e, "type": k} for s, e, k in ENTITIES]},
        {"text": TEXT, "label": ENTITIES},  # doccano
        {"id": 1, "text": TEXT, "labels": ENTITIES},
        {"text": TEXT, "answer": "accept", "spans": [{"start": s, "end": e, "label": k} for s, e, k in ENTITIES]},
        {"id": 1, "text": TEXT, "label": REGIONS, "annotator": 1},  # Label Studio
        FULL,
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_entities_are_read_as_tools_write_them(tmp_path, value, suffix):
    path = tmp_path / f"data{suffix}"
    path.write_text(json.dumps([value, value] if suffix == ".json" else value))
    found = (read_json if suffix == ".json" else read_json_lines)(path, "utf-8")
    assert found.reasons == {}
    assert found.inputs[-1] == TEXT
    assert found.labels[-1] == ENTITIES


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"text": TEXT, "spans": [], "answer": "reject"}, "'reject', not \"accept\""),
        ({"data": {"text": TEXT}, "annotations": []}, "no annotation of it is complete"),
        ({"data": {"text": TEXT}, "annotations": [{"was_cancelled": True, "result": []}]}, "complete"),
        ({"data": {"a": "x", "b": "y"}, "annotations": []}, 'no "text"'),
        ({"text": TEXT}, "expected"),
        ([TEXT], "object"),
    ],
)  # fmt: skip
def test_what_is_no_annotated_text_says_why(tmp_path, value, said):
    path = tmp_path / "data.json"
    path.write_text(json.dumps([FULL, value]))
    found = read_json(path, "utf-8")
    assert said in found.reasons[1]
    assert list(found.names) == ["item 1", "item 2"]


@pytest.mark.parametrize("content", ["{}", "[]", '"a"', "[1", ""])
def test_json_that_is_no_list_of_objects_is_refused(tmp_path, content):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(InputError, match=r"data\.json"):
        read_json(tmp_path / "data.json", "utf-8")
