"""Images in memory, with and without labels: accepted and rejected forms."""

import io
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch
from PIL import Image

from kft import InputError
from kft.data import image_decoding, images
from kft.data.pixels import check_images_in_memory
from kft.data.raw_images import raw_images
from kft.data.raw_texts import raw_texts
from kft.data.read import read
from tests.later import made

pytestmark = pytest.mark.once

X = np.random.default_rng(0).integers(0, 256, (4, 8, 10, 3), dtype="uint8")
Y = [0, 1, 0, 1]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def read_images(x, y=Y, **options):
    return read((x, y), **{"task": "single_label", "modality": "image", **options})


@pytest.mark.parametrize(
    "given",
    [
        X,
        list(X),
        X.tolist(),
        X.astype("float16"),
        X.astype(">f4"),
        np.ascontiguousarray(X[:, ::-1, ::-1])[:, ::-1, ::-1],
        torch.tensor(X),
        list(torch.tensor(X)),
        pytest.param(lambda: tf.constant(X), id="EagerTensor"),
        pytest.param(lambda: jnp.asarray(X), id="ArrayImpl"),
        [Image.fromarray(one) for one in X],
        [Image.fromarray(one).convert("RGBA") for one in X],
        np.concatenate([X, X[..., :1]], axis=-1),
    ],
    ids=lambda given: type(given).__name__,
)
def test_images_of_any_kind_are_the_same_pixels(given):
    given = made(given)
    examples = read_images(given)
    assert examples.kind == "arrays"
    np.testing.assert_array_equal(images.load(examples.inputs, (8, 10)), X)
    np.testing.assert_array_equal(images.load(raw_images(given), (8, 10)), X)


def test_encoded_images_are_read_with_their_labels():
    encoded = [png(one) for one in X]
    given = [encoded[0], bytearray(encoded[1]), memoryview(encoded[2]), np.bytes_(encoded[3])]
    examples = read_images([*given, b"rubbish", None], [*Y, 0, 1], on_bad_example="skip")
    assert examples.kind == "image_bytes"
    assert [bad.reason for bad in examples.skipped] == ["not an image", "no image"]
    np.testing.assert_array_equal(images.load(examples.inputs, (8, 10)), X)
    assert all(raw_images(one) == [bytes(one)] for one in given)


def test_an_array_of_bytes_cuts_encoded_images():
    with pytest.raises(
        InputError, match=r"x has dtype \|S\d+, which drops zero bytes .*: pass a list"
    ):
        read_images(np.array([png(one) for one in X]))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"])
def test_images_of_pillow_in_every_mode_become_rgb(mode):
    given = [Image.new(mode, (10, 8)) for _ in Y]
    loaded = images.load(read_images(given).inputs, (8, 10))
    expected = np.asarray(Image.new(mode, (1, 1)).convert("RGB"))[0, 0]
    np.testing.assert_array_equal(loaded, np.broadcast_to(expected, loaded.shape))


def test_sixteen_bits_of_pillow_become_eight_as_in_a_file():
    gray = X[0, ..., 0]
    given = Image.fromarray(gray.astype("uint16") * 257)
    assert given.mode == "I;16"
    np.testing.assert_array_equal(raw_images(given)[0][..., 0], gray)


def test_an_image_of_pillow_is_turned_upright(picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif.tobytes())
    (pixels,) = raw_images(Image.open(file))
    np.testing.assert_array_equal(pixels, image_decoding.decode(tf.constant(file.getvalue())))


RANGES = [
    (X / 255.0, r"from 0 to 1, but 0 to 255 are expected: undo the scaling, the model scales"),
    (X / 127.5 - 1, r"from -1 to 1, but 0 to 255 are expected: undo the scaling"),
    (X.astype("float32") * 2, r"to 510, but 0 to 255 are expected: divide 16-bit values by 257"),
    (X.astype("uint16") * 257, r"to 6.55e\+04, but 0 to 255 are expected: divide 16-bit"),
    (X.astype("int32") - 9, r"from -9 to 246, but 0 to 255 are expected"),
    (X > 127, r"from 0 to 1, but 0 to 255"),
    ([one / 255 for one in X], r"from 0 to 1, but 0 to 255"),
    ([X[0] / 255, X[1][:4] / 255], r"from 0 to 1, but 0 to 255"),
]


