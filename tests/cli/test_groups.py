"""Dataclasses as parameters of commands: each field is an option, and the command gets the object."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from kft.cli.groups import grouped

pytestmark = pytest.mark.once


@dataclass(frozen=True, kw_only=True)
class Size:
    height: Annotated[int, typer.Option(min=1, help="In pixels.")]
    width: Annotated[int, typer.Option("--across")] = 7


@pytest.fixture
def run():
    app = typer.Typer()

    @app.command()
    @grouped
    def show(name: str, size: Size, loud: bool = False) -> None:
        """Shows what it got."""
        print(name, size, loud)

    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_fields_are_options_with_their_own_names_and_defaults(run):
    outcome = run("a", "--height", "3")
    assert outcome.stdout == f"a {Size(height=3, width=7)} False\n", outcome.output
    assert run("a", "--height", "3", "--across", "2", "--loud").stdout == (
        f"a {Size(height=3, width=2)} True\n"
    )


def test_a_field_without_a_default_must_be_given_and_bounds_hold(run):
    assert run("a").exit_code == run("a", "--height", "0").exit_code == 2
    shown = run("--help").stdout
    assert "In pixels." in shown
    assert "Shows what it got." in shown
