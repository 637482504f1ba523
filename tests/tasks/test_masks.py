"""Masks from files and arrays to targets, and what is wrong with some of them."""

import numpy as np
import pytest
from PIL import Image

import kft
from kft.errors import InputError
from kft.tasks import Segmentation
from kft.tasks.masks.files import IGNORED
from kft.tasks.masks.labels import batch_of
from kft.testing.families import TinyImages, tiny_images

pytestmark = pytest.mark.once

SIZE = (20, 30)  # height and width of the files


def save_folder(root, masks, suffix="jpg", classes=None):
    """Write images with masks, arrays that Pillow takes, as a folder that `fit` reads."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number, mask in enumerate(masks):
        pixels = np.full((*SIZE, 3), 10 * number, np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"n{number}.{suffix}")
        Image.fromarray(mask).save(root / "masks" / f"n{number}.png")
    if classes is not None:
        (root / "classes.txt").write_text(classes, encoding="utf-8")
    return root


def halves(low=0, high=1):
    """A mask whose right half has another class."""
    mask = np.full(SIZE, low, np.uint8)
    mask[:, SIZE[1] // 2 :] = high
    return mask


def read(source, task=None, **settings):
    return TinyImages(task=task or Segmentation()).read(source, **settings)


def test_a_folder_of_class_numbers_is_read_as_it_is_asked_for(tmp_path):
    examples = read(save_folder(tmp_path, [halves(), halves(1, 2), halves(0, IGNORED)]))
    assert examples.classes == ("0", "1", "2")
    assert examples.counts() == {"0": 2, "1": 2, "2": 1}
    assert examples.label(2) == "0"
    made = examples.task.collate(examples.targets[1:], None)
    assert made.shape == (2, 16, 16)
    assert made.dtype == np.uint8
    assert np.unique(made[0, :, :8]) == 1
    assert np.unique(made[0, :, 8:]) == 2
    assert np.unique(made[1, :, 8:]) == IGNORED


def test_colours_are_those_of_the_task_or_of_the_folder(tmp_path):
    colored = np.zeros((*SIZE, 3), np.uint8)
    colored[:, 15:] = (128, 64, 128)
    colored[:4] = (9, 9, 9)
    folder = save_folder(tmp_path, [colored], classes="sky 0 0 0\nmy road, 128, 64, 128\n")
    by_folder = read(folder, Segmentation(ignore=(9, 9, 9)))
    colors = {"sky": (0, 0, 0), "my road": (128, 64, 128)}
    by_task = read(folder, Segmentation(colors=colors, ignore=(9, 9, 9)))
    for examples in (by_folder, by_task):
        assert examples.classes == ("sky", "my road")
        (made,) = examples.task.collate(examples.targets, None)
        assert np.unique(made[:3]) == IGNORED
        assert np.unique(made[4:, 8:]) == 1
    with pytest.raises(
        InputError, match=r"images/n0.jpg: the colour \(9, 9, 9\), which no class has"
    ):
        read(folder)


def test_palettes_and_masks_of_16_bits_hold_class_numbers(tmp_path):
    folder = save_folder(tmp_path, [halves(), halves()])
    for number, mode in enumerate(("P", "I;16")):
        image = Image.fromarray(halves().astype(np.uint16 if mode == "I;16" else np.uint8))
        if mode == "P":
            image.putpalette([255, 0, 0, 0, 255, 0])
        image.save(folder / "masks" / f"n{number}.png")
    examples = read(folder)
    made = examples.task.collate(examples.targets, None)
    np.testing.assert_array_equal(made[0], made[1])
    assert np.unique(made).tolist() == [0, 1]


def test_arrays_and_paths_are_masks_too(tmp_path):
    folder = save_folder(tmp_path, [halves(), halves(1, 0)])
    images = [str(folder / "images" / f"n{n}.jpg") for n in (0, 1)]
    paths = [str(folder / "masks" / f"n{n}.png") for n in (0, 1)]
    arrays = [halves().astype("int64")[..., None], halves(1, 0).tolist()]
    made = [
        examples.task.collate(examples.targets, None)
        for examples in (read((images, paths)), read((images, arrays)), read(folder))
    ]
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])


def test_what_is_wrong_with_a_mask_names_its_image(tmp_path):
    folder = save_folder(tmp_path, [halves()] * 5, classes="sky\nroad\n")
    Image.fromarray(halves()[:, 1:]).save(folder / "masks" / "n0.png")
    Image.fromarray(halves(0, 7)).save(folder / "masks" / "n1.png")
    (folder / "masks" / "n2.png").unlink()
    (folder / "masks" / "n3.png").write_bytes(b"nonsense")
    Image.fromarray(halves()).save(folder / "masks" / "stray.png")
    with pytest.raises(InputError) as caught:
        read(folder)
    for said in (
        "images/n0.jpg: its mask is 29 x 20 pixels, but the image 30 x 20",
        "images/n1.jpg: its mask has the class number 7, but there are 2 classes, from 0 to 1",
        "images/n2.jpg: no mask: masks/n2.png is missing",
        "images/n3.jpg: its mask n3.png is unusable: not an image",
        "masks/stray.png: a mask without an image",
    ):
        assert said in str(caught.value)
    examples = read(folder, on_bad_example="skip")
    assert len(examples) == 1
    assert len(examples.skipped) == 5


def test_a_folder_of_another_form_says_what_is_expected(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(InputError, match="has no folder 'images': expected images/ and masks/"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"classes": ("one",)}, "names 1 classes: pass 2 to 255"),
        ({"colors": {"a": (0, 0, 300), "b": (0, 0, 1)}}, "pass a dict of names to colours"),
        ({"colors": {"a": (0, 0, 1), "b": (0, 0, 1)}}, "one colour twice"),
        ({"classes": ("a", "b"), "colors": {"a": (0, 0, 0), "c": (1, 1, 1)}}, "different classes"),
        ({"ignore": -1}, "pass a class number such as 255, or a colour"),
        ({"dice": -0.5}, "is not a weight"),
        ({"decoder": "other"}, "'unet' or 'fpn'"),
        ({"channels": 12}, "multiple of 8"),
    ],
)
def test_arguments_are_checked(arguments, said):
    with pytest.raises(InputError, match=said):
        Segmentation(**arguments)


def test_masks_count_by_their_content_and_not_by_their_place(tmp_path):
    marks = [
        read(save_folder(tmp_path / name, [mask])).fingerprint()
        for name, mask in (("a", halves()), ("b", halves()), ("c", halves(1, 0)))
    ]
    assert marks[0] == marks[1] != marks[2]


def test_a_mask_is_resized_by_the_pixels_around_the_middle_of_each_new_one():
    mask = np.arange(25, dtype=np.uint8).reshape(5, 5)
    smaller, larger = (batch_of([mask], (size, size))[0] for size in (3, 7))
    np.testing.assert_array_equal(smaller, mask[[0, 2, 4]][:, [0, 2, 4]])
    np.testing.assert_array_equal(larger[:, 0] // 5, [0, 1, 1, 2, 3, 3, 4])


def test_augmented_masks_move_with_their_images():
    images = np.repeat(tiny_images(8)[..., :1], 3, axis=-1)
    masks = (images[..., 0] > 127).astype(np.uint8)
    task = Segmentation(("dark", "bright"), image_size=(16, 16))
    recipe = TinyImages(task=task)
    flip = recipe.augmentation("light")
    examples = recipe.read((masks[..., None].repeat(3, -1) * np.uint8(200), masks))
    moved = 0
    for index in range(3):
        x, y = recipe.batches(examples, batch_size=8, augment=flip, seed=index)[0]
        assert y.dtype == np.uint8
        inner = (x[..., 0] < 20) | (x[..., 0] > 180)  # not where images are interpolated
        assert ((x[..., 0] > 100)[inner] == (y == 1)[inner]).mean() > 0.95
        moved += (y != masks).mean() > 0.05
    assert moved == 3


def test_kept_views_are_refused_since_they_hold_no_masks():
    task = Segmentation(("dark", "bright"))
    data = (tiny_images(8), np.zeros((8, 16, 16), int))
    with pytest.raises(InputError, match="keeps augmented images without their masks"):
        TinyImages(task=task).fit(
            data, 0.5, stages=[kft.Stage(0, 1, 1e-3)], augment="light", cache=kft.Cache(views=2)
        )


def test_the_command_line_goes_from_a_folder_to_a_folder(cli, tmp_path):
    data = save_folder(tmp_path / "data", [halves()] * 10, classes="left\nright\n")
    stages = tmp_path / "stages.yaml"
    stages.write_text("- {unfreeze: 0, epochs: 1, learning_rate: 0.01}\n")
    run, masks = tmp_path / "run", tmp_path / "masks"
    recipe = "kft.testing.families:TinyImages"
    fitted = ("fit", recipe, "--task", "segmentation", "--data", data, "--run-dir", run)
    code, _, err = cli(*fitted, "--stages", stages, "--quiet")
    assert code == 0, err
    asked = ("predict", run, data / "images", "--recipe", recipe, "--quiet", "--output", masks)
    code, out, err = cli(*asked)
    assert (code, out) == (0, f"10 answers: {masks}\n"), err
    assert sorted(one.name for one in masks.iterdir()) == [f"n{n}.png" for n in range(10)]
    code, out, err = cli(*asked)
    assert code == 2
    assert "is there already: pass a new or empty folder" in err
