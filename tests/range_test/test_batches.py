"""The batches of a range test."""

import itertools

import numpy as np
import pytest

from kft.insight.range_test.batches import endless, model_batches

pytestmark = pytest.mark.once


def test_every_batch_is_as_large_as_the_first_and_every_epoch_has_an_order_of_its_own():
    x = np.arange(10)
    batches = list(itertools.islice(endless(model_batches((x, x), batch_size=4, seed=0)), 4))
    assert [len(y) for _, y in batches] == [4, 4, 4, 4]
    epochs = [np.concatenate([y for _, y in pair]).tolist() for pair in (batches[:2], batches[2:])]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert epochs[0] != epochs[1]
