"""House rules that a machine can check.

Imports point one way and are cheap, names are listed, files are short, and only one package knows
the differences of the backends.
"""

import importlib
import subprocess
import sys

import pytest

import kft
from tests.house import (
    ORDER,
    ROOT,
    backend_branches,
    circles,
    drawing,
    function_lengths,
    imports,
    modules,
    package,
)

pytestmark = pytest.mark.once

LONGEST_FILE = 300  # lines
LONGEST_FUNCTION = 60  # lines, without the docstring


def test_imports_point_one_way():
    """Including imports for type checkers, and imports in functions."""
    assert {package(name) for name in modules() if name.startswith("kft.")} == set(ORDER)
    for name, path in modules().items():
        for target in imports(path, typing=True):
            if name.startswith("recipes") or "." not in name:
                continue  # recipes may import all of kft, and `kft` itself re-exports
            assert not target.startswith("recipes"), f"{name}: kft knows no architecture by name"
            own, other = package(name), package(target)
            if other in ORDER:
                assert ORDER.index(other) <= ORDER.index(own), f"{name} must not import {target}"


def test_no_modules_import_one_another():
    assert circles() == []


def test_the_drawing_of_the_packages_is_the_one_of_today():
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"```\n{drawing()}\n```" in contributing, "put in what python tests/house.py prints"


def test_only_the_package_of_backends_knows_them_by_name():
    found = {
        name: branches
        for name, path in modules().items()
        if package(name) != "backends"
        and (branches := backend_branches(path.read_text(encoding="utf-8")))
    }
    assert found == {}, "ask kft.backends.backend() for what differs"


@pytest.mark.parametrize(
    "source",
    [
        "import keras\nif keras.backend.backend() == 'jax': pass",
        "import keras\nname = keras.config.backend()",
        "from keras.backend import backend",
        "from kft.backends import backend\nname = backend().name\nif name in ('jax', 'torch'): pass",
        "import os\nif os.environ['KERAS_BACKEND'] != 'torch': pass",
        "ways = {'jax': 1, 'torch': 2}",
        "match name:\n    case 'tensorflow': pass",
    ],
)
def test_a_branch_by_backend_is_found(source):
    assert backend_branches(source)


def test_asking_a_fact_is_no_branch_by_backend():
    source = "from kft.backends import backend\nif backend().has_fused_adam: print(backend().name)"
    assert backend_branches(source) == []


def test_no_file_is_long():
    lengths = {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()
    }
    assert {name for name, length in lengths.items() if length > LONGEST_FILE} == set()


def test_no_function_is_long():
    """Signatures of commands do not count, since they document the options."""
    found = {
        f"{name}.{function}": length
        for name, path in modules().items()
        for function, length in function_lengths(
            path.read_text(encoding="utf-8"), signatures=package(name) != "cli"
        ).items()
        if length > LONGEST_FUNCTION
    }
    assert found == {}, "give the steps of these functions names, as functions of their own"


def test_docstrings_and_a_command_s_options_are_no_lines_of_a_function():
    source = (
        "class A:\n"
        "    async def f(\n"
        "        self,\n"
        "        option=1,\n"
        "    ):\n"
        '        """One.\n'
        "\n"
        "        Two.\n"
        '        """\n'
        "        def inner():\n"
        "            return 1\n"
        "        return inner\n"
    )
    lengths = {"f, line 2": 7, "inner, line 10": 2}
    assert function_lengths(source) == lengths
    assert function_lengths(source, signatures=False) == {"f, line 2": 3, "inner, line 10": 1}


@pytest.mark.parametrize(
    "package",
    [
        "kft",
        "kft.callbacks",
        "kft.cli",
        "kft.insight.explain",
        "kft.export",
        "kft.tuning",
        "recipes",
    ],
)
def test_public_names_are_listed_sorted_and_there(package):
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(module.__all__)
    assert all(getattr(module, name) is not None for name in module.__all__)


def test_every_public_name_of_kft_is_in_all():
    assert sorted(kft._HOMES) == sorted(kft.__all__)
    assert set(kft.__all__) <= set(dir(kft))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'Stages'; it has .*KftError"):
        kft.Stages  # noqa: B018


@pytest.mark.parametrize("module", ["kft", "kft.cli", "kft.export.check"])
def test_importing_brings_no_framework(module):
    code = (
        f"import sys, {module}; "
        "print([m for m in ('tensorflow', 'keras', 'torch', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "[]"
