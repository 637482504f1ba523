"""Version directories: what servers may see, and concurrent exporters."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from processes import HERE

from kft.errors import InputError
from kft.export import versions

pytestmark = pytest.mark.once

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "export_kills.py"


def publish(base: Path, content: str = "x") -> Path:
    with versions.building(base) as hidden:
        (hidden / "saved_model.pb").write_text(content)
        versions.write_manifest(hidden)
        return versions.publish(hidden)


@pytest.mark.parametrize(
    ("name", "number"),
    [("1", 1), ("0001", 1), ("-3", -3), (" 7 ", 7), ("1.5", None), ("v1", None), ("1_0", None),
     (".kft-1", None), ("", None), ("٣", None), (str(2**63), None), (str(2**63 - 1), 2**63 - 1)],
)  # fmt: skip
def test_a_name_is_a_version_where_the_server_parses_an_integer(name, number):
    assert versions.version_number(name) == number


def test_versions_count_up_from_the_largest_there_is(tmp_path):
    base = tmp_path / "base"
    assert publish(base).name == "1"
    (base / "0041").mkdir()
    (base / "notes").mkdir()
    (base / "-50").touch()
    assert publish(base).name == "42"


def test_nothing_is_visible_while_a_version_is_built_and_nothing_is_left_of_a_failure(tmp_path):
    def fail():
        with versions.building(tmp_path) as hidden:
            (hidden / "saved_model.pb").write_text("half")
            assert versions.find_versions(tmp_path) == {}
            assert all(path.name.startswith(hidden.name) for path in tmp_path.iterdir())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_exporters_at_once_get_different_versions(tmp_path):
    published: list[Path] = []
    threads = [
        threading.Thread(target=lambda n=n: published.append(publish(tmp_path, str(n))))
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(path.name) for path in published) == list(range(1, 17))
    assert {(path / "saved_model.pb").read_text() for path in published} == set(map(str, range(16)))


def test_processes_that_export_at_once_get_different_versions(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "saved_model.pb").write_text("x")
    code = (
        "import sys; sys.stdin.readline(); from exporting import main\n"
        "for _ in range(5): main(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "made"), str(tmp_path / "base")]
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    exporters = [
        subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE)
        for _ in range(4)
    ]
    for exporter in exporters:
        exporter.stdin.close()  # starts all of them now
    assert [exporter.wait() for exporter in exporters] == [0] * 4
    found = versions.find_versions(tmp_path / "base")
    assert list(found) == list(range(1, 21))
    assert all(versions.compare_manifest(version) == [] for version in found.values())


def test_a_version_is_on_the_disk_before_it_is_visible(tmp_path, monkeypatch):
    """After a power loss following the rename, the renamed files are complete."""
    synced, renamed = [], []  # inodes

    def fsync(descriptor, real=os.fsync):
        real(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    def rename(source, target, real=os.rename):
        if target.name == "1":
            renamed.extend(path.stat().st_ino for path in [source, *source.rglob("*")])
            assert set(renamed) <= set(synced)
        real(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    publish(tmp_path)
    assert len(renamed) == 4  # the directory, the model, assets.extra and the manifest
    assert synced[-1] == tmp_path.stat().st_ino


@pytest.mark.parametrize(
    ("umask", "folder", "file"), [(0o002, 0o775, 0o664), (0o077, 0o700, 0o600)]
)
def test_permissions_are_what_the_umask_leaves_whatever_wrote_the_files(
    tmp_path, umask, folder, file
):
    before = os.umask(umask)
    try:
        with versions.building(tmp_path / "base") as hidden:
            os.mkdir(hidden / "variables", 0o755)  # like TensorFlow
            descriptor, _ = tempfile.mkstemp(dir=hidden / "variables")  # readable by its owner only
            os.close(descriptor)
            versions.write_manifest(hidden)
            version = versions.publish(hidden)
    finally:
        os.umask(before)
    for path in (version, *version.rglob("*")):
        assert path.stat().st_mode & 0o777 == (folder if path.is_dir() else file), path


def test_sweeping_leaves_what_a_living_exporter_builds(tmp_path):
    with versions.building(tmp_path) as hidden:
        dead = tmp_path / ".kft-0123456789abcdef"
        dead.mkdir()
        (tmp_path / ".kft-of-others").mkdir()
        versions.sweep(tmp_path)
        assert not dead.exists()
        assert hidden.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [".kft-of-others"]


@pytest.fixture(params=["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def without_flock(request, monkeypatch):
    """Simulate a file system without locks, as on some network drives and in containers."""

    def flock(*_):
        raise OSError(getattr(errno, request.param), "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_exporters_on_a_file_system_without_locks_get_different_versions(tmp_path, without_flock):
    threads = [threading.Thread(target=publish, args=(tmp_path, str(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "3", "4"]


def test_without_locks_too_the_living_are_left_alone_and_the_dead_removed(tmp_path, without_flock):
    code = (
        "import fcntl, os, sys; fcntl.flock = lambda *_: (_ for _ in ()).throw(OSError(38, ''))\n"
        "from kft.export import versions\n"
        "with versions.building(sys.argv[1]) as hidden:\n"
        "    (hidden / 'half').touch(); os._exit(0)"
    )
    path = {"PYTHONPATH": str(HERE.parents[1])}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=os.environ | path, check=True)
    assert len(list(tmp_path.glob(".kft-*/half"))) == 1
    with versions.building(tmp_path) as hidden:
        assert not list(tmp_path.glob(".kft-*/half"))
        versions.sweep(tmp_path)
        assert hidden.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_to_is_an_error_and_not_a_loop(tmp_path, monkeypatch):
    def mkdir(*_, **__):
        raise PermissionError(errno.EACCES, "read only")

    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(InputError, match="cannot be locked"), versions.building(tmp_path):
        pass


def test_pruning_keeps_the_newest_and_what_kft_did_not_write(tmp_path):
    for _ in range(4):
        publish(tmp_path)
    foreign = tmp_path / "0"
    foreign.mkdir()
    removed = versions.prune(tmp_path, keep=3)
    assert [path.name for path in removed] == ["1"]
    assert sorted(os.listdir(tmp_path)) == ["0", "2", "3", "4"]


def test_pruning_everything_is_refused(tmp_path):
    with pytest.raises(InputError, match="keep=0, but a server needs a version"):
        versions.prune(tmp_path, keep=0)


def test_a_file_is_no_base_directory(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"), versions.building(tmp_path / "file"):
        pass


def change_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: (d / "saved_model.pb").unlink(), "saved_model.pb is missing"),
        (lambda d: (d / "saved_model.pb").write_text("abc"), "has 3 bytes instead of 6"),
        (lambda d: change_byte(d / "saved_model.pb"), "other contents"),
        (lambda d: (d / "extra").touch(), "does not belong"),
        (lambda d: (d / versions.MANIFEST).unlink(), "is missing: not written by kft"),
        (lambda d: (d / versions.MANIFEST).write_text("{"), "cannot be read"),
        (lambda d: (d / versions.MANIFEST).write_text("[]"), "cannot be read"),
    ],
)
def test_the_manifest_names_what_changed(tmp_path, damage, reason):
    version = publish(tmp_path, "abcdef")
    assert versions.compare_manifest(version) == []
    damage(version)
    assert reason in " ".join(versions.compare_manifest(version))


def test_a_poller_beside_exporters_killed_at_random_sees_only_versions_that_serve(made, tmp_path):
    """A short form of benchmarks/export_kills.py, which kills 200."""
    command = [sys.executable, str(BENCHMARK), "--kills", "24"]
    command += ["--version", str(made("multi_label"))]  # quick to check
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failing"] == {}
    assert found["left"] == found["missed"] == []
    assert found["killed"] == 24
    assert found["checked"] >= 2, "too few exporters lived long enough to say anything"
    assert found["polls"] > 200
