"""Labels and pixels of streams are checked as they flow, on every backend."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kft
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.images import load
from kft.data.plain_errors import plain_errors
from kft.data.stream_checks import StreamCheck, checked
from kft.data.stream_images import as_model_images
from kft.data.streams import read_stream
from kft.errors import InputError
from kft.stages.stage import Stage
from kft.tasks import Classification, MultiLabel, Regression
from tests.small_images import DenseRecipe, encoded, small_images

X, Y = small_images(16)
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), dtype="uint8")
TASKS = {
    "single_label": Classification(2),
    "multi_label": MultiLabel(2),
    "regression": Regression(),
}
ONCE = {
    "stages": [Stage(0, 1, 1e-3)],
    "verbose": 0,
    "cache": False,
    "finish": kft.Finish(report=False),
}


class Rows(keras.utils.PyDataset):
    """A user's own dataset that counts its epochs."""

    def __init__(self, x, y, **settings):
        super().__init__(**settings)
        self.x, self.y, self.epoch, self.ended = x, y, 0, 0

    def __len__(self):
        return len(self.x) // 4

    def __getitem__(self, index):
        rows = slice(4 * index, 4 * index + 4)
        return self.x[rows], self.y[rows]

    def on_epoch_end(self):
        self.ended += 1


def of_tf(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(4)


def with_label(label, place=13):
    changed = Y.astype("float32") if np.isnan(label) else Y.copy()
    changed[place] = label
    return changed


def run(dataset, check):
    """Return all batches, requested as in a fit."""
    stream = checked(dataset, check)
    with plain_errors():
        if isinstance(stream, keras.utils.PyDataset):
            return [stream[index] for index in range(stream.num_batches)]
        return list(stream)


@pytest.mark.parametrize("make", [of_tf, Rows])
def test_a_label_out_of_range_ends_a_fit_with_an_error_that_names_it(make):
    recipe = DenseRecipe(num_classes=2)
    good, bad = make(X, Y), make(X, with_label(2))
    message = (
        r"label 2 in batch 3 of the \S+, but labels must lie in 0 to 1, .*: renumber the labels"
    )
    with pytest.raises(InputError, match=message):
        recipe.fit(bad, good, **ONCE)
    with pytest.raises(InputError, match=message):
        recipe.fit(good, bad, **ONCE)
    with pytest.raises(InputError, match=message):
        recipe.evaluate(bad)
    assert recipe.evaluate(good).targets.tolist() == Y.tolist()


@pytest.mark.once
@pytest.mark.parametrize("make", [of_tf, Rows])
@pytest.mark.parametrize(
    ("task", "targets", "message"),
    [
        ("single_label", with_label(-1), r"label -1 in batch 3"),
        ("single_label", with_label(255).astype("uint8"), r"label 255 in batch 3"),
        ("single_label", with_label(np.nan), r"label nan in batch 3"),
        ("single_label", with_label(2)[:, None], r"label 2 in batch 3"),
        ("single_label", 3 * np.eye(2)[Y], r"target 3\S* in batch 0 .* from 0 to 1: encode"),
        ("single_label", np.eye(5)[Y], r"5\).* has 2 classes: pass class numbers \[n\] or"),
        ("single_label", np.array(["a", "b"])[Y], r"labels that are strings, .*: map them first"),
        ("multi_label", 2 * np.eye(2)[Y], r"target 2\S* in batch 0 .* from 0 to 1: encode"),
        ("regression", with_label(np.nan), r"target nan in batch 3 .* but finite numbers"),
    ],
)
def test_targets_that_do_not_fit_the_task_are_named(make, task, targets, message):
    with pytest.raises(InputError, match=message):
        run(make(X, targets), StreamCheck(TASKS[task]))


@pytest.mark.once
@pytest.mark.parametrize("make", [of_tf, Rows])
@pytest.mark.parametrize(
    ("task", "targets"),
    [
        ("single_label", Y),
        ("single_label", Y[:, None].astype("float32")),
        ("single_label", Y.astype(bool)),
        ("single_label", np.eye(2)[Y] * 0.9 + 0.05),
        ("multi_label", np.ones((16, 2), "int32")),
        ("regression", Y * 1000.0),
    ],
)
def test_batches_that_fit_pass_as_they_are(make, task, targets):
    for (x, y), start in zip(
        run(make(X, targets), StreamCheck(TASKS[task], images=True)), range(0, 16, 4), strict=True
    ):
        np.testing.assert_array_equal(x, X[start : start + 4])
        np.testing.assert_array_equal(y, targets[start : start + 4])


@pytest.mark.once
@pytest.mark.parametrize("make", [of_tf, Rows])
def test_pixels_of_the_first_batch_are_checked(make):
    check = StreamCheck(Classification(2), images=True)
    for images, message in (
        (X / 255, r"from \S+ to \S+, but 0 to 255 are expected: undo the scaling"),
        (X / 127.5 - 1, r"but 0 to 255 are expected: undo the scaling"),
        (X * 200, r"but 0 to 255 are expected: divide 16-bit values by 257"),
    ):
        with pytest.raises(InputError, match=message):
            run(make(images.astype("float32"), Y), check)
    night = X.copy()
    night[8:] = 0.5
    assert len(run(make(night, Y), check)) == 4


@pytest.mark.once
def test_labels_of_an_unknown_shape_are_checked():
    dataset = tf.data.Dataset.from_generator(
        lambda: iter([(X[:4], Y[:4] + 1)]), output_types=(tf.float32, tf.int64)
    )
    with pytest.raises(InputError, match="label 2 in batch 0"):
        run(dataset, StreamCheck(Classification(2)))


@pytest.mark.once
def test_a_checked_dataset_is_the_persons_own_in_all_else():
    own = Rows(X, Y, workers=3, max_queue_size=7)
    stream = checked(own, StreamCheck(Classification(2)))
    assert (len(stream), stream.num_batches, stream.workers, stream.max_queue_size) == (4, 4, 3, 7)
    stream.epoch = 5
    stream.on_epoch_begin()
    stream.on_epoch_end()
    assert (own.epoch, stream.epoch, own.ended) == (5, 5, 1)
    with pytest.raises(AttributeError):
        stream.nothing  # noqa: B018


@pytest.mark.once
def test_batches_of_examples_are_checked_at_once():
    classes = ("a", "b", "c")
    examples = Examples("arrays", X, Y + Y, classes, "x", task=Classification(3))
    batches = Batches(examples, lambda x: x, batch_size=4)
    assert checked(batches, StreamCheck(Classification(3))) is batches
    with pytest.raises(InputError, match="label 2 in the batches, but labels must lie in 0 to 1"):
        checked(batches, StreamCheck(Classification(2)))


@pytest.mark.once
def test_other_errors_of_tensorflow_stay_what_they_are():
    with pytest.raises(tf.errors.InvalidArgumentError), plain_errors():
        tf.reshape([1], [2])


@pytest.mark.once
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (None, r"batch 0 .* has the type NoneType, but \(inputs, targets\) or"),
        (PIXELS[:4], r"has the type ndarray, but \(inputs, targets\) or"),
        ((PIXELS[:4],), r"has 1 part\(s\), but"),
        ((PIXELS[:4], Y[:4], Y[:4], Y[:4]), r"has 4 part\(s\), but"),
        ((PIXELS[:4], Y[:3]), r"batch 0 of the PyDataset has 4 inputs and 3 targets: yield one"),
        ((PIXELS[:4], Y[:4], np.ones(3)), r"has 4 inputs and 3 sample_weights"),
        ((PIXELS[:0], Y[:0]), r"has no examples: leave it out"),
        ((PIXELS[:4].tolist(), Y[:4]), r"inputs of batch 0 .* hold int, but arrays or tensors"),
        (
            (PIXELS[:4, :8], Y[:4]),
            r"images of shape \(4, 8, 16, 3\) .* the model takes \[n, 16, 16, 3\]",
        ),
        ((PIXELS[:4, ..., 0], Y[:4]), r"images of shape \(4, 16, 16\) .* the model takes"),
    ],
)
def test_a_batch_that_no_model_takes_is_named(batch, message):
    class One(Rows):
        def __getitem__(self, index):
            return batch

    check = StreamCheck(Classification(2), images=True, shape=(16, 16, 3))
    with pytest.raises(InputError, match=message):
        run(One(PIXELS, Y), check)


