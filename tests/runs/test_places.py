"""Allowed places for results."""

from pathlib import Path

import pytest
from PIL import Image

import kft
from kft.data.read import check_there
from kft.errors import InputError
from kft.export.versions import find_version, prune
from kft.runs.comparison import Comparison
from kft.runs.places import check_apart_from_data, check_run, is_empty
from tests.tiny_recipe import TinyRecipe

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


@pytest.fixture
def images(tmp_path):
    for number in range(8):
        place = tmp_path / "images" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number, 0, 0)).save(place / f"{number}.png")
    return tmp_path / "images"


def test_data_that_were_read_from_a_folder_know_it(images):
    """A run inside would be read as data by the next call that names the folder."""
    recipe = TinyRecipe(num_classes=2)
    examples = recipe.read(images)
    for one in (examples, examples.take([0, 1, 2, 3])):
        assert one.folder == str(images)
        calls = (
            lambda one=one: recipe.fit(one, run_dir=images / "a" / "run"),
            lambda one=one: recipe.fit(str(images), one, run_dir=images / "run"),
            lambda one=one: recipe.tune(one, run_dir=images / "run"),
            lambda one=one: kft.cross_validate(recipe, one, folds=2, run_dir=images / "run"),
        )
        for call in calls:
            with pytest.raises(InputError, match=r"`run_dir=.*` lies inside the data folder"):
                call()
    with pytest.raises(InputError, match=r"`run_dir=.*` lies inside the data folder"):
        kft.cross_validate(recipe, str(images), folds=2, run_dir=images / "run")
    assert sorted(path.name for path in images.iterdir()) == ["a", "b"]
    table = images.parent / "table.csv"
    table.write_text("path,label\nimages/b/1.png,a\nimages/a/0.png,b\n")
    assert recipe.read(table).folder is None


@pytest.mark.parametrize(
    "open_it",
    [
        check_run,
        kft.model_card,
        lambda path: Comparison.of([path]),
        find_version,
        lambda path: prune(path, keep=1),
        lambda path: check_there(str(path)),
    ],
)
def test_a_misspelt_directory_is_named_with_the_similar_one_that_exists(tmp_path, open_it):
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=f"did you mean {tmp_path / 'photos'}") as refused:
        open_it(tmp_path / "phots")
    assert "recipe.json" not in str(refused.value)


def test_a_directory_without_a_run_is_not_suggested_for_itself(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"it has no recipe\.json"):
        check_run(tmp_path / "photos")
    (tmp_path / "serving").touch()
    with pytest.raises(InputError, match="is not a directory: pass one"):
        find_version(tmp_path / "serving")
