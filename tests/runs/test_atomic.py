"""Directories are written atomically: with all of their files, or not at all."""

import os
import signal
from pathlib import Path

import pytest

from kft.errors import InputError
from kft.runs.atomic import being_written, try_writing
from kft.runs.places import RECIPE

pytestmark = pytest.mark.once


def test_a_directory_that_fails_to_be_written_does_not_appear(tmp_path):
    def write_half():
        with being_written(tmp_path / "run") as hidden:
            (hidden / "half").write_text("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write_half()
    assert not list(tmp_path.iterdir())


def test_an_existing_directory_is_written_from_within(tmp_path):
    """It may be a mount point, have a read-only parent, or have a name of the maximum length."""
    directory = tmp_path / ("n" * 255)
    directory.mkdir()
    with being_written(directory) as hidden:
        assert hidden.parent == directory
        assert list(tmp_path.iterdir()) == [directory]
        (hidden / "new").write_text("new")
    assert [path.name for path in directory.iterdir()] == ["new"]


def test_a_new_directory_may_have_the_longest_name_and_appears_at_once(tmp_path):
    directory = tmp_path / ("n" * 255)
    with being_written(directory) as hidden:
        (hidden / "new").write_text("new")
        assert not directory.exists()
    assert [path.name for path in directory.iterdir()] == ["new"]


def test_what_load_looks_for_comes_last_into_an_existing_directory(tmp_path, monkeypatch):
    """If the process is killed earlier, the directory holds no run rather than one without weights."""
    names = ["history.json", RECIPE, "weights.safetensors"]
    order, replace = [], Path.replace

    def noted(self, target):
        order.append(Path(target).name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    with being_written(tmp_path) as hidden:
        for name in names:
            (hidden / name).touch()
    assert sorted(order) == names
    assert order[-1] == RECIPE


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # the child does not use JAX
@pytest.mark.parametrize("place", ["new", "there"])
def test_what_a_killed_process_has_half_written_is_removed_by_the_next(tmp_path, place):
    directory = tmp_path / "there" / place
    directory.parent.mkdir()
    if place == "there":
        directory.mkdir()
    child = os.fork()
    if not child:
        with being_written(directory) as hidden:
            (hidden / "half").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert list((tmp_path / "there").rglob("half"))
    with being_written(directory) as hidden:
        (hidden / "whole").write_text("whole")
    assert {path.name for path in (tmp_path / "there").rglob("*")} == {place, "whole"}


def test_what_would_fail_at_the_end_fails_when_it_is_tried(tmp_path, monkeypatch):
    try_writing(tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())

    def refused(self, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(InputError, match=r"run` cannot be written to \(.*cross-device"):
        try_writing(tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())