@pytest.mark.once
@pytest.mark.parametrize("length", [-1, 2.5, None])
def test_a_dataset_without_a_length_says_how_to_have_one(length):
    class Odd(Rows):
        def __len__(self):
            return length

    with pytest.raises(InputError, match=r"does not say how many batches .*: define `__len__`, or"):
        read_stream(Odd(PIXELS, Y), task=Classification(2))


@pytest.mark.once
def test_tensors_of_different_lengths_in_a_batch_are_named():
    specs = tf.TensorSpec([None, 16, 16, 3], "uint8"), tf.TensorSpec([None], "int64")
    dataset = tf.data.Dataset.from_generator(
        lambda: iter([(PIXELS[:4], Y[:4]), (PIXELS[:4], Y[:3])]), output_signature=specs
    )
    with pytest.raises(InputError, match=r"batch 1 of .* has tensors of \[4 3\] rows: yield one"):
        run(dataset, StreamCheck(Classification(2)))


@pytest.mark.once
def test_a_dataset_that_turns_out_to_be_empty_is_refused_to_train_and_to_validate():
    empty = of_tf(PIXELS, Y).filter(lambda x, y: False)
    recipe = DenseRecipe(num_classes=2, classes=["a", "b"])
    for data in ((empty, (PIXELS, Y)), ((PIXELS, Y), empty), (of_tf(PIXELS, Y), empty)):
        with pytest.raises(InputError, match=r"the tf\.data\.Dataset is empty, but at least one"):
            recipe.fit(*data, **ONCE)


@pytest.mark.once
@pytest.mark.parametrize("size", [(16, 16), (8, 12)])
@pytest.mark.parametrize(
    "images",
    [PIXELS[..., 0], PIXELS[..., :1], np.concatenate([PIXELS, PIXELS[..., :1]], -1)],
    ids=["hw", "1", "4"],
)
def test_a_stream_of_images_has_three_channels_as_arrays_have(images, size):
    loaded = load(images, size)
    unknown = tf.data.Dataset.from_generator(
        lambda: iter([(images, Y)]),
        output_signature=(
            tf.TensorSpec([None] * images.ndim, "uint8"),
            tf.TensorSpec([None], "int64"),
        ),
    )
    for dataset in (of_tf(images, Y), unknown):
        streamed = [batch for batch, _ in as_model_images(dataset, size)]
        np.testing.assert_array_equal(np.concatenate(streamed), loaded)


@pytest.mark.once
def test_an_encoded_image_of_a_stream_that_cannot_be_decoded_is_named():
    rows = iter(as_model_images(of_tf([*encoded(PIXELS)[:5], b"x" * 99], Y[:6]), (16, 16)))
    np.testing.assert_array_equal(next(rows)[0], PIXELS[:4])
    message = (
        r"^an image of the tf\.data\.Dataset cannot be decoded \(Unknown image file.*: leave it out"
    )
    with pytest.raises(InputError, match=message), plain_errors():
        next(rows)
