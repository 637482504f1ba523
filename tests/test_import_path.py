"""Modules in the working directory never shadow installed ones, whatever their names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

import kft
from kft.cli import build, processes
from kft.cli.demo.recipe import DigitsRecipe
from kft.errors import InputError
from kft.import_path import class_at, import_named, installed_path, place_of
from tests.small_images import TinyRecipe
from tests.traps import lay_traps

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
LIBRARY = os.path.dirname(os.__file__)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Change to an untrusted working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("variable", "path", "kept"),
    [
        ("", ["", LIBRARY, "/site"], [LIBRARY, "/site"]),
        ("", ["{here}", LIBRARY, "/site"], [LIBRARY, "/site"]),
        ("", ["{link}", LIBRARY, "/site"], [LIBRARY, "/site"]),
        ("", ["/scripts", LIBRARY, "/site", ""], ["/scripts", LIBRARY, "/site"]),
        (":/other", ["{here}", "/other", LIBRARY], ["/other", LIBRARY]),
        (".", ["{here}", LIBRARY], [LIBRARY]),
        ("{here}", ["", "{here}", LIBRARY], ["{here}", LIBRARY]),
        ("", [LIBRARY, "/site", "{here}"], [LIBRARY, "/site", "{here}"]),
    ],
    ids=[
        "of -c",
        "of -m",
        "by a link",
        "at the end",
        "an empty part of PYTHONPATH",
        "a dot in PYTHONPATH",
        "named in PYTHONPATH",
        "of an editable install",
    ],
)
def test_the_working_directory_is_no_place_for_modules(here, monkeypatch, variable, path, kept):
    (here.parent / "link").symlink_to(here)
    places = {"here": str(here), "link": str(here.parent / "link")}
    monkeypatch.setenv("PYTHONPATH", variable.format(**places))
    found = installed_path([entry.format(**places) for entry in path])
    assert found == [entry.format(**places) for entry in kept]


def test_a_directory_that_holds_kft_itself_stays(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert installed_path([str(ROOT), LIBRARY]) == [str(ROOT), LIBRARY]


def test_a_working_directory_that_was_removed_is_none(here):
    here.rmdir()
    assert installed_path(["", "/site"]) == ["/site"]


def test_a_module_that_a_person_named_is_found_last_in_the_working_directory(here, monkeypatch):
    monkeypatch.setattr(sys, "path", installed_path(sys.path))
    (here / "kft_mine.py").write_text("import json\nfrom kft_beside import value\n")
    (here / "kft_beside.py").write_text("value = 3\n")
    (here / "json.py").write_text("raise SystemExit('a stranger is json')")
    before = list(sys.path)
    assert import_named("json").dumps({}) == "{}"
    assert sys.path == before, "an installed module needs no working directory"
    try:
        assert import_named("kft_mine").value == 3
        assert sys.path == [*before, str(here)]
    finally:
        for name in ("kft_mine", "kft_beside"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["", ".", "..", ".mine", "mine.", "a b", "a-b", "../mine", "1"])
def test_what_is_no_modules_name_is_no_module(name):
    with pytest.raises(ModuleNotFoundError):
        import_named(name)
    with pytest.raises(InputError, match=r"there is no module|is not (there|a name)"):
        build.find_recipe(f"{name}:Recipe")


MINE = """
from dataclasses import dataclass
from kft.cli.demo.recipe import DigitsRecipe

@dataclass(kw_only=True, eq=False)
class Mine(DigitsRecipe):
    pass
"""
DRIVER = """
import json, sys
from kft.cli import main

for arguments in json.loads(sys.argv[1]):
    sys.argv = ["kft", *arguments]
    try:
        main()
    except SystemExit as ended:
        print("ended", ended.code, flush=True)
