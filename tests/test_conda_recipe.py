"""The conda recipe has the version, the dependencies and the command of pyproject.toml."""

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import kft

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
RECIPE = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
CONTENT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONTENT["project"]
NAMES = {
    "matplotlib": "matplotlib-base",
    "ml-dtypes": "ml_dtypes",
}  # where conda-forge's are others
OF_PYTHON = {"python >=${{ python_min }}"}


def as_conda(requirements):
    """Return requirements of pip in the words of conda."""
    found = map(Requirement, requirements)
    return {f"{NAMES.get(one.name, one.name)} {one.specifier}" for one in found}


def test_the_dependencies_are_those_of_the_project():
    assert set(RECIPE["requirements"]["run"]) - OF_PYTHON == as_conda(PROJECT["dependencies"])
    assert len(RECIPE["requirements"]["run"]) == len(PROJECT["dependencies"]) + len(OF_PYTHON)


def test_it_is_built_by_the_backend_of_the_project():
    backend = as_conda(CONTENT["build-system"]["requires"])
    assert backend < set(RECIPE["requirements"]["host"])


def test_version_and_python_are_those_of_the_project():
    assert RECIPE["context"]["version"] == kft.__version__
    assert PROJECT["requires-python"] == f">={RECIPE['context']['python_min']}"


def test_the_command_and_what_is_said_about_it_are_those_of_the_project():
    entries = [f"{name} = {place}" for name, place in PROJECT["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == entries
    assert RECIPE["about"]["summary"] == PROJECT["description"]
    assert RECIPE["about"]["license"] == PROJECT["license"]
    place = ROOT / "conda" / RECIPE["source"]["path"]
    assert (place / RECIPE["about"]["license_file"]).is_file()
