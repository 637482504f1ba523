"""Arrays in files, which are read in bounded memory and checked for any damage."""

import os
import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from kft.cache import rows as row_files
from kft.cache.rows import RowReader, RowWriter

pytestmark = pytest.mark.once

MB = 2**20
FLOATS = np.dtype(np.float32)


def in_memory() -> float:
    """Return the memory of this process, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def write(path, array, at_once=100):
    writer = RowWriter(path, array.shape, array.dtype)
    for first in range(0, len(array), at_once):
        rows = np.arange(first, min(first + at_once, len(array)))[::-1]
        writer.write(rows, array[rows])
    sums = writer.finish()
    writer.close()
    return sums


@pytest.fixture(params=["in memory", "in the file"])
def either(request, monkeypatch):
    """Run a test with files that are read into memory, and with files that are read by rows."""
    monkeypatch.setattr(row_files, "_MOST", 0 if request.param == "in the file" else 128 * MB)
    monkeypatch.setattr(row_files, "_PART", 64)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16, "int32", "uint8"])
@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 2, 3)])
def test_rows_come_back_as_they_were_written(tmp_path, dtype, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    sums = write(tmp_path / "0.npy", array, at_once=3)
    reader = RowReader(tmp_path / "0.npy", shape, array.dtype)
    assert reader.count_damaged(sums) == 0
    rows = np.array([5, 0, 5])
    assert reader[rows].dtype == array.dtype
    np.testing.assert_array_equal(reader[rows], array[rows])
    plain = np.load(tmp_path / "0.npy").view(array.dtype)
    np.testing.assert_array_equal(plain, array)
    reader.close()


def test_shorter_rows_are_followed_by_zeros(tmp_path):
    writer = RowWriter(tmp_path / "0.npy", (2, 3, 2), FLOATS)
    writer.write(np.array([1]), np.ones((1, 2, 2)))
    writer.write(np.array([0]), np.ones((1, 3, 2)))
    sums = writer.finish()
    writer.close()
    reader = RowReader(tmp_path / "0.npy", (2, 3, 2), FLOATS)
    np.testing.assert_array_equal(reader[np.array([1])], [[[1, 1], [1, 1], [0, 0]]])
    assert reader.count_damaged(sums) == 0
    other = RowWriter(tmp_path / "1.npy", (2, 3, 2), FLOATS)
    with pytest.raises(ValueError, match=r"\(3, 3\) do not fit"):
        other.write(np.array([1]), np.ones((1, 3, 3)))
    other.close()


@pytest.mark.usefixtures("either")
def test_every_flipped_bit_of_a_file_is_noticed(tmp_path):
    path = tmp_path / "0.npy"
    array = np.random.default_rng(0).random((6, 2, 2), np.float32)
    sums = write(path, array)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (0, 7):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                reader = RowReader(path, array.shape, array.dtype)
            except ValueError:
                assert place < 128, "the header"
                continue
            assert reader.count_damaged(sums) == 1
            reader.close()


def test_rows_that_changed_places_or_were_never_written_are_noticed(tmp_path):
    path = tmp_path / "0.npy"
    array = np.random.default_rng(0).random((6, 2), np.float32)
    sums = write(path, array)
    content = path.read_bytes()
    path.write_bytes(content[:-48] + content[-40:-32] + content[-48:-40] + content[-32:])
    reader = RowReader(path, array.shape, array.dtype)
    assert reader.count_damaged(sums) == 2
    writer = RowWriter(tmp_path / "1.npy", (2, 2), FLOATS)
    writer.write(np.array([1]), np.zeros((1, 2)))
    sums = writer.finish()
    writer.close()
    assert RowReader(tmp_path / "1.npy", (2, 2), FLOATS).count_damaged(sums) == 1


@pytest.mark.parametrize("damage", ["shorter", "longer", "another type", "something else", "empty"])
def test_a_file_that_is_not_the_array_is_refused(tmp_path, damage):
    path = tmp_path / "0.npy"
    write(path, np.zeros((6, 2), "float32"))
    if damage == "shorter":
        os.truncate(path, os.path.getsize(path) - 8)
    elif damage == "longer":
        os.truncate(path, os.path.getsize(path) + 8)
    elif damage == "another type":
        np.save(path, np.zeros((6, 2), "int32"))
    else:
        path.write_bytes(b"something else" * 40 if damage == "something else" else b"")
    with pytest.raises(ValueError, match=r"0\.npy "):
        RowReader(path, (6, 2), FLOATS)


def test_a_process_does_not_grow_with_the_file(tmp_path):
    path, rows = tmp_path / "large.npy", 64 * MB // 4096
    before, peak = in_memory(), 0.0
    writer = RowWriter(path, (rows, 1024), FLOATS)
    for first in range(0, rows, 64):
        places = np.arange(first, first + 64)
        writer.write(places, np.repeat(places[:, None].astype("float32"), 1024, axis=1))
        peak = max(peak, in_memory() - before)
    sums = writer.finish()
    writer.close()
    reader = RowReader(path, (rows, 1024), FLOATS)
    assert reader.count_damaged(sums) == 0
    for places in np.random.default_rng(0).permutation(rows).reshape(-1, 64):
        assert (reader[places][:, 7] == places).all()
        peak = max(peak, in_memory() - before)
    reader.close()
    assert peak < 32  # of 64 MB


def test_a_file_that_was_cut_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(row_files, "_MOST", 0)
    path = tmp_path / "0.npy"
    write(path, np.zeros((6, 2), "float32"))
    reader = RowReader(path, (6, 2), FLOATS)
    os.truncate(path, 150)
    with pytest.raises(OSError, match=r"row 5 of 6 could not be read: .*0\.npy is shorter"):
        reader[np.array([0, 5])]
    reader.close()


def test_a_small_file_is_read_once_and_closed(tmp_path):
    path = tmp_path / "0.npy"
    write(path, np.ones((6, 2), "float32"))
    before = os.listdir("/proc/self/fd")
    reader = RowReader(path, (6, 2), FLOATS)
    assert os.listdir("/proc/self/fd") == before
    os.truncate(path, 0)
    assert (reader[np.arange(6)] == 1).all()
