import os
import shutil
import signal
import subprocess
import sys
import warnings

import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kft.errors import KftError
from kft.family.directory import unused_path
from kft.runs.commits import clear, read_commit, read_newest, remove_leftovers, write_commit
from kft.runs.packing import pack, unpack
from kft.runs.signals import StopSignals

pytestmark = pytest.mark.once

ARRAYS = {
    "a/0": np.arange(12, dtype="float32").reshape(3, 4),
    "a/1": np.float32(2.5).reshape(()),
    "b/0": np.ones(3, ml_dtypes.bfloat16),
    "b/1": np.array([1, 2], np.uint32),
}


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def two(tmp_path):
    """Return a directory with two commits, whose states are 1 and 2."""
    for number in (1, 2):
        write_commit(tmp_path, {"n": number}, ARRAYS, keep=3)
    return tmp_path


def test_what_was_written_is_read_and_the_newest_wins(two):
    commit = read_newest(two)
    assert commit.state == {"n": 2}
    assert commit.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert commit.arrays[name].dtype == array.dtype
        assert commit.arrays[name].shape == array.shape
        np.testing.assert_array_equal(commit.arrays[name], array)


def test_the_newest_few_stay(tmp_path):
    for number in range(5):
        write_commit(tmp_path, {"n": number}, {}, keep=2)
    assert names(tmp_path) == ["commit-00000004", "commit-00000005"]
    assert read_newest(tmp_path).state == {"n": 4}


def test_large_states_are_written_in_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr("kft.runs.commits._SHARD", 40)
    path = write_commit(tmp_path, {}, ARRAYS, keep=1)
    assert len(list(path.glob("arrays-*"))) == 2
    np.testing.assert_array_equal(read_newest(tmp_path).arrays["a/0"], ARRAYS["a/0"])


def test_nothing_there_is_no_commit(tmp_path):
    assert read_newest(tmp_path / "none") is None
    assert read_newest(tmp_path) is None


def damages(path):
    """Yield damages to each file of a commit: truncation, flipped bits and deletion."""
    for file in sorted(path.iterdir()):
        content = file.read_bytes()
        for length in (0, 1, len(content) // 2, len(content) - 1):
            yield file, content[:length]
        for place in np.linspace(0, len(content) - 1, 12).astype(int):
            yield file, content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
        yield file, content + b" "
        yield file, None


def test_every_damage_is_noticed_and_the_commit_before_it_is_used(two):
    newest = two / "commit-00000002"
    count = 0
    for file, content in list(damages(newest)):
        whole = file.read_bytes()
        file.unlink() if content is None else file.write_bytes(content)
        try:
            with pytest.raises(KftError):
                read_commit(newest)
            with pytest.warns(UserWarning, match="commit-00000002.*Resuming from commit-00000001"):
                assert read_newest(two).state == {"n": 1}
        except pytest.fail.Exception:
            # White space at the end of JSON does not change what is read.
            assert content == whole + b" "
            assert file.name == "manifest.json"
            assert read_newest(two).state == {"n": 2}
        file.write_bytes(whole)
        count += 1
    assert count == 54


def test_damage_everywhere_is_an_error_that_names_each(two):
    for path in two.iterdir():
        (path / "state.json").write_text("{}")
    with pytest.raises(KftError, match=r"commit-00000002.*commit-00000001.*start over"):
        read_newest(two)


def test_a_manifest_cannot_reach_out_of_its_commit(two, tmp_path):
    outside = tmp_path / "outside.safetensors"
    manifest = two / "commit-00000002" / "manifest.json"
    shutil.copy(two / "commit-00000002" / "arrays-000.safetensors", outside)
    text = manifest.read_text()
    manifest.write_text(text.replace("arrays-000.safetensors", "../outside.safetensors"))
    with pytest.raises(KftError, match="not a file of a commit"):
        read_commit(manifest.parent)
    manifest.write_text(text)
    inside = manifest.parent / "arrays-000.safetensors"
    inside.unlink()
    inside.symlink_to(outside)
    with pytest.raises(KftError, match="is missing"):
        read_commit(manifest.parent)


@given(
    st.binary(max_size=300),
    st.sampled_from(["manifest.json", "state.json", "arrays-000.safetensors"]),
)
def test_any_bytes_in_place_of_a_file_are_a_named_error(tmp_path_factory, content, name):
    folder = tmp_path_factory.mktemp("bytes")
    path = write_commit(folder, {"n": 1}, ARRAYS, keep=1)
    (path / name).write_bytes(content)
    with pytest.raises(KftError):
        read_commit(path)


def test_deeply_nested_json_is_a_named_error(two):
    deep = b"[" * 100_000
    (two / "commit-00000002" / "manifest.json").write_bytes(deep)
    with pytest.raises(KftError, match="nested too deep"):
        read_commit(two / "commit-00000002")


CALLS = ("write", "fsync", "rename", "unlink", "mkdir")
KILLED = """
import os, sys, pathlib, builtins
import numpy as np
directory, at = pathlib.Path(sys.argv[1]), int(sys.argv[2])
count = 0
def counted(name, real):
    def call(*args, **kwargs):
        global count
        count += 1
        if count == at:
            os._exit(9)
        return real(*args, **kwargs)
    return call
from kft.runs import commits
real_open = builtins.open
class Slow:
    def __init__(self, file): self.file = file
    def __enter__(self): return self
    def __exit__(self, *_): self.file.close()
    def fileno(self): return self.file.fileno()
    def flush(self): self.file.flush()
    def write(self, content):
        for start in range(0, len(content), 40):
            self.part(content[start:start + 40])
    def part(self, content):
        self.file.write(content); self.file.flush()
def slow_open(path, mode="r", *args, **kwargs):
    file = real_open(path, mode, *args, **kwargs)
    return Slow(file) if mode == "wb" else file
commits.open = slow_open
Slow.part = counted("write", Slow.part)
os.fsync = counted("fsync", os.fsync)
os.rename = counted("rename", os.rename)
pathlib.Path.rename = counted("rename", pathlib.Path.rename)
os.rmdir = counted("rmdir", os.rmdir)
os.unlink = counted("unlink", os.unlink)
os.mkdir = counted("mkdir", os.mkdir)
commits.write_commit(directory, {"n": 2}, {"x": np.arange(40.0)}, keep=1)
print(count)
"""


def test_a_writer_killed_at_any_call_leaves_a_whole_state(tmp_path):
    def run(at):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        write_commit(tmp_path / "run", {"n": 1}, {"x": np.arange(40.0)}, keep=1)
        return subprocess.run(
            [sys.executable, "-c", KILLED, tmp_path / "run", str(at)],
            capture_output=True,
            text=True,
            env=os.environ,
        )

    finished = run(10**9)
    assert finished.returncode == 0, finished.stderr
    calls = int(finished.stdout)
    assert calls > 25
    seen = []
    for at in range(1, calls + 1):
        assert run(at).returncode == 9
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            seen.append(read_newest(tmp_path / "run").state["n"])
        remove_leftovers(tmp_path / "run")
        assert all(name.startswith("commit-") for name in names(tmp_path / "run"))
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}