"""


def test_no_command_imports_a_module_of_the_working_directory_or_of_the_run(here):
    """Both the directory and the run contain a `keras.py`; commands start like an installed script."""
    sprung = lay_traps(here)
    run = DigitsRecipe(num_classes=2, classes=["a", "b"]).save(here / "runs" / "photos")
    sprung_by_run = lay_traps(run)
    evil = DigitsRecipe(num_classes=2).save(here / "runs" / "evil")
    content = json.loads((evil / "recipe.json").read_text())
    content["class"] = "runs.photos.keras:Recipe"
    (evil / "recipe.json").write_text(json.dumps(content))
    for label in "ab":
        (here / "data" / label).mkdir(parents=True)
        for number in range(3):
            pixels = np.full((16, 16, 3), 40 * number + ord(label), "uint8")
            Image.fromarray(pixels).save(here / "data" / label / f"{number}.png")
    (here / "mine.py").write_text(MINE)
    (here / "stages.yaml").write_text("[{unfreeze: 0, epochs: 1, learning_rate: 0.01}]")
    (here.parent / "driver.py").write_text(DRIVER)
    data = ["--data", "data"]
    commands = [
        ["predict", "runs/photos", "data/a/0.png"],
        ["evaluate", "runs/photos", *data],
        ["predict", "runs/evil", "data/a/0.png"],
        ["plan", "MobileNetRecipe", "--image-size", "32"],
        ["fit", "mine:Mine", *data, "--run-dir", "runs/mine", "-q", "--stages", "stages.yaml"],
        ["predict", "runs/mine", "data/a/0.png"],
        ["predict", "runs/mine", "data/a/0.png", "--recipe", "mine:Mine"],
    ]
    settings = {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(here.parent / "driver.py"), json.dumps(commands)],
        cwd=here,
        env=os.environ | settings,
        text=True,
        capture_output=True,
    )
    ended = [line for line in done.stdout.splitlines() if line.startswith("ended")]
    assert ended == [f"ended {code}" for code in (0, 0, 2, 0, 0, 2, 0)], done.stderr[-3000:]
    assert "`runs.photos.keras:Recipe`, which does not come with kft" in done.stderr
    assert "or on the command line --recipe mine:Mine" in done.stderr
    assert not sprung.exists(), sprung.read_text()
    assert not sprung_by_run.exists(), sprung_by_run.read_text()


def test_python_m_kft_imports_nothing_of_the_working_directory(here):
    sprung = lay_traps(here, but=("kft",))  # `-m` runs the first kft on the path
    done = subprocess.run(
        [sys.executable, "-m", "kft", "--version"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
    )
    assert done.stdout == f"{kft.__version__}\n", done.stderr
    assert not sprung.exists(), sprung.read_text()


def test_processes_that_a_command_starts_import_nothing_of_it(here, monkeypatch, capfd):
    sprung = lay_traps(here)
    monkeypatch.setattr(sys, "argv", ["kft", "--version"])
    with pytest.raises(typer.Exit) as ended:
        processes.start(2)
    assert (ended.value.exit_code, capfd.readouterr().out) == (0, f"{kft.__version__}\n")
    assert not sprung.exists(), sprung.read_text()


def test_a_class_is_imported_by_another_process_from_where_it_lies():
    assert place_of(TinyRecipe) == ROOT
    assert place_of(DigitsRecipe) == ROOT
    assert class_at("tests.small_images:TinyRecipe", ROOT) is TinyRecipe


def test_a_class_that_another_process_cannot_import_is_named(here, monkeypatch):
    class Local(TinyRecipe):
        pass

    with pytest.raises(InputError, match="Local, which was defined in a script, a notebook or"):
        place_of(Local)
    monkeypatch.setattr(TinyRecipe, "__module__", "__main__")
    with pytest.raises(InputError, match="move it to its own module"):
        TinyRecipe(num_classes=2).export(here / "serving")
    assert not list(here.iterdir())


def test_a_module_with_the_name_of_an_installed_one_is_not_taken_for_it(here, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (here / "json.py").write_text(MINE)
    with pytest.raises(InputError, match="rename your module"):
        class_at("json:JSONDecoder", here)
