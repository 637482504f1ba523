"""The manual pages are those of today's commands: `python man/write.py` writes them."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from kft.cli import app
from kft.cli.environment import variables_of

pytestmark = pytest.mark.once

MAN = Path(__file__).parents[2] / "man"
COMMANDS = typer.main.get_command(app).commands
WRITE_AGAIN = "run man/write.py, and look at the difference"


@pytest.fixture(scope="module")
def written():
    """Return the pages of today's commands."""
    spec = importlib.util.spec_from_file_location("write", MAN / "write.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


def page(name):
    return (MAN / "man1" / f"kft-{name}.1").read_text(encoding="utf-8")


def test_there_is_a_page_for_each_command_and_no_other(written):
    names = {path.name for path in (MAN / "man1").iterdir()}
    assert names == {"kft.1", *(f"kft-{name}.1" for name in COMMANDS)} == set(written)


def test_the_pages_are_those_of_today(written):
    for name, content in written.items():
        assert (MAN / "man1" / name).read_text(encoding="utf-8") == content, WRITE_AGAIN


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_each_option_and_variable(name):
    text = page(name).replace("\\-", "-")
    for parameter in COMMANDS[name].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if parameter.param_type_name == "option":
                assert f"\\fB{option}\\fR" in text
        if parameter.param_type_name == "argument":
            assert f"\\fI{parameter.metavar or parameter.name.upper()}\\fR" in text
    assert all(f"\\fB{variable}\\fR" in text for variable in variables_of(name))


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff")
def test_the_pages_are_formatted_without_warnings(written):
    for content in written.values():
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z"], input=content, text=True, capture_output=True
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_what_roff_would_read_as_a_request_stays_text(written):
    for content in written.values():
        for line in content.splitlines():
            request = line.partition(" ")[0]
            assert not line.startswith("'")
            if line.startswith("."):
                assert request in (".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi")
