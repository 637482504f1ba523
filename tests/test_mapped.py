"""Arrays in files, of which a process holds a bounded part."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from kft import mapped
from kft.mapped import MappedArray

pytestmark = pytest.mark.once

MB = 2**20


def in_memory() -> float:
    """Megabytes of mapped files in this process' memory."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssFile:\s+(\d+) kB", status)[1]) / 1024


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.npy"
    np.save(path, np.arange(64 * MB // 4, dtype="float32").reshape(-1, 1024))
    return path


@pytest.mark.parametrize("most", [0, 128 * MB])
def test_rows_are_read_and_written_in_place(tmp_path, monkeypatch, most):
    monkeypatch.setattr(mapped, "_MOST", most)
    path = tmp_path / "rows.npy"
    np.save(path, np.zeros((6, 2, 3), "float32"))
    array = MappedArray(path, writable=True)
    array[np.array([4, 1])] = np.arange(12.0).reshape(2, 2, 3)
    array[np.array([0]), slice(1)] = np.full((1, 1, 3), 7.0)
    array.flush()
    again = MappedArray(path)
    assert (len(again), again.shape, again.dtype) == (6, (6, 2, 3), "float32")
    np.testing.assert_array_equal(
        again[np.array([1, 4])], [[[6, 7, 8], [9, 10, 11]], [[0, 1, 2], [3, 4, 5]]]
    )
    np.testing.assert_array_equal(again[np.array([0])], [[[7, 7, 7], [0, 0, 0]]])
    np.testing.assert_array_equal(again.values, np.load(path))


@pytest.mark.parametrize("most", [0, 128 * MB])
def test_numbers_are_read_as_another_type_of_their_size(tmp_path, monkeypatch, most):
    monkeypatch.setattr(mapped, "_MOST", most)
    np.save(tmp_path / "bits.npy", np.array([[0x3C00]], "uint16"))
    assert MappedArray(tmp_path / "bits.npy", "float16")[np.array([0])] == [[1.0]]


@pytest.mark.parametrize("way", ["read", "write"])
def test_a_process_does_not_grow_with_the_file(large, monkeypatch, way):
    order = np.arange(64 * MB // 4096)
    if way == "read":
        np.random.default_rng(0).shuffle(order)
    order = order.reshape(-1, 4)
    held = {}
    for most in (1, 100_000):
        monkeypatch.setattr(mapped, "_MOST", most * MB)
        array = MappedArray(large, writable=way == "write")
        before, peak = in_memory(), 0.0
        for rows in order:
            if way == "write":
                array[rows] = np.repeat(rows[:, None].astype("float32"), 1024, axis=1)
            else:
                assert (array[rows][:, 0] == rows * 1024).all()
            peak = max(peak, in_memory() - before)
        held[most] = peak
    assert held[1] < 16 < 48 < held[100_000]  # of 64 MB
    if way == "write":
        assert (MappedArray(large).values == np.arange(16 * 1024)[:, None]).all()


def test_a_file_that_was_cut_while_it_is_read_is_an_error(large, monkeypatch):
    monkeypatch.setattr(mapped, "_MOST", MB)
    array = MappedArray(large)
    os.truncate(large, 32 * MB)
    with pytest.raises(OSError, match=r"Row 16000 of 16384 .*could not be read"):
        array[np.array([5, 16_000])]


@pytest.mark.parametrize("damage", ["short", "other", "objects", "empty"])
def test_a_damaged_file_is_no_array(tmp_path, damage):
    path = tmp_path / "damaged.npy"
    np.save(path, np.zeros((6, 2)))
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-8])
    elif damage == "other":
        path.write_bytes(b"something else" * 40)
    elif damage == "objects":
        np.save(path, np.array([[None]], object), allow_pickle=True)
    else:
        path.write_bytes(b"")
    with pytest.raises(ValueError):
        MappedArray(path)
