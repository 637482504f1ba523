"""Reading masks from files and arrays, and errors about bad ones."""

import zlib

import numpy as np
import pytest
from PIL import Image

import kft
from kft.data import images
from kft.errors import InputError
from kft.tasks import Segmentation
from kft.tasks.masks.labels import batch_of
from kft.tasks.masks.stored import IGNORED
from kft.testing.families import TinyImages, tiny_images

pytestmark = pytest.mark.once

SIZE = (20, 30)  # height and width of the files


def save_folder(root, masks, suffix="jpg", classes=None):
    """Write images with masks, arrays for Pillow, as a folder that `fit` reads."""
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
    """Return a mask whose right half has another class."""
    mask = np.full(SIZE, low, np.uint16 if high > IGNORED else np.uint8)
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


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_masks_of_few_bits_hold_class_numbers(tmp_path, bits):
    folder = save_folder(tmp_path, [halves(0, 3)])
    palette = Image.fromarray(halves(0, 3)).convert("P")
    palette.save(folder / "masks" / "n0.png", bits=bits)
    (made,) = read(folder).targets
    np.testing.assert_array_equal(made.read(), halves(0, 3))
    gray = bytearray((folder / "masks" / "n0.png").read_bytes())
    gray[25] = 0  # the colour type: without the palette these are gray values
    gray[29:33] = zlib.crc32(gray[12:29]).to_bytes(4, "big")
    start = gray.index(b"PLTE") - 4
    del gray[start : start + 12 + int.from_bytes(gray[start : start + 4], "big")]
    (folder / "masks" / "n0.png").write_bytes(gray)
    (made,) = read(folder).targets
    np.testing.assert_array_equal(made.read(), halves(0, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_upright_as_its_image_is(tmp_path, orientation):
    folder = save_folder(tmp_path, [halves(), halves()], suffix="png")
    exif = Image.Exif()
    exif[0x0112] = orientation
    shapes = np.zeros(SIZE, np.uint8)
    shapes[:5, :9] = 1
    for kind, pixels in (("images", np.stack([shapes * 200] * 3, -1)), ("masks", shapes)):
        Image.fromarray(pixels).save(folder / kind / "n0.png", exif=exif)
    examples = read(folder)
    image = images.load([examples.inputs[0]], (16, 16))[0, ..., 0]
    mask = examples.task.collate(examples.targets[:1], None)[0]
    assert ((image > 100) == mask).mean() > 0.9
    assert mask.any()


def test_broken_exif_is_no_reason_to_warn_or_to_refuse(tmp_path):
    folder = save_folder(tmp_path, [halves()])
    for tail in (b"\xff\xff\xff\xff", b"\x08\0\0\0\xff\xff", b""):
        blank = Image.fromarray(np.zeros((*SIZE, 3), np.uint8))
        blank.save(folder / "images" / "n0.jpg", exif=b"Exif\0\0II*\0" + tail)
        assert len(read(folder)) == 1


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


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.where(halves() > 0, np.inf, 0), "has the value inf, but class numbers are whole"),
        (np.where(halves() > 0, np.nan, 0), "has the value nan, but class numbers are whole"),
        (halves() / 2, "has the value 0.5, but class numbers are whole numbers"),
        (halves() * 1e300, r"class number 10+\d*\.\.\., but"),
        (np.stack([halves()] * 3, -1), r"is of shape \(20, 30, 3\), but a path or whole numbers"),
        (np.ma.masked_equal(halves(), 1), r"300 masked pixels: fill them, such as by mask.filled"),
        (halves()[1:], "is 30 x 19 pixels, but the image 30 x 20"),
    ],
)
def test_arrays_that_are_no_masks_are_told_by_their_values(mask, said):
    pixels = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    with pytest.raises(InputError, match=f"example 0: .*{said}"):
        read((pixels, [mask, halves()]))


def test_masks_of_ignored_pixels_alone_teach_nothing(tmp_path):
    with pytest.raises(InputError, match=r"every pixel of every mask in folder .* is ignored"):
        read(save_folder(tmp_path, [halves(IGNORED, IGNORED)] * 2))


def test_a_large_mask_of_a_small_image_is_not_decoded(tmp_path):
    folder = save_folder(tmp_path, [halves()])
    Image.new("L", (7000, 7000)).save(folder / "masks" / "n0.png")
    content = (folder / "masks" / "n0.png").read_bytes()
    (folder / "masks" / "n0.png").write_bytes(content[:-1000])  # only decoding it shows the damage
    with pytest.raises(InputError, match="its mask is 7000 x 7000 pixels, but the image 30 x 20"):
        read(folder)


def test_a_broken_mask_is_told_by_what_is_wrong_with_it(tmp_path):
    folder = save_folder(tmp_path, [halves()])
    path = folder / "masks" / "n0.png"
    path.write_bytes(path.read_bytes()[:-30])
    said = (
        r"no usable example: the first is bad, images/n0.jpg: its mask n0.png: broken image \(.+\)"
    )
    with pytest.raises(InputError, match=said):
        read(folder, on_bad_example="skip")
    Image.fromarray(halves()).save(path, format="GIF")
    with pytest.raises(InputError, match=r"n0.jpg: its mask n0.png is a GIF image, whose"):
        read(folder)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("one\n", "names 1 classes: pass 2 to 255"),
        ("\n".join(map(str, range(300))), "names 300 classes: pass 2 to 255"),
        ("a 0 0 0\nb 9 9 9\nc 9 9 9\n", r"one colour twice, \(9, 9, 9\) for 'b' and 'c'"),
        ("a 1 2 3\nb 9 9 9\n", r"`ignore=\(1, 2, 3\)` is the colour of 'a' in .*classes.txt"),
    ],
)
def test_classes_of_a_folder_are_checked_as_those_of_the_task_are(tmp_path, classes, said):
    folder = save_folder(tmp_path, [halves()], classes=classes)
    with pytest.raises(InputError, match=said):
        read(folder, Segmentation(ignore=(1, 2, 3)))


@pytest.mark.parametrize("classes", ["ab", 1, True, {"a", "b"}, {"a": 1, "b": 2}, b"ab"])
def test_classes_of_the_task_are_a_list(classes):
    with pytest.raises(InputError, match="but a list of class names is expected"):
        Segmentation(classes)


def test_names_of_classes_are_not_read_from_outside_the_folder(tmp_path):
    folder = save_folder(tmp_path / "data", [halves()])
    (tmp_path / "other.txt").write_text("sky\nroad\n")
    (folder / "classes.txt").symlink_to(tmp_path / "other.txt")
    with pytest.raises(InputError, match=r"classes.txt: a link out of"):
        read(folder)
    (tmp_path / "other.txt").unlink()
    with pytest.raises(InputError, match=r"classes.txt: no such file"):
        read(folder)


def test_colours_of_8_bits_are_not_looked_for_in_masks_of_16(tmp_path):
    folder = save_folder(
        tmp_path, [halves(0, 300).astype(np.uint16)], classes="a 0 0 0\nb 255 255 255\n"
    )
    with pytest.raises(InputError, match="a mask of 16 bits, but colours have 8"):
        read(folder)


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
        ({"colors": {"a": (0, 0, 1), "b": (1, 0, 0)}, "ignore": (1, 0, 0)}, "colour of 'b' in"),
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
        inner = (x[..., 0] < 20) | (x[..., 0] > 180)  # without pixels that interpolation mixes
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
