"""The features that are evicted when the cache exceeds its limit."""

import os

import pytest

from kft.cache.eviction import evict

pytestmark = pytest.mark.once


@pytest.fixture
def features(tmp_path):
    """Create three folders of 100 bytes, last used in the order b, c, a."""
    folders = {}
    for name, used in (("a", 3), ("b", 1), ("c", 2)):
        folders[name] = tmp_path / (name * 32)
        folders[name].mkdir()
        (folders[name] / "0.npy").write_bytes(bytes(100))
        os.utime(folders[name], (used, used))
    return folders


@pytest.mark.parametrize(
    ("limit", "in_use", "left"),
    [(300, "", "abc"), (299, "", "ac"), (100, "", "a"), (200, "b", "ab")],
)
def test_the_longest_unused_go_first_and_none_that_is_in_use(
    tmp_path, features, limit, in_use, left
):
    evict(tmp_path, limit, {features[name] for name in in_use})
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == list(left)
