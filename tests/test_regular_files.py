"""Untrusted files are opened within a directory, and without links if these are not allowed."""

import pytest

from kft.errors import InputError
from kft.regular_files import lies_in, open_regular, read_regular, why
from kft.runs.reading import opened

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a file, a link to it, and a link out of the folder."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_bytes(b"four")
    (inside / "file").write_bytes(b"four")
    (inside / "link").symlink_to("file")
    (inside / "out").symlink_to(tmp_path / "secret")
    return inside


def test_a_link_may_lead_to_a_file_of_the_same_directory_only(folder):
    for name in ("file", "link"):
        with open_regular(folder / name, 4, within=folder) as file:
            assert file.read() == b"four"
    with pytest.raises(OSError) as raised:
        open_regular(folder / "out", 4, within=folder)
    assert why(raised.value).startswith(f"a link out of `{folder}`: replace it with a copy")
    assert read_regular(folder / "out", 4) == b"four"
    assert not lies_in(folder / "out", folder)


def test_a_link_is_no_file_where_none_is_followed(folder):
    assert read_regular(folder / "file", 4, follow=False) == b"four"
    with pytest.raises(OSError, match="a link, but a file is expected"):
        read_regular(folder / "link", 4, follow=False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out", "out` is a link out of .* if that is what you expect there.$"),
        (".", "is a folder, but a file is expected: restore it from a copy.$"),
        ("file", "file` is 4 bytes, but at most 3 are read: restore it from a copy.$"),
    ],
)
def test_a_file_of_a_run_is_refused_in_a_sentence(folder, name, said):
    with (
        pytest.raises(InputError, match=said),
        opened(folder / name, 3 + (name == "out"), within=folder),
    ):
        pass
