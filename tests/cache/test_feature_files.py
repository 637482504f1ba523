"""Cached features are exactly what was written, or missing."""

import contextlib
import os
import shutil

import ml_dtypes
import numpy as np
import pytest

from kft.cache.files import open_features, write_manifest
from kft.cache.rows import RowWriter

pytestmark = pytest.mark.once

ARRAYS = (
    np.random.default_rng(0).random((9, 2, 3)).astype("float32"),
    np.random.default_rng(1).random((9, 4)).astype(ml_dtypes.bfloat16),
    np.arange(9, dtype="float16"),
)


def write(folder):
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        writers = []
        for place, array in enumerate(ARRAYS):
            writer = RowWriter(folder / f"{place}.npy", array.shape, array.dtype)
            writers.append(stack.enter_context(contextlib.closing(writer)))
            writer.write(np.arange(len(array)), array)
        write_manifest(folder, folder.name, writers)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "key")


@pytest.fixture(params=["in memory", "in the file"], autouse=True)
def either(request, monkeypatch):
    if request.param == "in the file":
        monkeypatch.setattr("kft.cache.rows._MOST", 0)


def test_features_are_read_as_they_were_written(folder):
    for _ in range(2):
        readers = open_features(folder)
        for reader, array in zip(readers, ARRAYS, strict=True):
            assert reader.dtype == array.dtype
            np.testing.assert_array_equal(reader[np.array([8, 3])], array[[8, 3]])
            reader.close()
    assert open_features(folder.with_name("none")) is None


def damages(folder):
    """Yield damaged contents of each file: a flipped bit at many places, truncated, longer, missing."""
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for place in np.linspace(0, len(whole) - 1, 30).astype(int):
            yield path, whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :]
        yield path, b""
        yield path, whole[:-8]
        yield path, whole + whole[:8]
        yield path, None


def replaced(path, content):
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def test_every_damage_is_noticed(folder):
    opened = os.listdir("/proc/self/fd")
    count = 0
    for path, content in list(damages(folder)):
        whole = path.read_bytes()
        replaced(path, content)
        with pytest.raises((ValueError, OSError)):
            open_features(folder)
        path.write_bytes(whole)
        count += 1
    for path in folder.iterdir():
        whole = path.read_bytes()
        path.unlink()
        os.mkfifo(path)  # a pipe without a writer
        with pytest.raises((ValueError, OSError)):
            open_features(folder)
        replaced(path, whole)
    assert count == 7 * 34
    assert os.listdir("/proc/self/fd") == opened
    for reader in open_features(folder):
        reader.close()


def test_an_index_that_lies_about_a_type_is_noticed(folder):
    manifest = folder / "features.json"
    text = manifest.read_text()
    for lie in (text.replace("bfloat16", "float16"), text.replace('"float16"', '"int16"')):
        assert lie != text
        manifest.write_text(lie)
        with pytest.raises(ValueError, match=r"checksums of \d.npy are damaged"):
            open_features(folder)


def test_an_index_that_names_no_numbers_is_damaged(folder):
    manifest = folder / "features.json"
    text = manifest.read_text()
    for lie in (
        "[]",
        "{",
        "[" * 10**5,
        text.replace("[9, 4]", "9"),
        text.replace("[9, 4]", "[]"),
        text.replace("float32", "O"),
    ):
        manifest.write_text(lie)
        with pytest.raises(ValueError, match=r"features.json is damaged|checksums"):
            open_features(folder)


def test_features_under_another_key_are_refused(folder):
    """After a wrong `mv`, intact files belong to other features."""
    other = folder.rename(folder.with_name("other"))
    with pytest.raises(ValueError, match="they belong to another key, 'key'"):
        open_features(other)


def test_features_that_were_checked_are_checked_again_when_they_change(folder, monkeypatch):
    monkeypatch.setattr("kft.cache.rows._MOST", 0)
    for reader in open_features(folder):
        reader.close()
    read = []
    original = os.preadv
    monkeypatch.setattr(os, "preadv", lambda *args: read.append(1) or original(*args))
    for reader in open_features(folder):
        reader.close()
    assert not read, "a process checks a large file once"
    path = folder / "0.npy"
    times = os.stat(path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ValueError, match=r"1 of 9 rows of 0\.npy are damaged"):
        open_features(folder)
    shutil.rmtree(folder)
    for reader in open_features(write(folder)):
        reader.close()
