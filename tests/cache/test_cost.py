"""The decision whether cached features pay: the time they save against reading and writing them."""

import dataclasses
import shutil
from collections import namedtuple

import pytest

import kft
from kft.cache.cost import estimate
from kft.cache.cut import find_cut
from kft.cache.speed import LAPTOP
from kft.cache.store import FeatureStore
from kft.stages.plan import plan
from tests.models import convnet

pytestmark = pytest.mark.once

EXAMPLES = 100


@pytest.fixture(scope="module")
def cut():
    """Return a cut that takes one and a half times as long to compute as to write or read."""
    model = convnet()
    plan(model, [kft.Stage(0, 1, 1e-2)])[0].enter(model)
    found, _ = find_cut(model)
    operations = 1.5 * 4 * sum(found.numbers()) * LAPTOP.balance
    return dataclasses.replace(found, operations=round(operations))


def test_every_epoch_reads_what_one_has_written(cut, tmp_path):
    """1.5 (epochs - 1) is more than epochs + 1 from the sixth epoch on."""
    store = FeatureStore(tmp_path)
    costs = [estimate(cut, EXAMPLES, epochs, store) for epochs in range(1, 10)]
    assert [cost.pays(LAPTOP) for cost in costs] == [epochs > 5 for epochs in range(1, 10)]


def test_half_of_the_free_disk_is_left_alone(cut, tmp_path, monkeypatch):
    size = 4 * sum(cut.numbers()) * EXAMPLES
    disk = namedtuple("Disk", "total used free")
    for times, fits in ((1.9, False), (2.1, True)):
        found = disk(10 * size, 0, int(times * size))
        monkeypatch.setattr(shutil, "disk_usage", lambda path, found=found: found)
        assert estimate(cut, EXAMPLES, 3, FeatureStore(tmp_path)).fits is fits