def test_a_full_disk_leaves_what_was_there(two, monkeypatch):
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == fails:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for fails in (1, 2, 3, 4):  # noqa: B007
        calls.clear()
        with pytest.raises(OSError, match="No space left"):
            write_commit(two, {"n": 3}, ARRAYS, keep=3)
        assert names(two) == ["commit-00000001", "commit-00000002"]


def test_only_commits_are_cleared(two):
    (two / "notes.txt").write_text("mine")
    (two / ".writing-1").mkdir()
    clear(two)
    assert names(two) == ["notes.txt"]
    (two / "notes.txt").unlink()
    clear(two)
    assert not two.exists()
    clear(two)


def test_trees_of_arrays_come_back():
    arrays = {}
    tree = {
        "best": [np.arange(3), None],
        "count": np.int64(4),
        "deep": {"x": np.eye(2)},
        "s": "text",
    }
    packed = pack(tree, arrays, "callbacks")
    assert packed["count"] == 4
    assert set(arrays) == {"callbacks/best/0", "callbacks/deep/x"}
    back = unpack(packed, arrays)
    np.testing.assert_array_equal(back["best"][0], np.arange(3))
    assert back["best"][1] is None
    with pytest.raises(KftError, match="callbacks/deep/x"):
        unpack(packed, {"callbacks/best/0": np.arange(3)})


def test_control_keras_loads_the_same_flips_without_a_word(tmp_path):
    """The reason to hash commits: a flipped bit in a `.weights.h5` file becomes another weight."""
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, use_bias=False)])
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    kernel = keras.ops.convert_to_numpy(model.weights[0]).copy()
    content = bytearray(path.read_bytes())
    content[content.index(kernel.tobytes()) + 2] ^= 4
    path.write_bytes(content)
    model.load_weights(path)
    assert not np.array_equal(keras.ops.convert_to_numpy(model.weights[0]), kernel)


TWICE = """
import os, signal, sys
from kft.runs.signals import StopSignals

def fit():
    number = getattr(signal, sys.argv[1])
    os.kill(os.getpid(), number)
    print("still here", flush=True)
    os.kill(os.getpid(), number)
    print("never")

StopSignals().install()
fit()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_second_signal_ends_the_process_at_once(name):
    done = subprocess.run([sys.executable, "-c", TWICE, name], capture_output=True, text=True)
    assert done.stdout == "still here\n"
    assert f"{name}: the run stops after this step" in done.stderr
    assert done.returncode == -getattr(signal, name)


def test_after_a_fit_that_failed_a_signal_does_what_it_did_before():
    handled = []
    before = signal.signal(signal.SIGTERM, lambda *_: handled.append("before"))
    try:
        signals = StopSignals()
        signals.install()
        os.kill(os.getpid(), signal.SIGTERM)  # no fit is running
        assert handled == ["before"]
        assert signals.received is None
    finally:
        signal.signal(signal.SIGTERM, before)


def test_starting_over_takes_a_new_directory(tmp_path):
    assert unused_path(tmp_path / "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2").mkdir()
    assert unused_path(tmp_path / "run") == tmp_path / "run-3"
