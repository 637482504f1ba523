"""Commands that the help and the pages of docs/ show are accepted as they stand there."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from kft.cli import app
from kft.cli.project import read_project

pytestmark = pytest.mark.once

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = typer.main.get_command(app).commands


def in_help():
    for name, command in COMMANDS.items():
        for line in (command.help or "").splitlines():
            if line.strip().startswith("kft "):
                yield pytest.param(line.strip(), id=f"{name} --help: {line.strip()}")


def in_docs():
    for page in sorted(DOCS.glob("*.md")):
        for block in re.split(r"^```", page.read_text(), flags=re.MULTILINE)[1::2]:
            language, _, code = block.partition("\n")
            for line in code.replace("\\\n", " ").splitlines() if language in ("", "bash") else ():
                if found := re.search(r"(?:^|\s)((?:KFT_CONFIG=\S+ )?kft [a-z-].*)", line):
                    command = found[1].partition(" | ")[0]
                    yield pytest.param(command, id=f"{page.name}: {command}")


@pytest.mark.parametrize("line", [*in_help(), *in_docs()])
def test_a_command_that_is_shown_is_accepted(line, tmp_path):
    for command in line.split(" && "):
        _, *words = shlex.split(command.removeprefix("KFT_CONFIG=kft.yaml "), comments=True)
        has_file = command.startswith("KFT_CONFIG") or words[0] == "--config"
        if words[0] == "--config":
            words = words[2:]
        defaults = read_project(project_file(tmp_path), COMMANDS) if has_file else {}
        name, *rest = words
        context = COMMANDS[name].make_context(name, rest, default_map=defaults.get(name))
        assert not context.args


def project_file(folder):
    """Return the project file that the page on the command line shows."""
    page = (DOCS / "command_line.md").read_text()
    path = folder / "kft.yaml"
    path.write_text(re.search(r"```yaml\n(# kft.yaml\n.*?)```", page, re.DOTALL)[1])
    return path
