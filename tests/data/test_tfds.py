import json
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kft import InputError
from kft.data import images
from kft.data.read import read

pytestmark = pytest.mark.once

NAMES = ["tulip", "daisy"]


class KftFlowers(tfds.core.GeneratorBasedBuilder):
    """A tiny generated dataset of images, texts and labels of every kind."""

    VERSION = tfds.core.Version("1.2.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=NAMES),
            "tags": tfds.features.Sequence(tfds.features.ClassLabel(names=["red", "big", "wild"])),
            "height": np.float32,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(6), "test": self._generate_examples(2)}

    def _generate_examples(self, count):
        for number in range(count):
            yield (
                number,
                {
                    "image": np.full((8 + number, 8, 3), 10 * number, "uint8"),
                    "label": NAMES[number % 2],
                    "tags": [["red"], ["red", "wild"], []][number % 3],
                    "height": number / 2,
                },
            )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    builder = KftFlowers(data_dir=tmp_path_factory.mktemp("tfds"))
    builder.download_and_prepare()
    return builder.data_path


def read_images(folder, **options):
    return read(str(folder), **{"task": "single_label", "modality": "image", **options})


@pytest.mark.parametrize("up", [False, True])
def test_a_prepared_directory_of_images(prepared, up):
    examples = read_images(prepared.parent if up else prepared)
    assert examples.kind == "image_bytes"
    assert examples.source == "TFDS kft_flowers/1.2.0 train"
    assert examples.classes == ("daisy", "tulip")
    assert examples.counts() == {"daisy": 3, "tulip": 3}
    pixels = images.load(examples.inputs, (8, 8))
    shades = pixels[:, 0, 0, 0].astype(int) // 10
    np.testing.assert_array_equal(examples.targets, 1 - shades % 2)
    again = read_images(prepared)
    assert examples.fingerprint() == again.fingerprint()


def test_splits_and_parts_of_them(prepared):
    assert len(read_images(prepared, split="test")) == 2
    assert len(read_images(prepared, split="train[:50%]")) == 3
    with pytest.raises(InputError, match=r"split='dev' of .*: its splits are '\w+', '\w+'; name"):
        read_images(prepared, split="dev")


def test_other_labels_of_the_same_dataset(prepared):
    many = read_images(prepared, task="multi_label", label_column="tags")
    assert many.classes == ("big", "red", "wild")
    assert sorted(map(tuple, many.targets)) == 2 * [(0, 0, 0)] + 2 * [(0, 1, 0)] + 2 * [(0, 1, 1)]
    numbers = read_images(prepared, task="regression", label_column="height")
    assert numbers.classes is None
    np.testing.assert_array_equal(np.sort(numbers.targets), np.arange(6, dtype="float32") / 2)


def test_classes_unknown_to_the_training_are_named(prepared):
    with pytest.raises(InputError, match=r"label '\w+' was not seen in training.*'oak', 'rose'"):
        read_images(prepared, classes=("oak", "rose"))


def test_images_over_the_cap_can_be_skipped(prepared):
    examples = read_images(prepared, max_pixels=80, on_bad_example="skip")
    assert len(examples) == 3
    assert all("gigantic image, 8 x" in bad.reason for bad in examples.skipped)
    with pytest.raises(InputError, match="3 bad examples"):
        read_images(prepared, max_pixels=80)


def test_texts_written_by_tfds_itself(tmp_path):
    rows = [(0, {"text": "a good one", "label": 1}), (1, {"text": "bäd", "label": 0})]
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        name="kft_texts",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["neg", "pos"])}
        ),
        split_datasets={"train": rows},
        data_dir=tmp_path,
    )
    examples = read(builder.data_path, task="single_label", modality="text")
    assert examples.kind == "texts"
    assert dict(zip(examples.inputs, examples.targets, strict=True)) == {"a good one": 1, "bäd": 0}
    with pytest.raises(InputError, match=r"has no label_column 'stars', only"):
        read(builder.data_path, task="regression", modality="text", label_column="stars")
    with pytest.raises(
        InputError, match=r"has no image feature 'image', only text, label|label, te"
    ):
        read(builder.data_path, task="single_label", modality="image")


