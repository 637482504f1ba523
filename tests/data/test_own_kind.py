"""A user's own kind of targets, from arrays to a fit: any number of boxes per image."""

import keras
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kft import InputError
from kft.data.batches import Batches, FollowEpochs
from kft.data.buckets import BucketedBatches
from kft.data.overlap import overlap
from kft.data.read import read
from kft.data.split import split
from kft.data.targets import TargetKind

COUNT = 30


class Boxes(TargetKind):
    """Boxes `(boxes, 4)`, padded with -1 to the largest number in a batch."""

    name = "boxes"

    def collate(self, rows, inputs):
        padded = np.full((len(rows), max(1, *map(len, rows)), 4), -1, "float32")
        for place, boxes in enumerate(rows):
            padded[place, : len(boxes)] = boxes
        return padded


def labels(count=COUNT):
    """Return boxes for each example, their number `index % 7`."""
    return [[[float(index), row, 1, 2] for row in range(index % 7)] for index in range(count)]


def boxes(count=COUNT):
    x = np.arange(count, dtype="float32")[:, None]
    return read((x, labels(count)), task=Boxes(), modality="text")


@pytest.mark.once
def test_labels_of_different_shapes_are_arrays_in_an_object_array():
    examples = boxes()
    assert examples.targets.dtype == object
    assert [row.shape for row in examples.targets[:4]] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert examples.classes is None
    assert examples.counts() == {}
    assert examples.label(1) == "[[1.0, 0.0, 1.0, 2.0]]"
    assert repr(examples) == "<Examples: 30 arrays from arrays>"


@pytest.mark.once
def test_content_identifies_them_and_a_part():
    examples = boxes()
    assert examples.fingerprint() == boxes().fingerprint()
    other = boxes()
    other.targets[5] = other.targets[5] + 1
    assert other.fingerprint() != examples.fingerprint()
    found = overlap({"training": examples})
    assert found["conflicts"] == 0
    assert found["parts"]["training"]["counts"] is None
    twice = read(
        (np.zeros((3, 1)), [[[1, 2, 3, 4]], [[1, 2, 3, 4]], []]), task=Boxes(), modality="text"
    )
    assert overlap({"training": twice})["conflicts"] == 1


@pytest.mark.once
def test_gaps_and_numbers_that_are_not_finite_are_bad_examples():
    y = labels(6)
    y[2], y[4][1][0] = None, float("nan")
    with pytest.raises(InputError, match=r"example 2: no label\n  example 4: target with NaN"):
        read((np.zeros((6, 1)), y), task=Boxes(), modality="text")
    kept = read((np.zeros((6, 1)), y), task=Boxes(), modality="text", on_bad_example="skip")
    assert [len(row) for row in kept.targets] == [0, 1, 3, 5]


@pytest.mark.once
def test_they_are_split_but_neither_balanced_nor_mixed():
    train, validation = split(boxes(), fraction=0.2)
    assert (len(train), len(validation)) == (24, 6)
    for part in (train, validation):
        assert [len(row) for row in part.targets] == [int(x) % 7 for x in part.inputs[:, 0]]
    with pytest.raises(InputError, match=r"balance='oversample' needs .* is boxes: leave it out"):
        Batches(boxes(), np.asarray, batch_size=4, balance="oversample")
    with pytest.raises(InputError, match=r"those of the task 'boxes' cannot be mixed: leave them"):
        Batches(boxes(), np.asarray, batch_size=4, soft_targets=True, workers=0)[0]


@pytest.mark.once
def test_a_parquet_table_and_a_tfds_may_hold_any_label(tmp_path):
    texts = [f"text {number}" for number in range(8)]
    path = tmp_path / "boxes.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": labels(8)}), path)
    of_table = read(path, task=Boxes(), modality="text")
    assert [row.shape for row in of_table.targets[:3]] == [(0, 4), (1, 4), (2, 4)]
    structures = [{"box": [1.0, 2.0], "name": "a"}] * 8
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": structures}), path)
    assert read(path, task=Boxes(), modality="text").targets[3] == structures[0]
    features = tfds.features
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        name="kft_boxes",
        version="1.0.0",
        features=features.FeaturesDict(
            {"text": features.Text(), "label": features.Sequence(features.BBoxFeature())}
        ),
        split_datasets={
            "train": [
                (n, {"text": text, "label": [features.BBox(0.0, 0.0, 0.5, 0.25)] * (n % 3)})
                for n, text in enumerate(texts)
            ]
        },
        data_dir=tmp_path,
    )
    of_tfds = read(builder.data_path, task=Boxes(), modality="text")
    counted = {text: len(row) for text, row in zip(of_tfds.inputs, of_tfds.targets, strict=True)}
    assert counted == {text: number % 3 for number, text in enumerate(texts)}


@pytest.mark.once
def test_a_stream_that_may_be_batched_or_not_is_refused():
    x, y = np.zeros((12, 4)), np.zeros((12, 4, 4))
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    with pytest.raises(InputError, match=r"may be batches of 4 or single .*without drop_remainder"):
        read(dataset.batch(4, drop_remainder=True), task=Boxes(), modality="text")
    assert read(dataset.batch(4), task=Boxes(), modality="text").batches == 3


def distance(y_true, y_pred):
    """Return the squared distance to the sum of the first coordinates of all real boxes."""
    is_box = keras.ops.cast(y_true[:, :, 0] >= 0, "float32")
    total = keras.ops.sum(y_true[:, :, 0] * is_box, axis=1, keepdims=True)
    return keras.ops.square(y_pred - total)


def small_model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(1e-4), distance)
    return model


def by_hand(batches, epochs):
    model = small_model()
    for epoch in range(epochs):
        batches.epoch = epoch
        for index in range(len(batches)):
            model.train_on_batch(*batches[index])
    return model.get_weights()


@pytest.mark.parametrize("bucketed", [False, True])
def test_batches_pad_them_to_their_own_need_and_fit_takes_them(bucketed):
    examples = boxes()

    def new():
        options = {"batch_size": 4, "shuffle": True, "seed": 12}
        if not bucketed:
            return Batches(examples, lambda x: x / 30, **options)
        lengths = 4 + np.arange(COUNT) % 5
        return BucketedBatches(
            examples, lambda x, length: x / 30, lengths=lengths, buckets=(6, 8), **options
        )

    batches = new()
    widths = []
    for index in range(len(batches)):
        x, y = batches[index]
        numbers = np.round(x[:, 0] * 30).astype(int)
        assert y.shape == (len(x), max(1, (numbers % 7).max()), 4)
        np.testing.assert_array_equal((y[:, :, 0] >= 0).sum(axis=1), numbers % 7)
        widths.append(y.shape[1])
    assert len(set(widths)) > 1
    assert widths[0] == widths[1]  # from which Keras would infer that all have this shape
    model = small_model()
    model.fit(
        batches.for_fit(),
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[FollowEpochs(batches)],
    )
    for one, other in zip(model.get_weights(), by_hand(new(), 2), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)
        assert np.abs(one).max() > 0
