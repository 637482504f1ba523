"""Allowed places for results."""

from pathlib import Path

import pytest

from kft.errors import InputError
from kft.runs.places import check_apart_from_data, is_empty

pytestmark = pytest.mark.once


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    (tmp_path / "train.csv").touch()
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("place", "data"),
    [
        ("photos", "photos"),
        ("photos/runs/first", "photos"),
        ("photos/cats/first", "photos"),
        ("photos/../photos/run", "photos"),
        ("link/run", "photos"),
        ("photos/run", "link"),
        (".", "photos"),
        (".", "link"),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_place_among_the_data_is_refused(photos, monkeypatch, place, data, kind):
    monkeypatch.chdir(photos.parent)
    with pytest.raises(InputError, match=r"`run_dir=.*` (is|lies inside|holds) the data folder"):
        check_apart_from_data({"cache": None, "run_dir": kind(place)}, [None, kind(data)])


@pytest.mark.parametrize("place", ["photos-2", "runs/photos", "train.csv/run", "nowhere/photos"])
def test_a_place_beside_the_data_is_not(photos, monkeypatch, place):
    monkeypatch.chdir(photos.parent)
    check_apart_from_data({"run_dir": place}, ["photos", "train.csv", "mnist", ([1], [2]), None])


def test_a_directory_beside_a_table_is_not_among_the_data(photos):
    check_apart_from_data({"run_dir": photos.parent / "run"}, [photos.parent / "train.csv"])


def test_a_cache_may_hold_data_but_does_not_lie_among_them(photos):
    check_apart_from_data({"cache": photos.parent}, [photos])
    with pytest.raises(InputError, match=r"`cache=.*` is the data folder"):
        check_apart_from_data({"cache": photos}, [photos])


def test_an_empty_volume_is_empty(tmp_path):
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".snapshot").mkdir()
    (tmp_path / "state").mkdir()
    assert is_empty(tmp_path, besides=["state"])
    assert not is_empty(tmp_path)