@pytest.mark.parametrize(("given", "message"), RANGES)
def test_pixels_out_of_range_are_refused(given, message):
    with pytest.raises(InputError, match=f"images of the input have values .*{message}"):
        raw_images(given)


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((2, 8, 10, 3)),
        np.zeros((2, 8, 10, 3), "uint8"),
        np.full((2, 8, 10, 3), 255.0001, "float32"),  # the rounding of resizing
        np.full((2, 8, 10, 3), 1, "uint8"),
    ],
)
def test_black_images_and_rounding_are_in_range(given):
    check_images_in_memory(given, "arrays")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (X[0], r"shape \(8, 10, 3\) is one image, .*: pass image\[None\]"),
        (X[0, ..., :1], r"shape \(8, 10, 1\) is one image"),
        (np.zeros((8, 10, 4)), r"shape \(8, 10, 4\) is one image"),
        (X[0, ..., 0], r"shape \(8, 10\), but an array of images is .*: add the missing axis"),
        (X[None], r"shape \(1, 4, 8, 10, 3\), but an array of images"),
        (np.moveaxis(X, -1, 1), r"channels first, .*: move them, .*np.moveaxis\(images, 1, -1\)"),
        (torch.tensor(X).permute(0, 3, 1, 2), r"channels first"),
        (np.zeros((2, 0, 10, 3)), r"have no pixels"),
        (np.full((2, 8, 10, 3), np.nan), r"input 0: NaN or infinity; input 1: NaN or infinity"),
        (X.astype(complex), r"raw has dtype complex128, but images are numbers"),
        ([1, 2, 3], r"images of shape \(3,\), but an array of images"),
        ([object()], r"raw has no usable image; the first is object, but an image is expected"),
        ([X[0], "a.png"], r"raw\[0\] is an array and raw\[1\] a path: pass images of one kind"),
        ([png(X[0]), "a.png"], r"raw\[0\] is an encoded image and raw\[1\] a path"),
        ([Image.new("LAB", (8, 8))], r"a Pillow image of mode LAB: convert it to RGB first"),
        (
            ["nothing.png"],
            r"nothing.png: no such file\. Correct these inputs or leave them out\. Images are expected: paths",
        ),
        (["/dev/zero"], r"/dev/zero: a device, but a file is expected"),
        (["a\0b"], r"a\\x00b: no such file"),
        ([None, png(X[0])], r"input 0: no image"),
        ({"image": X}, r"raw is a dict of image, but one array is expected"),
        (iter(X), r"raw is of type .*: pass list\(raw\)"),
    ],
)
def test_what_are_no_images_is_refused_by_name(given, message):
    with pytest.raises(InputError, match=message):
        raw_images(given)


def test_files_to_predict_are_judged_by_their_headers(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "large.png").write_bytes(png(X[0]))
    with pytest.raises(
        InputError, match=r"pipe\.png: a named pipe, but .*; \S*large\.png: gigantic"
    ):
        raw_images([tmp_path / "pipe.png", tmp_path / "large.png"], max_pixels=79)
    with pytest.raises(InputError, match=r"input 0: gigantic image, 10 x 8 pixels"):
        raw_images(png(X[0]), max_pixels=79)
    with pytest.raises(InputError, match=r"gigantic image, 10 x 8 pixels"):
        raw_images(Image.fromarray(X[0]), max_pixels=79)


def test_images_of_several_sizes_are_answered_but_not_trained_on():
    several = [X[0], X[1][:4]]
    assert [image.shape for image in raw_images(several)] == [(8, 10, 3), (4, 10, 3)]
    with pytest.raises(InputError, match=r"x has images of several sizes: .*recipe.load\(x\)"):
        read_images(several, [0, 1])


def test_texts_to_predict_have_no_gaps():
    assert raw_texts("good") == ["good"]
    assert raw_texts(["", " \u3000"]) == ["", " \u3000"]
    assert raw_texts(np.array([b"good", b"bad"])) == ["good", "bad"]
    with pytest.raises(
        InputError, match=r"^input 1: no text; input 2: 3 \(int\), but a text .* Correct"
    ):
        raw_texts(["good", None, 3])
    with pytest.raises(InputError, match=r"PosixPath.* is a path, .*: pass path.read_text\(\)"):
        raw_texts(Path("a.txt"))


def test_floats_up_to_1_do_not_hide_among_whole_numbers():
    with pytest.raises(InputError, match=r"values from 0.* to 1, but 0 to 255 are expected"):
        read(([X[0], X[1] / X[1].max()], [0, 1]), task="single_label", modality="image")
    mixed = [X[0], X[1].astype("float32")]
    assert read((mixed, [0, 1]), task="single_label", modality="image").inputs.dtype == "float32"


def test_an_array_of_bytes_with_axes_is_no_image():
    with pytest.raises(InputError, match=r"x has dtype .S4, but images are numbers"):
        read((X.astype("S4"), Y), task="single_label", modality="image")


def test_a_pattern_is_what_it_matches(tmp_path):
    """Patterns match files and all images in folders, as on the command line."""
    (tmp_path / "deep").mkdir()
    for name in ("a.png", "b.png", "deep/c.png", "odd [1].png"):
        Image.fromarray(X[0].astype("uint8")).save(tmp_path / name)

    def found(pattern):
        return [Path(one).name for one in raw_images(pattern)]

    assert found(f"{tmp_path}/[ab].png") == ["a.png", "b.png"]
    assert found(f"{tmp_path}/d*") == ["c.png"]
    assert found(tmp_path / "**" / "?.png") == ["a.png", "b.png", "c.png"]
    assert found(f"{tmp_path}/odd [1].png") == ["odd [1].png"]
    with pytest.raises(InputError, match=r"\*\.jpg: the pattern matches no file"):
        raw_images(f"{tmp_path}/*.jpg")


def test_a_folder_is_all_images_below_it(tmp_path):
    (tmp_path / "deep").mkdir()
    expected = [str(tmp_path / name) for name in ("a.png", "deep/b.PNG")]
    for path in expected:
        Image.fromarray(X[0].astype("uint8")).save(path, format="png")
    (tmp_path / "notes.txt").write_text("no image")
    assert raw_images(tmp_path) == raw_images(str(tmp_path)) == expected
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        raw_images(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image in this folder or below it"):
        raw_images(tmp_path / "empty")
