"""One process per directory, with and without locks of the operating system."""

import dataclasses
import errno
import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from kft.errors import InputError
from kft.runs.hidden import hidden_directory, remove_hidden
from kft.runs.locks import InUseError, RunLock
from kft.runs.owners import Owner

pytestmark = pytest.mark.once

NO_LOCKS = ("ENOSYS", "ENOLCK", "EOPNOTSUPP", "ENOTSUP", "EINVAL")

# Holds a directory until stdin is closed; without locks if the first argument names an error.
HOLD = """
import errno, fcntl, os, pathlib, sys
from kft.runs.locks import RunLock
if sys.argv[1]:
    def flock(*_):
        raise OSError(getattr(errno, sys.argv[1]), "no locks here")
    fcntl.flock = flock
with RunLock(pathlib.Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(directory, error="", script=HOLD):
    with subprocess.Popen(
        [sys.executable, "-c", script, error, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def lacking(monkeypatch):
    """Return a function that makes `flock` fail as on a file system without it."""

    def take(name="ENOSYS"):
        def flock(*_):
            raise OSError(getattr(errno, name), "no locks here")

        monkeypatch.setattr(fcntl, "flock", flock)

    return take


@pytest.fixture(params=["flock", "no flock"])
def either(request, lacking):
    if request.param == "no flock":
        lacking()
    return "" if request.param == "flock" else "ENOSYS"


def test_a_lock_leaves_nothing_behind(tmp_path, either):
    for _ in range(3):
        with RunLock(tmp_path), RunLock(tmp_path):
            assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_second_process_is_refused_and_a_killed_one_is_not_in_the_way(tmp_path, either):
    with holder(tmp_path, either) as other:
        with pytest.raises(InUseError, match=f"in use by process {other.pid} on ") as caught:
            RunLock(tmp_path).acquire()
        assert caught.value.is_alive
        other.kill()
        other.wait()
        with RunLock(tmp_path), RunLock(tmp_path):
            pass  # it is reentrant within a process


@pytest.mark.parametrize("name", NO_LOCKS)
def test_every_file_system_without_locks_has_them_in_kft(tmp_path, lacking, name):
    lacking(name)
    with RunLock(tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", HOLD, name, tmp_path], capture_output=True, text=True
        )
    assert f"in use by process {os.getpid()} on " in done.stderr


def test_processes_with_and_without_locks_keep_each_other_out(tmp_path, monkeypatch, lacking):
    with holder(tmp_path, "ENOLCK"), pytest.raises(InUseError):
        RunLock(tmp_path).acquire()
    with holder(tmp_path):
        lacking("ENOLCK")
        with pytest.raises(InUseError):
            RunLock(tmp_path).acquire()


def test_a_zombie_has_died(tmp_path, lacking):
    lacking()
    with holder(tmp_path, "ENOSYS") as other:
        os.kill(other.pid, signal.SIGKILL)
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead but not yet reaped
        with RunLock(tmp_path):
            pass


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"started": "17"}, True),  # the PID was reused by another process
        ({"boot": "before the restart"}, True),
        ({"host": "elsewhere"}, False),
        ({"namespace": "a container's"}, False),
    ],
)
def test_a_marker_is_judged_by_the_process_that_made_it(tmp_path, lacking, changes, taken):
    lacking()
    with holder(tmp_path, "ENOSYS"):
        path = tmp_path / "lock.held" / "owner.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        if taken:
            with RunLock(tmp_path):
                pass
            return
        with pytest.raises(InUseError, match=r"if it has ended, remove .*lock\.held") as caught:
            RunLock(tmp_path).acquire(wait=math.inf)  # never waits for a holder that it cannot see
        assert not caught.value.is_alive


def test_where_there_are_locks_a_killed_process_of_another_host_is_not_in_the_way(tmp_path):
    with holder(tmp_path) as other:
        path = tmp_path / "lock.held" / "owner.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere"}))
        other.kill()
        other.wait()
        with RunLock(tmp_path):
            pass


@pytest.mark.parametrize("content", [b"", b"[" * 5000, b'{"pid": "x"}', b"\xff", None])
def test_a_damaged_marker_is_an_error_that_names_it_only_without_locks(tmp_path, lacking, content):
    marker = tmp_path / "lock.held"
    marker.mkdir()
    if content is None:
        os.mkfifo(marker / "owner.json")
    else:
        (marker / "owner.json").write_bytes(content)
    with RunLock(tmp_path):
        pass
    marker.mkdir()
    (marker / "owner.json").write_bytes(b"damaged")
    lacking()
    with pytest.raises(InUseError, match=rf"remove {marker} and try again"):
        RunLock(tmp_path).acquire()


def test_of_many_processes_one_at_a_time_has_the_lock(tmp_path, either):
    """Each takes it over from a process that was killed while holding it."""
    script = """
