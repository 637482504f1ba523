import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from kft import InputError
from kft.data import image_decoding, images
from kft.data.exif import read_orientation
from kft.data.image_files import inspect_file

pytestmark = pytest.mark.once

FORMS = {
    "jpeg": ("RGB", "JPEG", {"quality": 90}),
    "jpeg_progressive": ("RGB", "JPEG", {"progressive": True}),
    "jpeg_subsampled": ("RGB", "JPEG", {"subsampling": 2}),
    "jpeg_gray": ("L", "JPEG", {}),
    "jpeg_cmyk": ("CMYK", "JPEG", {}),
    "png": ("RGB", "PNG", {}),
    "png_gray": ("L", "PNG", {}),
    "png_palette": ("P", "PNG", {}),
    "png_palette_transparent": ("P", "PNG", {"transparency": 3}),
    "png_one_bit": ("1", "PNG", {}),
    "png_alpha": ("RGBA", "PNG", {}),
    "png_gray_alpha": ("LA", "PNG", {}),
    "webp": ("RGB", "WEBP", {"quality": 90}),
    "webp_lossless": ("RGB", "WEBP", {"lossless": True}),
    "webp_alpha": ("RGBA", "WEBP", {"lossless": True, "exact": True}),
    "bmp": ("RGB", "BMP", {}),
    "bmp_gray": ("L", "BMP", {}),
    "bmp_palette": ("P", "BMP", {}),
    "bmp_alpha": ("RGBA", "BMP", {}),
    "gif": ("P", "GIF", {}),
    "gif_transparent": ("P", "GIF", {"transparency": 3}),
}


@pytest.fixture(scope="module")
def decode_in_graph():
    return tf.function(image_decoding.decode, input_signature=[tf.TensorSpec([], tf.string)])


def as_pillow(encoded):
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.float32)


def convert(picture, mode):
    converted = picture.convert(mode)
    if mode in ("RGBA", "LA"):
        alpha = np.arange(picture.width * picture.height) % 200 + 50
        converted.putalpha(Image.fromarray(alpha.reshape(picture.size[::-1]).astype("uint8")))
    return converted


@pytest.mark.parametrize("form", FORMS)
def test_decodes_to_the_pixels_that_pillow_gives(form, picture, encode, decode_in_graph):
    mode, name, options = FORMS[form]
    encoded = encode(convert(picture, mode), name, **options)
    pixels = decode_in_graph(encoded)
    assert pixels.dtype == tf.float32
    assert pixels.shape == (40, 56, 3)
    np.testing.assert_array_equal(pixels, as_pillow(encoded))


def test_sixteen_bits_become_eight(picture, encode):
    gray = np.asarray(picture.convert("L"))
    encoded = encode(Image.fromarray(gray.astype("uint16") * 257), "PNG")
    pixels = image_decoding.decode(tf.constant(encoded)).numpy()
    np.testing.assert_array_equal(pixels, np.repeat(gray[..., None], 3, -1))


