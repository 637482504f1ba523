"""Labels and pixels of streams are checked as they flow, on every backend."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kft
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.stream_checks import StreamCheck, checked, plain_errors
from kft.errors import InputError
from kft.stages.stage import Stage
from kft.tasks import Classification, MultiLabel, Regression
from tests.small_images import DenseRecipe, small_images

X, Y = small_images(16)
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
    """A dataset of one's own, that counts its epochs."""

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
    """All batches, as a fit would ask for them."""
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
