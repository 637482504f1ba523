"""The wheel: built, installed and used outside of the checkout."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    run(*build, "-w", folder, ROOT, cwd=folder)
    (built,) = folder.glob("kft-*.whl")
    return built


@pytest.fixture(scope="module")
def away(wheel, tmp_path_factory) -> Path:
    """Return a new environment with the wheel, and the dependencies of the testing environment."""
    folder = tmp_path_factory.mktemp("away")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        wheel,
        cwd=folder,
    )
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # .pth files in a path added by a .pth file are ignored, so an editable kft there is not found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_the_wheel_holds_the_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {"kft", "recipes"} == {top for top in tops if not top.endswith((".dist-info", ".data"))}
    (data,) = {name.partition("/")[2] for name in names if ".data/" in name and "kft-fit" in name}
    assert data == "data/share/man/man1/kft-fit.1"
    assert {"kft/py.typed", "recipes/py.typed", "kft/cli/__init__.py"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_command_runs_away_from_the_checkout(away):
    assert "fit" in run(away / "venv" / "bin" / "kft", "--help", cwd=away)


def test_the_manual_is_installed_where_man_looks_for_it(away):
    pages = {path.name for path in (away / "venv" / "share" / "man" / "man1").iterdir()}
    assert pages == {path.name for path in (ROOT / "man" / "man1").iterdir()}


def test_recipes_import_away_from_the_checkout(away):
    code = "import kft, recipes; print(kft.__file__, recipes.__file__, *recipes.__all__)"
    printed = run(away / "venv" / "bin" / "python", "-c", code, cwd=away)
    assert printed.count(str(away)) == 2, "the checkout's packages were imported, not the wheel's"
    assert "ResNetRecipe" in printed