@pytest.fixture
def data_folder(prepared, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(prepared.parent.parent))


@pytest.mark.usefixtures("data_folder")
@pytest.mark.parametrize("name", ["kft_flowers", "kft_flowers:1.2.0", "kft_flowers:1.*.*"])
def test_a_dataset_prepared_before_by_its_name(name):
    assert len(read_images(name)) == 6


def test_an_unknown_name_says_what_it_is_not():
    with pytest.raises(
        InputError, match="no_such_flowers: no such file or folder, nor a dataset of TFDS"
    ):
        read_images("no_such_flowers")


class KftFaraway(tfds.core.GeneratorBasedBuilder):
    """A dataset whose files are unavailable."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"text": tfds.features.Text()})
        )

    def _split_generators(self, dl_manager):
        raise ConnectionRefusedError("no network")

    def _generate_examples(self):
        yield from ()


def test_a_download_that_fails_says_what_to_bring(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    with pytest.raises(
        InputError, match=r"'kft_faraway' cannot be downloaded .*no network.* pass the directory"
    ):
        read_images("kft_faraway")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Return a prepared directory of texts with labels of every kind."""
    rows = [
        (
            number,
            {
                "text": f"text {number}",
                "label": number % 2,
                "tags": [["a"], ["b", "c"], []][number % 3],
                "bits": [number % 2, 1],
                "share": number / 2,
                "picture": np.zeros((4, 4, 3), "uint8"),
            },
        )
        for number in range(6)
    ]
    features = tfds.features
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        name="kft_hostile",
        version="1.0.0",
        features=features.FeaturesDict(
            {
                "text": features.Text(),
                "label": features.ClassLabel(names=["neg", "pos"]),
                "tags": features.Sequence(features.Text()),
                "bits": features.Sequence(np.int64),
                "share": features.Scalar(np.float32),
                "picture": features.Image(shape=(4, 4, 3)),
            }
        ),
        split_datasets={"train": rows},
        data_dir=tmp_path_factory.mktemp("tfds"),
    )
    return builder.data_path


@pytest.fixture
def copied(texts, tmp_path):
    return pathlib.Path(shutil.copytree(texts, tmp_path / "copied"))


def read_texts(folder, **options):
    return read(folder, **{"task": "single_label", "modality": "text", **options})


def edit(path, change):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content) or content))


EVIL = {"pythonClassName": "kft_evil.Feature", "text": {}}
FEATURES = "tensorflow_datasets.core.features.features_dict.FeaturesDict"


def outermost(content):
    content["pythonClassName"] = "kft_evil.Feature"


def nested(content):
    content["featuresDict"]["features"]["text"] = EVIL


def in_a_sequence(content):
    content["featuresDict"]["features"]["tags"]["sequence"]["feature"] = EVIL


def in_another_spelling(content):
    content["featuresDict"]["features"]["text"] = {"python_class_name": "kft_evil.Feature"}


def as_before_tfds_4(content):
    evil = {"type": "kft_evil.Feature", "content": {}}
    return {"type": FEATURES, "content": {"text": evil}}


def in_json_in_json(content):
    inner = json.dumps({"a": {"type": "kft_evil.Feature", "content": {}}})
    evil = {"pythonClassName": FEATURES, "jsonFeature": {"json": inner}}
    content["featuresDict"]["features"]["text"] = evil


def in_a_message_in_json(content):
    inner = json.dumps({"features": {"a": EVIL}})
    return {"type": FEATURES, "proto_cls": "tensorflow_datasets.FeaturesDict", "content": inner}


def in_tfds_own_tests(content):
    content["pythonClassName"] = "tensorflow_datasets.core.features.features_test.Feature"