import errno, fcntl, os, pathlib, sys
from kft.runs.locks import RunLock
if sys.argv[1]:
    def flock(*_):
        raise OSError(errno.ENOSYS, "no locks here")
    fcntl.flock = flock
here, counter = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
children = []
for _ in range(12):
    child = os.fork()
    if not child:
        lock = RunLock(here)
        lock.acquire(wait=60)
        inside = os.open(counter / "inside", os.O_CREAT | os.O_EXCL)
        (counter / f"done-{os.getpid()}").touch()
        os.unlink(counter / "inside")
        os._exit(9)  # without a release
    children.append(child)
print(*{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children})
"""
    (tmp_path / "counter").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, either, tmp_path / "lock", tmp_path / "counter"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["9"], done.stderr
    assert len(list((tmp_path / "counter").glob("done-*"))) == 12


def test_another_thread_is_refused_too(tmp_path):
    caught = []

    def take():
        try:
            RunLock(tmp_path).acquire()
        except InUseError as error:
            caught.append(error)

    with RunLock(tmp_path):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
    assert len(caught) == 1


def test_a_forgotten_lock_is_released(tmp_path):
    RunLock(tmp_path).acquire()
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # the child does not use JAX
def test_a_forked_process_neither_holds_nor_releases_its_parents_lock(tmp_path):
    with RunLock(tmp_path) as lock:
        child = os.fork()
        if not child:
            try:
                lock.release()
                RunLock(tmp_path).acquire()
            except InUseError:
                os._exit(3)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        assert (tmp_path / "lock.held").is_dir()


@pytest.mark.parametrize("place", ["a file", "a link"])
def test_a_place_that_cannot_be_locked_is_named(tmp_path, place):
    if place == "a file":
        (tmp_path / "run").write_text("")
    else:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"run` cannot be locked \("):
        RunLock(tmp_path / "run").acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_a_hidden_directory_is_there_until_it_is_renamed_or_left(tmp_path):
    with hidden_directory(tmp_path, ".writing-") as hidden:
        (hidden / "half").write_text("half")
        remove_hidden(tmp_path, ".writing-")  # like another writer
        hidden.rename(tmp_path / "whole")
    with hidden_directory(tmp_path, ".writing-") as hidden:
        (hidden / "half").write_text("half")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_is_not(tmp_path, either):
    script = HOLD.replace(
        "kft.runs.locks import RunLock", "kft.runs.hidden import hidden_directory"
    )
    script = script.replace("RunLock(", "hidden_directory(").replace("[2])", "[2]), '.writing-'")
    (tmp_path / ".writing-mine").mkdir()  # not created by kft
    with holder(tmp_path, either, script) as dead, holder(tmp_path, either, script):
        dead.kill()
        dead.wait()
        pattern = f".writing-{'[0-9a-f]' * 16}"
        assert len(list(tmp_path.glob(pattern))) == 2
        remove_hidden(tmp_path, ".writing-")
        assert len(list(tmp_path.glob(pattern))) == 1
    remove_hidden(tmp_path, ".writing-")
    assert [path.name for path in tmp_path.iterdir()] == [".writing-mine"]
    remove_hidden(tmp_path / "nowhere", ".writing-")


def test_what_processes_left_that_were_killed_while_they_took_a_lock_is_removed(tmp_path):
    half, dead, new = (tmp_path / f"lock.held.new-{name}" for name in ("half", "dead", "new"))
    for path in (half, dead, new):
        path.mkdir()
    os.utime(half, (0, 0))
    dataclasses.replace(Owner.here(), started="17").write(dead / "owner.json")
    with RunLock(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {"lock", "lock.held", new.name}


def test_an_owner_says_what_it_is(tmp_path):
    owner = Owner.here(flock=True)
    owner.write(tmp_path / "owner.json")
    assert Owner.read(tmp_path / "owner.json") == owner
    assert owner.is_alive()
    assert str(owner) == f"process {os.getpid()} on {owner.host}"
