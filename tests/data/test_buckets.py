import keras
import numpy as np
import pytest

from kft.data.buckets import BucketedBatches, choose_buckets
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels
from kft.errors import InputError

LENGTHS = np.random.default_rng(0).integers(3, 60, 900)


def batches(seed=0, shuffle=True, batch_size=8):
    texts = np.array([f"text {index}" for index in range(len(LENGTHS))])
    labels = np.arange(len(LENGTHS)) % 2
    examples = Examples(
        "texts", texts, labels.astype("int64"), ("a", "b"), "texts", task=SingleLabels()
    )
    return BucketedBatches(
        examples,
        lambda texts, length: np.full((len(texts), length), 1),
        lengths=LENGTHS,
        buckets=choose_buckets(LENGTHS, 48),
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
    )


def test_buckets_are_few_rising_and_end_with_the_longest():
    for most in (1, 2, 4, 6):
        buckets = choose_buckets(LENGTHS, 48, most)
        assert len(buckets) <= most
        assert list(buckets) == sorted(set(buckets))
        assert buckets[-1] == 48
    assert choose_buckets(np.array([5, 5, 5]), 8) == (8,)


def test_each_text_comes_once_an_epoch_in_another_order():
    data = batches()
    for epoch in range(3):
        assert sorted(data.order(epoch)) == list(range(len(LENGTHS)))
    assert not np.array_equal(data.order(0), data.order(1))
    assert not np.array_equal(data.order(0), batches(seed=1).order(0))
    assert np.array_equal(data.order(1), batches().order(1))


def test_a_batch_is_as_long_as_its_longest_text_needs():
    data = batches()
    order = data.order(0)
    for index in range(len(data)):
        longest = LENGTHS[order[index * 8 : index * 8 + 8]].max()
        width = data[index][0].shape[1]
        assert width in data.buckets
        assert width >= min(longest, 48)
        assert width == 48 or all(b < longest for b in data.buckets if b < width)


def test_less_is_padded_than_without_sorting():
    data = batches()
    sorted_cost = sum(data[index][0].size for index in range(len(data)))
    assert sorted_cost < 0.8 * 48 * len(LENGTHS)


def test_the_order_of_the_batches_says_nothing_of_their_length():
    data = batches(batch_size=4)
    order = data.order(0)
    means = [LENGTHS[order[start : start + 4]].mean() for start in range(0, 896, 4)]
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.25


def test_without_shuffling_the_longest_texts_come_first():
    order = batches(shuffle=False).order(5)
    assert sorted(order) == list(range(len(LENGTHS)))
    assert (np.diff(LENGTHS[order]) <= 0).all()


def test_a_length_for_each_text_is_needed():
    data = batches()
    with pytest.raises(InputError, match=r"2 lengths for 900 examples"):
        BucketedBatches(
            data.examples, data.load, lengths=np.array([1, 2]), buckets=(8,), batch_size=4
        )


def test_a_fit_takes_lengths_that_its_first_batches_do_not_have():
    lengths = np.array([3] * 16 + [40] * 8)
    texts = np.array([str(number) for number in range(24)])
    data = BucketedBatches(
        Examples("texts", texts, np.arange(24) % 2, ("a", "b"), "texts", task=SingleLabels()),
        lambda texts, length: {"tokens": np.full((len(texts), length), 1, "int32")},
        lengths=lengths,
        buckets=(8, 48),
        batch_size=8,
    )
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(2, 4)(tokens))
    model = keras.Model({"tokens": tokens}, keras.layers.Dense(2)(pooled))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        data.for_fit(), validation_data=data.for_fit(), epochs=2, shuffle=False, verbose=0
    )
    assert len(history.history["val_loss"]) == 2
