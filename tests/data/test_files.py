import os
import socket

import pytest

from kft.data.files import shown
from kft.regular_files import open_regular, problem, read_regular, why

pytestmark = pytest.mark.once


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def make_folder(path):
    path.mkdir()


def make_link_to_a_device(path):
    path.symlink_to("/dev/zero")


def make_link_to_nowhere(path):
    path.symlink_to("nothing")


def make_link_to_itself(path):
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_pipe, "a named pipe, but a file is expected"),
        (make_socket, "a socket, but a file is expected"),
        (make_folder, "a folder, but a file is expected"),
        (make_link_to_a_device, "a device, but a file is expected"),
        (make_link_to_nowhere, "no such file"),
        (make_link_to_itself, "cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_what_is_no_regular_file_is_never_opened(make, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # paths of sockets must be short
    path = tmp_path / "x"
    make(path.relative_to(tmp_path) if make is make_socket else path)
    with pytest.raises(OSError) as raised:
        open_regular(path, 100)
    assert why(raised.value) == reason
    assert problem(path, 100) == reason


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"four")
    assert read_regular(path, 4) == b"four"
    with path.open("r+b") as file:
        file.truncate(10**12)
    with pytest.raises(OSError) as raised:
        read_regular(path, 1000)
    assert why(raised.value) == "1,000,000,000,000 bytes, but at most 1,000 are read"


def test_a_file_whose_size_is_not_known_is_read_whole(tmp_path, monkeypatch):
    """Files in /proc and on some network drives report a size of 0, others an outdated one."""
    path = tmp_path / "x"
    path.write_bytes(b"four")
    sizeless = os.stat_result([*os.stat(path)[:6], 0, *os.stat(path)[7:]])
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", lambda path, **follow: sizeless)
        patched.setattr(os, "fstat", lambda descriptor: sizeless)
        assert read_regular(path, 100) == read_regular(path, 4) == b"four"
        with pytest.raises(OSError, match="larger than 3 bytes"):
            read_regular(path, 3)


def test_a_file_nobody_may_read_says_so(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"four")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(OSError) as raised:
        open_regular(path, 100)
    assert why(raised.value) == "cannot be read (Permission denied)"


def test_every_name_can_be_printed():
    assert shown("photos/Gänseblümchen 蒲公英.png") == "photos/Gänseblümchen 蒲公英.png"
    assert shown(os.fsdecode(b"caf\x82\n.png")) == r"caf\x82\n.png"
    assert len(shown("a/" * 2000)) < 500
    assert problem("a\0b", 100) == "no such file"
