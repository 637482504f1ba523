import numpy as np
import pytest

from kft import InputError
from kft.data.balance import class_weights
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.kinds import MultiLabels, Numbers, SingleLabels

pytestmark = pytest.mark.once

COUNTS = {"a": 7, "b": 3, "c": 1}


def imbalanced():
    y = np.repeat([0, 1, 2], list(COUNTS.values()))
    return Examples("arrays", np.arange(11.0), y, tuple(COUNTS), "arrays", task=SingleLabels())


def order(balance, epoch, seed=0):
    batches = Batches(
        imbalanced(), lambda x: x, batch_size=4, shuffle=True, balance=balance, seed=seed
    )
    return batches.order(epoch), len(batches)


def test_weights_make_every_class_weigh_the_same():
    weights = class_weights(imbalanced())
    assert weights.dtype == np.float32
    assert weights.mean() == pytest.approx(1)
    sums = np.bincount(imbalanced().targets, weights=weights)
    np.testing.assert_allclose(sums, 11 / 3, rtol=1e-6)


def test_weights_come_as_the_third_of_a_batch_in_its_order():
    batches = Batches(imbalanced(), lambda x: x, batch_size=4, shuffle=True, balance="weights")
    x, y, weights = batches[1]
    np.testing.assert_array_equal(y, imbalanced().targets[x.astype(int)])
    np.testing.assert_array_equal(weights, class_weights(imbalanced())[x.astype(int)])


def test_oversampling_shows_every_example_and_every_class_alike():
    drawn, length = order("oversample", 0)
    assert length == 6
    assert set(drawn) == set(range(11))
    np.testing.assert_array_equal(np.bincount(imbalanced().targets[drawn]), [7, 7, 7])
    assert max(np.bincount(drawn)[7:10]) - min(np.bincount(drawn)[7:10]) <= 1


def test_undersampling_shows_other_examples_each_epoch_and_every_class_alike():
    shown = set()
    for epoch in range(30):
        drawn, length = order("undersample", epoch)
        assert length == 1
        assert len(set(drawn)) == 3
        np.testing.assert_array_equal(np.bincount(imbalanced().targets[drawn]), [1, 1, 1])
        shown |= set(drawn)
    assert shown == set(range(11))


@pytest.mark.parametrize("balance", ["oversample", "undersample"])
def test_resampling_is_a_function_of_seed_and_epoch(balance):
    np.testing.assert_array_equal(order(balance, 4)[0], order(balance, 4)[0])
    assert not np.array_equal(order(balance, 4)[0], order(balance, 5)[0])


@pytest.mark.parametrize("balance", ["weights", "oversample", "undersample"])
def test_only_single_labels_can_be_balanced(balance):
    many = Examples(
        "arrays",
        np.arange(3.0),
        np.ones((3, 2), "float32"),
        ("a", "b"),
        "arrays",
        task=MultiLabels(),
    )
    numbers = Examples(
        "arrays", np.arange(3.0), np.ones(3, "float32"), None, "arrays", task=Numbers()
    )
    for examples, name in ((many, "multi-label"), (numbers, "regression")):
        with pytest.raises(InputError, match=f"balance='{balance}' needs .* is {name}: leave"):
            Batches(examples, lambda x: x, batch_size=2, balance=balance)