@pytest.mark.parametrize(
    "change",
    [
        outermost,
        nested,
        in_a_sequence,
        in_another_spelling,
        as_before_tfds_4,
        in_json_in_json,
        in_a_message_in_json,
        in_tfds_own_tests,
    ],
)
def test_a_module_that_a_prepared_directory_names_is_not_imported(
    change, copied, tmp_path, monkeypatch
):
    (tmp_path / "kft_evil.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    edit(copied / "features.json", change)
    with pytest.raises(
        InputError, match=r"features\.json .* names the class '.*', but only the feat"
    ):
        read_texts(copied)
    assert not (tmp_path / "exploded").exists()
    assert "tensorflow_datasets.core.features.features_test" not in sys.modules


def test_neither_does_the_description_import_a_module(copied, tmp_path, monkeypatch):
    (tmp_path / "kft_evil.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    edit(copied / "dataset_info.json", lambda info: info.update(moduleName="kft_evil"))
    assert len(read_texts(copied)) == 6
    edit(copied / "dataset_info.json", lambda info: info.update(features=EVIL))
    with pytest.raises(InputError, match=r"names the class 'kft_evil\.Feature'"):
        read_texts(copied)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.usefixtures("data_folder")
def test_nor_does_what_was_prepared_under_a_name(prepared, tmp_path, monkeypatch):
    folder = shutil.copytree(prepared.parent, tmp_path / "kft_flowers")
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    edit(pathlib.Path(folder, "1.2.0", "features.json"), outermost)
    with pytest.raises(InputError, match=r"names the class 'kft_evil\.Feature'"):
        read_images("kft_flowers:1.2.0")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("filepathTemplate", "../../{SHARD_X_OF_Y}"),
        ("filepathTemplate", "gs://bucket/{SHARD_X_OF_Y}"),
        ("filepathTemplate", "{SPLIT:>999999999}"),
        ("name", "../train"),
    ],
)
def test_examples_lie_in_the_prepared_directory(key, value, copied):
    edit(copied / "dataset_info.json", lambda info: info["splits"][0].update({key: value}))
    with pytest.raises(InputError, match=r"in files called .*, which may be in another directory"):
        read_texts(copied)


@pytest.mark.parametrize("name", ["features.json", "label.labels.txt", "record"])
def test_pipes_in_a_prepared_directory_are_never_opened(name, copied):
    path = next(copied.glob("*tfrecord*")) if name == "record" else copied / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="of a prepared TFDS directory: a named pipe, but a file"):
        read_texts(copied)


def too_long(path):
    path.write_bytes((2**60).to_bytes(8, "little") + bytes(100))


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (too_long, "is damaged: a record ends beyond the file"),
        (cut, "is damaged: a record ends beyond the file"),
        (flipped, "cannot be read .*: prepare the dataset again"),
        (pathlib.Path.unlink, "cannot be read .*No such file.*: prepare the dataset again"),
    ],
)
def test_damaged_records_are_named(damage, message, copied):
    damage(next(copied.glob("*tfrecord*")))
    with pytest.raises(InputError, match=message):
        read_texts(copied)


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, '{"features": 1}'])
def test_a_damaged_description_is_named(content, copied):
    (copied / "features.json").write_text(content)
    with pytest.raises(InputError, match="prepare the dataset again"):
        read_texts(copied)


@pytest.mark.parametrize(
    ("task", "column", "message"),
    [
        (
            "single_label",
            "tags",
            r"'tags' .* is Sequence .*: pass label_column=..., or another task",
        ),
        ("single_label", "picture", r"'picture' .* is Image \(4, 4, 3\), but one name"),
        ("single_label", "share", r'2.5 as a label, .*: use task="regression"'),
        ("multi_label", "label", r"'label' .* is ClassLabel \(\), but a Sequence of names"),
        ("multi_label", "bits", r"holds rows of 0 and 1, but lists of names"),
        ("regression", "picture", r"'picture' .* is Image \(4, 4, 3\), but numbers per example"),
        ("regression", "text", r"column 'text' holds the inputs"),
    ],
)
def test_features_that_hold_no_such_label_are_named(task, column, message, texts):
    with pytest.raises(InputError, match=message):
        read_texts(texts, task=task, label_column=column)


def test_lists_of_texts_are_several_labels(texts):
    examples = read_texts(texts, task="multi_label", label_column="tags")
    assert examples.classes == ("a", "b", "c")
    assert sorted(map(tuple, examples.targets))[-1] == (1, 0, 0)
