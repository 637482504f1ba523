"""Any command line is accepted or rejected in one line, never with a traceback.

The options are taken from the parameters of all commands, so new ones are included. Nothing is
trained: a command ends where its function would read the data or start its work.
"""

import sys

import numpy as np
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kft.cli import app, main
from kft.data.read import read
from kft.local_server import LocalServer
from kft.recipe.recipe import Recipe
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once

COMMANDS = typer.main.get_command(app).commands
NUMBERS = [
    *("-1", "0", "1", "7", "0.5", "1.5", "-0.0", "nan", "inf", "-inf", "1e400", "1e-400", "1e39"),
    *("9" * 400, "9" * 5000, "2147483648", "-9223372036854775809", "1_000", "0x10", "1e3", "+3"),
    *("\uff14\uff10", "\u0663", "\u00b2", "100000", "100000x100000", "1x", "x1", "3x4x5", "8,,8"),
]
TEXTS = [
    *("", " ", "none", "None", "null", "~", "true", "yes", "[", "[1]", "[[1]]", "{a: 1}", "'", '"'),
    *("&a [*a]", "!!int 'x'", "!!python/none", "a: b: c", "\\", "a\nb", "\x1b[2J", "\ud800", "%s"),
    *("a" * 300, "a b", "=", "a=b", "=b", "a.b", "-", ":", "a:b", ".:x", ":x", "x:", "a b:c", "{}"),
    *("os.path:sep", "kft.recipe.recipe:Recipe", "kft.recipe.image:ImageRecipe", "`x=1`"),
]
PATHS = ["/dev/zero", "/dev/null", "nowhere/x", "file/below", "file", "table.tsv", "x" * 300]
NAMES = [
    *("alpha", "name", "classes", "dropout", "hidden", "image_size", "num_classes", "pooling"),
    *("precision", "seed", "task", "weight_decay", "weights", "label_smoothing", "__class__", "n"),
]
ANY = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.sampled_from(PATHS), st.text(max_size=9)
)
SETTINGS = st.tuples(st.sampled_from(NAMES), ANY).map("=".join) | ANY
NEEDED = {
    "fit": ["tests.tiny_recipe:TinyRecipe", "--data", "data", "--run-dir", "run"],
    "tune": ["tests.tiny_recipe:TinyRecipe", "--data", "data", "--run-dir", "run"],
    "find-lr": ["tests.tiny_recipe:TinyRecipe", "--data", "data"],
    "cross-validate": ["tests.tiny_recipe:TinyRecipe", "--data", "data"],
    "select": ["tests.tiny_recipe:TinyRecipe", "--data", "data"],
    "plan": ["tests.tiny_recipe:TinyRecipe"],
    "evaluate": ["run", "--data", "data"],
    "predict": ["run", "--text", "hello"],
    "generate": ["run", "--prompt", "hello"],
    "serve": ["run"],
    "card": ["run"],
    "report": ["run", "--data", "data"],
    "runs": ["run"],
    "export": ["run", "serving"],
    "config": [],
    "deploy": ["serving", "--to", "docker", "--output", "out"],
    "init": [],
    "demo": [],
}


class Reached(SystemExit):
    """Raised when the command would start its work."""


def stop(*args, **kwargs):
    raise Reached(0)


@pytest.fixture
def stopped(monkeypatch, tmp_path):
    """Work in a new folder with data and a run, and stop commands before their work."""
    images = np.zeros((4, 16, 16, 3), "uint8")
    examples = read((images, list("abab")), task="single_label", modality="image")
    recipe = TinyRecipe(num_classes=2, classes=["a", "b"])

    def read_any(source, **arguments):
        if source != "data":
            read(source, **arguments)
            raise Reached(0)
        return examples

    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "table.tsv").write_text("text\tlabel\none\ta\ntwo\tb\n")
    monkeypatch.setattr("kft.data.read.read", read_any)
    monkeypatch.setattr("kft.family.saving.load", lambda *args, **kwargs: recipe)
    monkeypatch.setattr(Recipe, "read", stop)
    monkeypatch.setattr(Recipe, "predict", stop)
    monkeypatch.setattr(LocalServer, "serve_forever", stop)
    for work in ("kft.export.launch._run", "kft.cli.demo.run_demo", "kft.cli.processes.launch"):
        monkeypatch.setattr(work, stop)


def words_of(command):
    """Return a strategy for command lines with required arguments and options with arbitrary values."""

    def option(parameter):
        name = max(parameter.opts, key=len)
        values = SETTINGS if name == "--set" else ANY
        if getattr(parameter, "is_flag", False):
            return st.sampled_from([[one] for one in (*parameter.opts, *parameter.secondary_opts)])
        if not name.startswith("-"):
            return values.map(lambda value: [value])
        return values.map(lambda value: [f"{name}={value}"])

    options = [option(one) for one in COMMANDS[command].params if "--help" not in one.opts]
    return st.lists(st.one_of(options), min_size=1, max_size=3).map(
        lambda chosen: [command, *NEEDED[command], *(word for words in chosen for word in words)]
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_any_values_of_any_options(stopped, monkeypatch, capsys, command):
    @settings(
        max_examples=40,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(words=words_of(command))
    def check(words):
        monkeypatch.setattr(sys, "argv", ["kft", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        err = capsys.readouterr().err.replace(
            "kft: the model starts from random weights: nothing is pretrained.\n", ""
        )
        assert (ended.value.code or 0) in (0, 2), words
        if ended.value.code == 2:
            assert err.startswith("kft: "), words
            assert err.count("\n") == 1, err

    check()


@pytest.mark.parametrize(
    "words", [["plan", "a:B", "1" * 10**6], ["fit", "--epochs=" + "a" * 10**6]]
)
def test_a_word_without_end_is_not_repeated(stopped, monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["kft", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err) < 1000
