"""Runs from someone else: any value in their files gives a card and a table, or an error that names them."""

import contextlib
import copy
import json

import pytest

import kft
from kft.errors import KftError
from kft.runs.comparison import Comparison
from tests.runs.test_card import JOURNAL, described

pytestmark = pytest.mark.once

TEXT = "\x1b[2J[red]<b>\n# head `code`"
WRONG = [None, True, -1, 1e300, float("nan"), 10**39, "", TEXT, [], ["x"], [[1]], {}, {"a": [1]}]
BASE = json.loads(json.dumps({"recipe.json": described(), "journal.json": JOURNAL}))


def places(value, above=()):
    """Yield the path of each value in a tree."""
    yield above
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*above, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from places(value[index], (*above, index))


def changed(tree, path, value):
    """Return a copy of a tree with another value at a path, without it if the value is `places`."""
    made = copy.deepcopy(tree)
    parent = made
    for key in path[:-1]:
        parent = parent[key]
    if value is places:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return made


@pytest.fixture
def run(tmp_path):
    """Return a function that writes the files of a run."""

    def write(files):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content))
        return folder

    return write


@pytest.mark.parametrize("value", [*WRONG, places], ids=lambda value: repr(value)[:9])
def test_any_value_makes_a_card_and_a_table_or_a_named_error(run, tmp_path, value):
    run(BASE).rename(tmp_path / "whole")
    for path in list(places(BASE))[1:]:
        folder = run(changed(BASE, path, value))
        with contextlib.suppress(KftError):
            card = kft.model_card(folder)
            rest = card.replace(r"\<b\>", "").replace(r"\`code\`", "").replace(r"\# head", "")
            assert not any(sign in rest for sign in ("\x1b", "<b>", "`code`", "# head")), path
        with contextlib.suppress(KftError):
            table = Comparison.of([tmp_path / "whole", folder])
            assert "\x1b" not in str(table), path
            assert json.loads(table.as_json()), path
            assert table.as_csv().isascii(), path


def test_an_address_is_no_link(run):
    names = ["see https://a.example", "www.b.example", "ftp://c", "a: b"]
    card = kft.model_card(run({**BASE, "recipe.json": described(classes=names)}))
    assert r"see https\://a.example, www\.b.example, ftp\://c, a: b." in card


def test_brackets_in_the_name_of_a_figure_are_shown(run):
    figures = {"[red]loss": {"value": 0.5, "interval": None, "better": "min"}}
    folder = run({**BASE, "journal.json": {**JOURNAL, "figures": figures}})
    assert "[red]loss" in str(Comparison.of([folder]))
