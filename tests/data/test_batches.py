import keras
import numpy as np
import pytest

from kft import InputError
from kft.data.batches import Batches, FollowEpochs
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels


def numbers(count, classes=2):
    x = np.arange(count, dtype="float32")[:, None] / count
    y = np.arange(count) % classes
    return Examples("arrays", x, y, tuple(map(str, range(classes))), "arrays", task=SingleLabels())


def small_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.3), "mse")
    return model


def identity(x):
    return x


def batches_of(examples, **options):
    return Batches(examples, identity, **{"batch_size": 4, "shuffle": True, **options})


def test_every_example_comes_exactly_once_an_epoch_in_another_order_each():
    batches = batches_of(numbers(11))
    orders = []
    for epoch in range(3):
        batches.epoch = epoch
        seen = np.concatenate([batches[index][0][:, 0] for index in range(len(batches))])
        seen = np.round(seen * 11).astype(int)
        np.testing.assert_array_equal(np.sort(seen), np.arange(11))
        np.testing.assert_array_equal(seen, batches.order(epoch))
        orders.append(tuple(seen))
    assert len(set(orders)) == 3
    assert [len(batches[index][0]) for index in range(3)] == [4, 4, 3]


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    first, second = batches_of(numbers(20), seed=3), batches_of(numbers(20), seed=3, workers=0)
    second.epoch = 7
    _ = second[2], second[0]
    for epoch in (5, 0, 2):
        np.testing.assert_array_equal(first.order(epoch), second.order(epoch))
    assert not np.array_equal(first.order(0), batches_of(numbers(20), seed=4).order(0))
    np.testing.assert_array_equal(batches_of(numbers(5), shuffle=False).order(9), np.arange(5))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_asked_for_in_any_order_are_the_same(workers):
    batches = batches_of(numbers(30), workers=workers)
    x = batches.examples.inputs
    expected = [x[batches.order(0)[4 * i : 4 * i + 4]] for i in range(len(batches))]
    for index in [0, 5, 1, 7, 7, 2, 0, 3, 4]:
        np.testing.assert_array_equal(batches[index][0], expected[index])


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("count", [4, 8, 21])
@pytest.mark.parametrize("validate", [False, True])
def test_fit_trains_each_epoch_on_that_epochs_batches(workers, count, validate):
    batches = batches_of(numbers(count), workers=workers)
    validation = batches_of(numbers(6), shuffle=False, workers=workers) if validate else None
    # The weights of SGD depend on each batch and their order, so they show what was fed.
    model = small_model()
    model.fit(
        batches,
        validation_data=validation,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[FollowEpochs(batches)],
    )
    by_hand = small_model()
    reference = batches_of(numbers(count), workers=0)
    for epoch in range(3):
        reference.epoch = epoch
        for index in range(len(reference)):
            by_hand.train_on_batch(*reference[index])
    for fitted, expected in zip(model.weights, by_hand.weights, strict=True):
        convert = keras.ops.convert_to_numpy
        np.testing.assert_allclose(convert(fitted), convert(expected), rtol=1e-5)


def test_the_epoch_moves_on_without_a_callback():
    batches = batches_of(numbers(12))
    model = small_model()
    model.fit(batches, epochs=2, shuffle=False, verbose=0)
    assert batches.epoch == 2
    model.evaluate(batches_of(numbers(6)), verbose=0)
    model.fit(batches, epochs=1, shuffle=False, verbose=0)
    assert batches.epoch == 3


def test_follow_epochs_starts_at_initial_epoch():
    batches = batches_of(numbers(3))
    epochs = []
    batches.augment = lambda x, y, seed: (epochs.append(seed[1]), (x, y))[1]
    small_model().fit(
        batches,
        initial_epoch=5,
        epochs=7,
        shuffle=False,
        verbose=0,
        callbacks=[FollowEpochs(batches)],
    )
    assert epochs[-2:] == [5, 6]
    assert set(epochs) <= {0, 5, 6}


def test_an_error_while_loading_reaches_fit():
    def load(x):
        raise InputError("this file is broken")

    batches = Batches(numbers(8), load, batch_size=4)
    with pytest.raises(Exception, match="this file is broken"):
        small_model().fit(batches, verbose=0)


def test_augmentation_gets_seed_epoch_and_batch():
    seeds = []

    def augment(x, y, seed):
        seeds.append(seed)
        return x, y

    batches = batches_of(numbers(8), seed=3, augment=augment, workers=0)
    batches.epoch = 2
    _ = batches[1], batches[0]
    assert seeds == [(3, 2, 1), (3, 2, 0)]


def test_soft_targets_are_one_hot():
    batches = batches_of(numbers(6, classes=3), soft_targets=True, shuffle=False)
    np.testing.assert_array_equal(batches[0][1], np.eye(3, dtype="float32")[[0, 1, 2, 0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, r"batch_size=0, but at least 1"),
        ({"seed": -1}, r"seed=-1, but 0 or more"),
        (
            {"balance": "even"},
            r"balance='even'`: pass None, 'weights', 'oversample' or 'undersample'",
        ),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(InputError, match=message):
        batches_of(numbers(8), **options)


def test_no_examples_make_no_batches():
    with pytest.raises(InputError, match="arrays has no examples"):
        batches_of(numbers(3).take([]))


def test_a_small_number_of_numpy_is_a_batch_size():
    assert len(batches_of(numbers(20), batch_size=np.uint8(3))) == 7
