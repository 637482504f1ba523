import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from kft import InputError
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.kinds import MultiLabels, SingleLabels
from kft.data.read import read
from kft.data.streams import Stream
from kft.data.unlabelled import Unlabelled

X = np.arange(40, dtype="float32").reshape(20, 2)
Y = np.arange(20) % 2


def read_images(source, **options):
    return read(source, **{"task": "single_label", "modality": "image", **options})


def small_model():
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, activation="softmax", kernel_initializer="zeros")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_examples_and_streams_pass_through():
    examples = Examples("arrays", X, Y, ("a", "b"), "arrays", task=SingleLabels())
    assert read_images(examples) is examples
    stream = read_images(tf.data.Dataset.from_tensor_slices((X, Y)).batch(4))
    assert read_images(stream) is stream


@pytest.mark.once
def test_examples_are_renumbered_by_the_classes_of_the_training():
    classes = ("a", "b", "c", "d")
    some = Examples("arrays", X[:3], np.array([0, 1, 1]), ("b", "d"), "arrays", task=SingleLabels())
    np.testing.assert_array_equal(read_images(some, classes=classes).targets, [1, 3, 3])
    assert read_images(some, classes=classes).classes == classes
    assert read_images(some, classes=("b", "d")) is some
    rows = np.array([[1, 1, 0], [0, 1, 0]], "float32")
    many = Examples("arrays", X[:2], rows, ("b", "d", "z"), "arrays", task=MultiLabels())
    expected = [[0, 1, 0, 1], [0, 0, 0, 1]]
    np.testing.assert_array_equal(
        read_images(many, classes=classes, task="multi_label").targets, expected
    )
    with pytest.raises(InputError, match=r"label 'd' was not seen in training, .*'b', 'c'"):
        read_images(some, classes=("b", "c"))


@pytest.mark.parametrize("batched", [True, False])
def test_a_tf_dataset_is_a_stream_that_fit_takes(batched):
    dataset = tf.data.Dataset.from_tensor_slices((X, Y))
    stream = read_images(dataset.batch(5) if batched else dataset, classes=("a", "b"))
    assert isinstance(stream, Stream)
    assert stream.classes == ("a", "b")
    assert stream.batches == (4 if batched else 1)
    assert not stream.is_infinite
    x, y = next(iter(stream.dataset))
    assert x.shape == ((5 if batched else 20), 2)
    assert y.shape == ((5,) if batched else (20,))
    small_model().fit(stream.dataset, verbose=0, shuffle=False)


def test_streams_that_never_end_or_whose_length_is_unknown():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)
    endless = read_images(dataset.repeat())
    assert endless.is_infinite
    assert endless.batches is None
    unknown = read_images(dataset.filter(lambda x, y: True))
    assert not unknown.is_infinite
    assert unknown.batches is None


@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_unbatched_rows_of_targets_are_batched(task):
    rows = np.ones((20, 3), "float32")
    single = read_images(tf.data.Dataset.from_tensor_slices((X, rows)), task=task)
    assert next(iter(single.dataset))[1].shape == (20, 3)
    batched = read_images(tf.data.Dataset.from_tensor_slices((X, rows)).batch(4), task=task)
    assert next(iter(batched.dataset))[1].shape == (4, 3)


def test_a_py_dataset_is_a_stream_that_fit_takes():
    batches = Batches(read_images((X, Y)), lambda x: x, batch_size=6)
    stream = read_images(batches)
    assert stream.dataset is batches
    assert (stream.batches, stream.is_infinite, stream.classes) == (4, False, None)
    small_model().fit(stream.dataset, verbose=0, shuffle=False)


