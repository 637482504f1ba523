"""Bad rows are answered as bad rows, and do not affect the others."""

import math

import numpy as np
import pytest
from builds import MAX_PIXELS, png
from hostile_images import bad_images, gif, unusual_images
from processes import ask, ask_and_weigh

pytestmark = pytest.mark.once

BAD_TEXTS = {
    "not UTF-8": b"great \xff\xfe film \xc3",
    "a surrogate": b"great \xed\xa0\x80 film",
    "half a letter": "日本".encode()[:-1],
    "too long a form": b"\xc0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
}


def example(feature: str, *values: bytes) -> bytes:
    """Return a serialised `tf.Example`."""

    def field(number: int, content: bytes) -> bytes:
        length, size = len(content), b""
        while length > 127:
            size, length = size + bytes([length % 128 + 128]), length // 128
        return bytes([8 * number + 2]) + size + bytes([length]) + content

    listed = field(1, b"".join(field(1, value) for value in values))
    return field(1, field(1, field(1, feature.encode()) + field(2, listed)))


def inputs_of(signature: str, feature: str, raw: list[bytes]) -> list[bytes]:
    is_listed = signature in ("classify", "regress")
    return [example(feature, one) for one in raw] if is_listed else raw


SIGNATURES = {
    "image": ("serving_default", "embed", "classify"),
    "regression": ("serving_default", "regress"),
    "text": ("serving_default", "embed", "classify"),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_rows_beside_a_bad_one_are_answered_to_the_bit(made, name):
    feature, reason = "image", "not a JPEG, PNG, GIF, BMP or WebP image"
    good, bad = [png(0), png(1)], b"\xff no text and no image"
    if name == "text":
        feature, reason = "text", "not UTF-8"
        good = [b"a great film", b"the dull plot"]
    rows = [[good[0], bad, good[1]], good, [bad, bad], [bad, *good, bad]]
    asked = [(one, inputs_of(one, feature, raw)) for one in SIGNATURES[name] for raw in rows]
    answers = iter(ask(made(name), asked))
    for mixed, alone, none, around in zip(*[answers] * 4, strict=True):
        for output, values in alone.items():
            assert [mixed[output][0], mixed[output][2]] == values
            assert around[output][1:3] == values
            for blank in (mixed[output][1], *none[output], around[output][0], around[output][3]):
                if output == "status":
                    assert blank == reason
                elif output in ("classes", "label"):
                    assert set(np.ravel(blank)) == {""}
                else:
                    assert np.isnan(blank).all()


def test_pixels_that_are_no_numbers_are_a_bad_row(made):
    grey = np.full((2, 12, 12, 3), 128.0)
    broken = grey[0].copy()
    broken[3, 4, 1] = np.nan
    alone, mixed = ask(
        made("image"),
        [("tensors", grey.tolist()), ("tensors", [grey[0].tolist(), broken.tolist(), grey[1].tolist()])],
    )  # fmt: skip
    assert mixed["status"] == ["", "not finite numbers", ""]
    assert [mixed["scores"][0], mixed["scores"][2]] == alone["scores"]
    assert mixed["label"][1] == ""
    assert np.isnan(mixed["scores"][1]).all()


@pytest.mark.parametrize("name", ["image", "text"])
def test_an_example_without_its_feature_is_a_bad_row(made, name):
    raw = {"image": png(0), "text": b"a great film"}[name]
    good = example(name, raw)
    strange = [example("other", raw), example(name), example(name, raw, raw), b"\xff", b""]
    alone, mixed = ask(made(name), [("classify", [good]), ("classify", [*strange, good])])
    assert mixed["scores"][-1:] == alone["scores"]
    assert np.isnan(mixed["scores"][:-1]).all()
    assert set(np.ravel(mixed["classes"][:-1])) == {""}


def test_each_bad_image_says_why_and_costs_little(made):
    images = bad_images()
    requests = [("serving_default", [png(0)])]
    requests += [("serving_default", [raw]) for raw, _ in images.values()]
    (_, *answers), grown = ask_and_weigh(made("image"), requests)
    for (name, (_, status)), answer in zip(images.items(), answers, strict=True):
        assert answer.get("status") == [status], f"{name}: {answer}"
        assert answer["label"] == [""], name
        assert all(math.isnan(score) for score in answer["scores"][0]), name
    assert grown < 150


def test_unusual_images_are_answered_and_cost_little(made):
    images = unusual_images()
    requests = [("serving_default", [png(0)]), ("serving_default", list(images.values()))]
    (_, answer), grown = ask_and_weigh(made("image"), requests)
    assert dict(zip(images, answer["status"], strict=True)) == dict.fromkeys(images, "")
    assert grown < 150


def test_of_many_frames_the_first_is_answered(made):
    one, many = ask(
        made("image"),
        [("serving_default", [gif(1, 300, 300)]), ("serving_default", [gif(500, 300, 300)])],
    )
    assert one == many


def test_the_largest_image_that_is_decoded_is_the_servables(made):
    from hostile_images import png as black

    side = int(math.sqrt(MAX_PIXELS))
    (answer,) = ask(
        made("image"), [("serving_default", [black(side, side), black(side, side + 1)])]
    )
    assert answer["status"] == ["", f"more than {MAX_PIXELS} pixels"]


def test_each_bad_text_says_why(made):
    raw = [b"a great film", *BAD_TEXTS.values(), "\ufffd\ufeff 日本 \0".encode()]
    (answer,) = ask(made("text"), [("serving_default", raw)])
    assert answer["status"] == ["", *["not UTF-8"] * len(BAD_TEXTS), ""]
