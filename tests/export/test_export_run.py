"""Exported recipes, with unusual and hostile requests."""

import io
import json
import struct
import unicodedata
import zlib

import keras_hub
import numpy as np
import pytest
from builds import WORDS
from PIL import Image
from processes import ask

import kft
from kft.errors import InputError
from kft.export import check_version, export_run
from kft.stages.stage import Stage
from recipes import BertRecipe, MobileNetRecipe
from tests.small_images import TinyRecipe, bright_sides
from tests.traps import lay_traps

pytestmark = pytest.mark.once

STAGES = [Stage(unfreeze=0, epochs=1, learning_rate=1e-2)]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return a fitted image recipe and its export."""
    recipe = MobileNetRecipe(
        "MobileNet",
        num_classes=3,
        alpha=0.25,
        weights=None,
        image_size=(32, 32),
        classes=("a", "é", "猫"),
    )
    pixels = np.random.default_rng(0).integers(0, 256, (9, 40, 30, 3)).astype("float32")
    labels = np.arange(9) % 3
    recipe.fit((pixels, labels), validation_data=(pixels, labels), stages=STAGES, verbose=0)
    return recipe, recipe.export(tmp_path_factory.mktemp("serving") / "images")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Return a fitted text recipe and its export."""
    folder = tmp_path_factory.mktemp("preset")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    keras_hub.models.BertTokenizer(vocabulary, lowercase=True).save_to_preset(str(folder))
    keras_hub.models.BertBackbone(
        vocabulary_size=len(vocabulary), num_layers=1, num_heads=2, hidden_dim=8,
        intermediate_dim=16, max_sequence_length=16,
    ).save_to_preset(str(folder))  # fmt: skip
    recipe = BertRecipe(str(folder), num_classes=2, classes=("bad", "good"))
    data = (["a great film", "the dull plot", "great", "dull"] * 2, [1, 0] * 4)
    recipe.fit(data, validation_data=data, stages=STAGES, verbose=0)
    return recipe, recipe.export(tmp_path_factory.mktemp("serving") / "texts")


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def colour_png(width: int, height: int, bits: int, **chunks: bytes) -> bytes:
    """Return a PNG with this header and these chunks."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    made = b"\x89PNG\r\n\x1a\n"
    for kind, data in ({"IHDR": header} | chunks).items():
        named = kind.encode() + data
        made += struct.pack(">I", len(data)) + named + struct.pack(">I", zlib.crc32(named))
    return made


def strange_images() -> dict[str, bytes]:
    generator = np.random.default_rng(1)
    pixels = np.kron(
        generator.integers(0, 256, (5, 7, 3), dtype=np.uint8), np.ones((9, 9, 1), np.uint8)
    )
    rgb = Image.fromarray(pixels)
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(generator.integers(0, 2**16, (20, 20), dtype=np.uint16))
    rows = generator.integers(0, 256, (20, 1 + 20 * 6), dtype=np.uint8)  # two bytes per channel
    rows[:, 0] = 0  # no filter
    jpeg = encoded(rgb, "JPEG", quality=90)
    made = {
        "jpeg": jpeg,
        "progressive jpeg": encoded(rgb, "JPEG", progressive=True),
        "gray jpeg": encoded(rgb.convert("L"), "JPEG"),
        "cmyk jpeg": encoded(rgb.convert("CMYK"), "JPEG"),
        "turned jpeg": encoded(rgb, "JPEG", exif=turned),
        "png": encoded(rgb, "PNG"),
        "palette png": encoded(rgb.convert("P"), "PNG"),
        "transparent png": encoded(rgb.convert("RGBA"), "PNG"),
        "16-bit png": encoded(deep, "PNG"),
        "16-bit colour png": colour_png(20, 20, 16, IDAT=zlib.compress(rows.tobytes()), IEND=b""),
        "one pixel": encoded(rgb.resize((1, 1)), "PNG"),
        "bmp": encoded(rgb, "BMP"),
        "gif": encoded(rgb, "GIF"),
        "animated gif": encoded(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)]),
        "webp": encoded(rgb, "WEBP"),
        "animated webp": encoded(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)]),
        "tiff": encoded(rgb, "TIFF"),
        "bomb of 4 gigapixels": colour_png(65_000, 65_000, 8),
        "empty": b"",
        "text": b"no image",
        "zeros": bytes(1000),
    }
    for format in ("jpeg", "png", "gif", "bmp", "webp"):
        whole = made[format]
        for share in (0.05, 0.5, 0.9):
            made[f"{format} cut at {share}"] = whole[: int(len(whole) * share)]
        for seed in range(4):
            flipped = bytearray(whole)
            for place in np.random.default_rng(seed).integers(12, len(whole), 5):
                flipped[place] ^= 1 << (seed + 2)
            made[f"{format} with flipped bits {seed}"] = bytes(flipped)
    return made


def strange_texts() -> dict[str, bytes]:
    made = {
        "empty": "",
        "blank": " \t\n\u00a0\u3000 ",
        "long word": "a" * 100_000,
        "long text": "great film " * 9_000,
        "zero": "great\0film",
        "combining": "e\u0301" * 50 + "\u0300" * 200,
        "right to left": "\u202e\u0634\u0643\u0631\u0627 \u05e9\u05dc\u05d5\u05dd",
        "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 great",
        "controls": "".join(map(chr, range(32))) + "\x7f\x85",
        "specials": "[CLS] [MASK] [PAD] ##s [SEP]",
        "unnormal": unicodedata.normalize("NFKD", "ÉTÉ ﬁlm Å ½"),
    }
    for plane in range(17):
        points = np.random.default_rng(plane).integers(plane << 16, (plane << 16) + 65_536, 200)
        letters = [chr(point) for point in points if not 0xD800 <= point < 0xE000]
        made[f"plane {plane}"] = " ".join(letters)
    return {name: text.encode() for name, text in made.items()} | {
        "no utf-8": b"great \xff\xfe film \xc3",
        "a surrogate": b"great \xed\xa0\x80 film",
    }


@pytest.mark.parametrize("modality", ["image", "text"])
def test_an_export_answers_as_predict_does_or_both_refuse(modality, request):
    """Hostile images and texts are sent one by one, and the process survives."""
    recipe, version = request.getfixturevalue({"image": "images", "text": "texts"}[modality])
    inputs = {"image": strange_images, "text": strange_texts}[modality]()
    answers = ask(version, [("serving_default", [raw]) for raw in inputs.values()])
    assert len(answers) == len(inputs)
    answered = []
    for (name, raw), answer in zip(inputs.items(), answers, strict=True):
        try:
            (prediction,) = recipe.predict([raw])
        except InputError:
            assert answer["status"] != [""], f"{name}: refused by predict alone"
            assert answer["label"] == [""]
            continue
        assert answer["status"] == [""], f"{name}: {answer}"
        scores = dict(zip(answer["classes"][0], answer["scores"][0], strict=True))
        assert scores == pytest.approx(prediction.scores, abs=1e-5), name
        assert answer["label"] == [prediction.label], name
        answered.append(name)
    assert len(answered) > 15


def test_an_export_passes_its_check_and_knows_its_run(images):
    recipe, version = images
    assert version.name == "1"
    assert check_version(version) == []
    facts = json.loads((version / "assets.extra" / "kft.json").read_text())
    assert facts["classes"] == list(recipe.classes)
    assert facts["examples"] == "real"
    assert facts["run"]["class"] == "recipes.mobilenet:MobileNetRecipe"
    assert len(facts["run"]["plan"]["train"]["sha256"]) == 64
    assert facts["run"]["plan"]["stages"][0]["learning_rate"] == 1e-2
    assert facts["run"]["last_epoch"]["val_accuracy"] == recipe.origin["history"]["val_accuracy"][0]


def test_smaller_weights_show_what_they_cost_and_no_training_input_need_be_kept(tmp_path):
    """Exported as by `kft export`, from a run that keeps no examples."""
    x, y = bright_sides(16)
    recipe, run = TinyRecipe(num_classes=2, classes=("left", "right")), tmp_path / "run"
    recipe.fit(
        (x, y),
        (x, y),
        stages=STAGES,
        run_dir=run,
        finish=kft.Finish(keep_examples=False),
        verbose=0,
    )
    assert recipe.raw_examples == []
    assert not (run / "examples.json").exists()
    for name, image in zip(np.take(recipe.classes, y[:4]), x[:4], strict=True):
        (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        file = tmp_path / "data" / name / f"{image.sum()}.png"
        Image.fromarray(image.astype(np.uint8)).save(file)
    version = export_run(
        run, tmp_path / "serving", recipe=TinyRecipe, weights="int8", data=tmp_path / "data"
    )
    facts = json.loads((version / "assets.extra" / "kft.json").read_text())
    assert facts["weights"] == "int8"
    cost = facts["weights_cost"]
    assert cost["examples"] == 3
    assert 0 < cost["largest_change"] < 0.1
    assert cost["best_class_changes"] == 0
    for figures in ("float32_figures", "int8_figures"):
        assert 0 <= facts[figures]["accuracy"] <= 1
    assert facts["examples"] == "made up: the run kept none"
    assert len(facts["run"]["plan"]["train"]["sha256"]) == 64


def test_a_run_that_cannot_be_loaded_is_the_persons_error(tmp_path, monkeypatch):
    """The process that reports it imports no module from the working directory."""
    sprung = lay_traps(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="is not a finished run"):
        export_run(tmp_path, tmp_path / "serving")
    assert not sprung.exists(), sprung.read_text()


def test_nothing_is_exported_into_a_run(tmp_path):
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(InputError, match="is the directory of a run"):
        export_run(tmp_path / "other", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "pickle"}, "format='pickle'.*pass 'saved_model'"),
        ({"weights": "int3"}, "weights='int3'.*pass 'float32'"),
        ({"format": "onnx", "clients": True}, "clients=True.*'onnx'.*leave it out"),
        ({"batch_sizes": (0,)}, "batch_sizes=.*from 1"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        export_run(tmp_path, tmp_path / "serving", **arguments)