@pytest.mark.once
@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ((X, Y), {"task": "ranking"}, r"task='ranking', but one of 'single_label', 'multi"),
        ((X, Y), {"modality": "sound"}, r"modality='sound', but 'clip', 'image' or 'text'"),
        ((X, Y), {"split": "train"}, r"split='train' is only for TFDS, not for tuple: leave"),
        ((X, Y), {"on_bad_example": "drop"}, r"on_bad_example='drop', but \"error\" or \"skip\""),
        (X, {}, r"data of type ndarray have no labels: pass \(x, y\)"),
        (
            ["a.jpg"],
            {},
            r"example 0 of list is 'a.jpg' \(str\), but a pair .*pass \(inputs, labels\)",
        ),
        (7, {}, r"data of type int, but data are a folder with one sub-folder per class, a .csv"),
        ("no/such/sub/folder", {}, r"folder: no such file or folder; data are a folder with"),
        ("no_such/folder", {}, r"no such file or folder, nor a dataset of TFDS: check"),
        ("no_such:1.0.0", {}, r"no such file or folder, nor a dataset of TFDS: check"),
        (
            "mnist:9.9.9",
            {},
            r"nor a dataset of TFDS: check .*cannot be loaded at version 9\.9\.9",
        ),
        ("mnist/none", {}, r"nor a dataset of TFDS: check .*BuilderConfig none not found"),
        ("data/train.csv", {}, r"train.csv: no such file or folder; data are a folder with"),
        ("flowers.csv", {}, r"flowers.csv: no such file or folder; data are"),
        (__file__, {}, r"is a .py file, but data are a folder with"),
    ],
)
def test_what_is_no_data_is_told_what_is(source, options, message):
    with pytest.raises(InputError, match=message):
        read_images(source, **options)


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("book.xlsx", r"save it as .csv, or pass a table .*pandas.read_excel\('book.xlsx'\)"),
        ("rows.JSONL", r"convert it to .csv, or pass a table .*pandas.read_json\('rows.JSONL', "),
        ("rows.csv.gz", r"unpack it first"),
        ("pets.rar", r"unpack it, or pack it as .zip"),
        ("cat.jpg", r"pass the folder that has one sub-folder of images per class"),
    ],
)
def test_a_file_in_another_form_is_told_how_to_be_read(tmp_path, name, way):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(
        InputError, match=rf"{name} is a \.\w+ file, but data are .*: {way}"
    ) as found:
        read_images(tmp_path / name)
    assert "arrays" not in str(found.value)  # what cannot be named by a path
    if name != "cat.jpg":
        for modality in ("image", "text"):
            (raw,) = Unlabelled([str(tmp_path / name)], modality=modality)
            assert re.fullmatch(rf"a \.\w+ file is not read: {way[:9]}.*", raw.reason)


@pytest.mark.once
@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (X, r"yields .*but \(inputs, targets\).*: map its"),
        ((X[:0], Y[:0]), r"is empty, but at least one"),
    ],
)
def test_streams_that_cannot_be_trained_on(slices, message):
    with pytest.raises(InputError, match=message):
        read_images(tf.data.Dataset.from_tensor_slices(slices))


@pytest.mark.parametrize("name", ["text_column", "path_column", "label_column"])
@pytest.mark.parametrize("value", [3, None, True, b"text", float("nan"), [], {"text"}, ["text", 3]])
def test_a_column_is_named_by_text(tmp_path, name, value):
    (tmp_path / "t.csv").write_text("text,label\na,1\nb,2\n")
    for task in ("single_label", "regression"):
        with pytest.raises(InputError, match=f"{name}=.*pass the name of a column"):
            read(tmp_path / "t.csv", task=task, modality="text", **{name: value})


@pytest.mark.parametrize(
    "wrong", [{"max_pixels": "9"}, {"max_pixels": 0}, {"on_bad_example": "no"}, {"split": 3}]
)
def test_options_are_checked_before_anything_is_read(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}="):
        read("no such folder", task="single_label", modality="text", **wrong)


def test_a_missing_path_is_told_what_lies_next_to_it(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    said = f"phots: no such file or folder (did you mean {photos}?)"
    with pytest.raises(InputError, match=re.escape(said)):
        read(str(tmp_path / "phots"), task="single_label", modality="image")
