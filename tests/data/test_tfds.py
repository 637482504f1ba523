import numpy as np
import pytest
import tensorflow_datasets as tfds

from kft import InputError
from kft.data import images
from kft.data.read import read

pytestmark = pytest.mark.once

NAMES = ["tulip", "daisy"]


class KftFlowers(tfds.core.GeneratorBasedBuilder):
    """A tiny dataset of images, texts and labels of every kind, made on the spot."""

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
    with pytest.raises(InputError, match=r"'no_such_flowers' is no file, no folder and no dataset"):
        read_images("no_such_flowers")


class KftFaraway(tfds.core.GeneratorBasedBuilder):
    """A dataset whose files are out of reach."""

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