def test_sixteen_bits_a_channel_become_eight():
    """Pillow cannot write 16-bit colour, so TensorFlow does."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype("uint16")
    encoded = tf.io.encode_png(pixels * 257).numpy()
    np.testing.assert_array_equal(image_decoding.decode(tf.constant(encoded)), pixels)


def test_the_first_frame_of_an_animated_gif_is_taken(picture, encode):
    frames = [picture.rotate(90 * turn).convert("P") for turn in range(3)]
    encoded = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(image_decoding.decode(tf.constant(encoded)), as_pillow(encoded))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_animated_webp_is_refused_before_the_decoder_sees_it(
    mode, picture, encode, decode_in_graph
):
    frames = [picture.rotate(90 * turn).convert(mode) for turn in range(3)]
    encoded = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    for _ in range(5):  # TensorFlow's decoder would corrupt the process' memory
        with pytest.raises(tf.errors.InvalidArgumentError):
            image_decoding.decode(tf.constant(encoded))
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_in_graph(encoded)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_image_upright(
    orientation, form, order, picture, encode, decode_in_graph
):
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F] = "a camera"
    exif[0x0112] = orientation
    exif[0x0132] = "2020:01:01 00:00:00"
    options = {"lossless": True} if form == "WEBP" else {}
    encoded = encode(picture, form, exif=exif.tobytes(), **options)
    assert (b"MM\0*" in encoded) == (order == ">")
    pixels = decode_in_graph(encoded)
    np.testing.assert_array_equal(pixels, as_pillow(encoded))
    assert pixels.shape[:2] == ((56, 40) if orientation > 4 else (40, 56))
    with Image.open(io.BytesIO(encoded)) as opened:
        assert read_orientation(opened.info["exif"]) == orientation


def test_a_broken_exif_directory_leaves_the_image_as_it_is(picture, encode, decode_in_graph):
    upright = decode_in_graph(encode(picture, "JPEG"))
    for directory in (8, 7, 10_000, 2**32 - 1):
        for count in (0, 1, 60_000):
            tiff = b"II*\0" + struct.pack("<I", directory) + struct.pack("<H", count) + b"\xff" * 5
            assert read_orientation(tiff) == 1
            encoded = encode(picture, "JPEG", exif=b"Exif\0\0" + tiff)
            np.testing.assert_array_equal(decode_in_graph(encoded), upright)


@pytest.mark.parametrize(
    "encoded", [b"", b"R", b"BM", b"\xff\xd8\xff", b"RIFF", b"\x89PNG", b"GIF89a", b"words" * 20]
)
def test_what_is_no_image_is_refused(encoded, decode_in_graph):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_in_graph(encoded)


def test_decode_batch_takes_any_number_in_a_saved_model(tmp_path, picture, encode):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(encoded):
        return {"pixels": image_decoding.decode_batch(encoded, (16, 24))}

    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, tmp_path / "model", signatures=serve)
    served = tf.saved_model.load(tmp_path / "model").signatures["serving_default"]
    some = [encode(picture, form) for form in ("JPEG", "PNG", "GIF", "BMP", "WEBP")]
    for count in (0, 1, 5):
        pixels = served(encoded=tf.constant(some[:count], tf.string))["pixels"]
        assert pixels.shape == (count, 16, 24, 3)
        for one, encoded in zip(pixels, some, strict=False):
            alone = image_decoding.resize(image_decoding.decode(tf.constant(encoded)), (16, 24))
            np.testing.assert_allclose(one, alone, atol=1e-4)


def test_load_gives_the_same_pixels_from_files_bytes_and_arrays(tmp_path, picture, encode):
    encoded = encode(picture, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(encoded)
    from_files = images.load([str(path), str(path)], (20, 28))
    from_bytes = images.load(np.array([encoded, encoded], object), (20, 28))
    from_arrays = images.load(np.stack([np.asarray(picture)] * 2), (20, 28))
    assert from_files.shape == (2, 20, 28, 3)
    assert from_files.dtype == np.float32
    np.testing.assert_array_equal(from_files, from_bytes)
    np.testing.assert_allclose(from_files, from_arrays, atol=1e-4)
    np.testing.assert_array_equal(images.load([path], (20, 28)), from_files[:1])
    assert images.load([], (20, 28)).shape == (0, 20, 28, 3)


def test_load_makes_three_channels_of_gray_and_transparent_arrays():
    gray = np.arange(2 * 4 * 5, dtype="uint8").reshape(2, 4, 5)
    assert images.load(gray, (4, 5)).shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(images.load(gray[..., None], (4, 5))[..., 2], gray)
    assert images.load(np.zeros((2, 4, 4, 4)), (4, 4)).shape == (2, 4, 4, 3)
    with pytest.raises(InputError, match=r"\(4, 5\).*\[n, height, width\].*add the missing axis"):
        images.load(gray[0], (4, 5))


def test_a_file_that_breaks_while_loading_is_named(tmp_path, picture, encode):
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    good.write_bytes(encode(picture, "JPEG"))
    bad.write_bytes(encode(picture, "JPEG")[:300])
    with pytest.raises(InputError, match=r"bad\.jpg: cannot be decoded .*expected.*skip"):
        images.load_files([str(good), str(bad)], (8, 8))
    with pytest.raises(InputError, match=r"gone\.jpg: no such file"):
        images.load_files([str(tmp_path / "gone.jpg")], (8, 8))


@pytest.mark.parametrize("together", [3, 1024])
def test_broken_finds_what_the_header_hides(picture, encode, monkeypatch, together):
    monkeypatch.setattr(images, "_CHECKED_TOGETHER", together)
    whole = {form: encode(picture, form) for form in ("JPEG", "PNG", "GIF", "WEBP")}
    some = [*whole.values(), *(one[: len(one) // 2] for one in whole.values())]
    assert sorted(images.broken(some)) == [4, 5, 6, 7]
    assert sorted(images.broken(some[::-1])) == [0, 1, 2, 3]
    assert images.broken(some[:4]) == {}
    assert images.broken(some[4:]).keys() == {0, 1, 2, 3}
    assert images.broken([]) == {}


def test_a_second_check_traces_nothing(picture, encode):
    """Tracing takes 50 times as long as checking an image, and `predict` checks what it is given."""
    some = [encode(picture, "PNG"), b"no image"]
    images.broken(some)
    traced = images._decodable_function(images.decode, False)
    before = traced.experimental_get_tracing_count()
    assert images.broken(some * 2).keys() == {1, 3}
    assert images._decodable_function(images.decode, False) is traced
    assert traced.experimental_get_tracing_count() == before == 1


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_a_damaged_jpeg_is_broken_where_decoding_it_fails(picture, encode, options):
    """`broken` checks JPEGs less thoroughly than `decode`, and must agree with it."""
    whole = encode(picture, "JPEG", **options)
    cut = [whole[:length] for length in range(len(whole) - 60, len(whole))]
    cut += [whole[: len(whole) * part // 40] for part in range(1, 40)]
    rng = np.random.default_rng(0)
    flipped = []
    for _ in range(100):
        one = bytearray(whole)
        one[rng.integers(2, len(whole))] ^= int(rng.integers(1, 256))
        flipped.append(bytes(one))
    damaged = [whole, *cut, *flipped]
    expected = [n for n, one in enumerate(damaged) if not decodes(one)]
    assert 50 < len(expected) < len(damaged) - 20
    assert sorted(images.broken(damaged)) == expected


def decodes(encoded):
    try:
        image_decoding.decode(tf.constant(encoded))
    except tf.errors.OpError:
        return False
    return True


def test_an_image_of_the_right_size_is_what_resizing_gives(picture):
    pixels = tf.constant(np.asarray(picture), tf.float32)
    size = picture.height, picture.width
    expected = tf.image.resize(pixels, size, method="bilinear", antialias=True)
    np.testing.assert_array_equal(image_decoding.resize(pixels, size), expected)
    np.testing.assert_array_equal(image_decoding.resize(pixels[None], size)[0], expected)
    small = image_decoding.resize(pixels, (8, 9))
    assert small.shape == (8, 9, 3)
    in_graph = tf.function(images.resize)
    whole_numbers = tf.constant(np.asarray(picture))
    np.testing.assert_array_equal(in_graph(whole_numbers, size), expected)
    np.testing.assert_array_equal(in_graph(whole_numbers, (8, 9)), small)


def test_inspect_file_judges_by_the_header(tmp_path, picture, encode):
    def judge(encoded, **limits):
        path = tmp_path / "file"
        path.write_bytes(encoded)
        return inspect_file(str(path), **limits)

    animated = [picture.rotate(90), picture.rotate(180)]
    for mode, form, options in FORMS.values():
        assert judge(encode(convert(picture, mode), form, **options)) is None
    assert judge(b"") == "empty file"
    assert judge(b"once upon a time") == "not an image"
    assert judge(b"\0\0\0\x18ftypmp42" + bytes(40)) == "not an image"
    assert judge(encode(picture, "JPEG")[:10]).startswith(("not an image", "broken"))
    assert judge(encode(picture, "TIFF")).startswith("TIFF image, but JPEG")
    assert judge(b"\0\0\0\x24ftypheic" + bytes(40)).startswith("HEIC image, but JPEG")
    assert judge(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)).startswith("JPEG XL image, but JPEG")
    assert judge(b"<svg xmlns='http://www.w3.org/2000/svg'></svg>").startswith("SVG image, but")
    assert judge(encode(picture, "WEBP", save_all=True, append_images=animated)).startswith("anim")
    assert judge(encode(picture, "GIF", save_all=True, append_images=animated)) is None
    assert judge(encode(picture.convert("1"), "BMP")).startswith("BMP of 1 bits")
    assert judge(encode(picture, "PNG"), max_pixels=40 * 56) is None
    assert "56 x 40" in judge(encode(picture, "PNG"), max_pixels=40 * 56 - 1)


@pytest.mark.parametrize(("width", "height"), [(12_000, 12_000), (60_000, 60_000)])
def test_a_gigantic_image_is_refused_by_its_header_without_a_warning(tmp_path, width, height):
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 40) + b"IDAT" + bytes(44))
    assert "gigantic" in inspect_file(str(path), 50_000_000)
