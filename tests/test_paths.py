"""Paths that name no file of any system, which every function refuses with an error of kft."""

from pathlib import Path

import numpy as np
import pytest

import kft
from kft.data.read import read
from kft.errors import InputError, KftError
from kft.export import launch
from kft.export.launch import check_version, export_run
from kft.family.reopening import reopen
from kft.family.run import Run
from kft.runs.comparison import Comparison
from kft.runs.places import check_apart_from_data
from kft.tasks import Segmentation
from kft.testing.families import TinyImages, TinyTexts, tiny_images
from recipes import MobileNetRecipe
from tests.small_images import TinyRecipe

pytestmark = pytest.mark.once

X, Y = tiny_images(4), ["a", "b"] * 2
LONG = "x" * 300  # the file systems of Linux and macOS allow 255 bytes
WRONG = [LONG, Path(LONG), "a/" * 3000, "a\0b", "\ud800", ""]


@pytest.fixture(scope="module")
def recipe():
    return TinyRecipe(num_classes=2, classes=["a", "b"])


@pytest.fixture(scope="module")
def masks():
    return TinyImages(task=Segmentation(("a", "b")), classes=["a", "b"])


CALLS = {
    "load": lambda path, **_: kft.load(path),
    "reopen": lambda path, **_: reopen(path),
    "model_card": lambda path, **_: kft.model_card(path),
    "save": lambda path, recipe, **_: recipe.save(path),
    "fit": lambda path, recipe, **_: recipe.fit(path),
    "run_dir": lambda path, recipe, **_: recipe.fit((X, Y), run_dir=path),
    "report": lambda path, recipe, **_: Run(recipe, {"loss": [1.0]}).report(path),
    "write": lambda path, recipe, **_: recipe.predict(X[:1]).write(path),
    "write pictures": lambda path, masks, **_: masks.predict(X[:1]).write(path),
    "predict": lambda path, recipe, **_: recipe.predict([path]),
    "export": lambda path, recipe, **_: recipe.export(path),
    "export_run": lambda path, **_: export_run(path, "serving"),
    "check_version": lambda path, **_: check_version(path) and 1 / 0,
    "weights": lambda path, **_: MobileNetRecipe(num_classes=2, weights=path).model,
    "preset": lambda path, **_: TinyTexts(path, num_classes=2).model,
    "find_learning_rate": lambda path, recipe, **_: kft.find_learning_rate(recipe, path),
}
# Their paths are read in another process, whose messages other tests check.
SLOW = {"export", "export_run", "check_version"}


@pytest.mark.parametrize(
    "path", WRONG, ids=["long", "long Path", "deep", "zero", "surrogate", "empty"]
)
@pytest.mark.parametrize("call", sorted(set(CALLS) - SLOW))
def test_a_path_that_no_file_has_is_refused(call, path, recipe, masks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KftError):
        CALLS[call](path, recipe=recipe, masks=masks)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [LONG, "file", "file/below"])
def test_a_place_that_can_hold_no_version_is_refused_at_once(recipe, tmp_path, monkeypatch, name):
    """And not after the recipe is saved and another process has built its model."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(launch, "_run", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(InputError, match="base_dir="):
        recipe.export(tmp_path / name)
    with pytest.raises(InputError, match="base_dir="):
        export_run(tmp_path, tmp_path / name)
    with pytest.raises(InputError, match="is not a finished run"):
        export_run(tmp_path, tmp_path / "serving")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("path", [b"abc", 5, None, "\ud800"])
@pytest.mark.parametrize(
    "call", ["load", "reopen", "model_card", "save", "write", "write pictures", *sorted(SLOW)]
)
def test_what_is_no_path_is_refused(call, path, recipe, masks):
    with pytest.raises(InputError, match="pass the path of"):
        CALLS[call](path, recipe=recipe, masks=masks)


def test_a_page_needs_the_path_of_a_file(recipe):
    with pytest.raises(InputError, match="pass the path of an HTML file"):
        Run(recipe, {"loss": [1.0]}).report(5)


def test_long_names_of_runs_are_named():
    for path in (LONG, "a/" * 3000):
        with pytest.raises(InputError, match="no such directory"):
            Comparison.of([Path(path)])


def test_an_unreadable_run_is_named(tmp_path, monkeypatch):
    """Python's `Path.is_file` raises PermissionError where `os.path.isfile` returns False."""
    monkeypatch.setattr(
        Path, "stat", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "no"))
    )
    with pytest.raises(InputError, match="contains no finished run"):
        Comparison.of([tmp_path])


def test_a_version_whose_name_begins_with_a_dash_is_no_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_version("--json") == check_version("./--json")
    assert np.all(["--json" in reason for reason in check_version("--json")])


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch, recipe):
    """A directory called ~ would be a trap for whoever removes it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert recipe.save("~/saved") == tmp_path / "home" / "saved"
    assert kft.load("~/saved", recipe=TinyRecipe).classes == ("a", "b")
    assert recipe.predict(X[:1]).write(Path("~/answers.csv")).parent == tmp_path / "home"
    (tmp_path / "home" / "texts.csv").write_text("text,label\none,a\ntwo,b\n")
    assert len(read("~/texts.csv", task="single_label", modality="text")) == 2
    with pytest.raises(InputError, match="lies inside the data folder"):
        check_apart_from_data({"run_dir": tmp_path / "home" / "run"}, ["~"])
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
