"""Commands that the help and the pages of docs/ show are accepted as they stand there."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from kft.cli import app

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
                if found := re.search(r"(?:^|\s)(kft [a-z].*)", line):
                    command = found[1].partition(" | ")[0]
                    yield pytest.param(command, id=f"{page.name}: {command}")


@pytest.mark.parametrize("line", [*in_help(), *in_docs()])
def test_a_command_that_is_shown_is_accepted(line):
    _, name, *words = shlex.split(line, comments=True)
    context = COMMANDS[name].make_context(name, words)
    assert not context.args
