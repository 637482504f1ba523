"""Bars only in terminals, one line per epoch in logs, and shell completion."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from rich.table import Table

import kft
from kft.insight.range_test import LearningRates
from kft.printing import as_text, captioned
from kft.report.terminal import shows_progress
from kft.tasks.evaluation import show
from kft.tasks.evaluation.content import Table as Figures
from kft.tuning.selection import Candidate, Ranking

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("terminal", "no_color", "expected"), [(True, "", True), (False, "", False), (True, "1", False)]
)
def test_bars_are_for_terminals_that_may_redraw(terminal, no_color, expected, monkeypatch):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    assert shows_progress() is expected


def test_a_log_gets_a_line_an_epoch(capsys):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(4, name="body")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(hidden))
    model.compile("adam", "mse")
    x = np.zeros((64, 4), "float32")
    stages = [kft.Stage(0, epochs=3, learning_rate=1e-3)]
    kft.fit_in_stages(model, x, x[:, :1], stages=stages, batch_size=4, cache=False)
    printed = capsys.readouterr().out
    assert printed.count("stage 1/1 (head), epoch ") == 3
    assert not {"\b", "\r", "\x1b"} & set(printed)


def test_a_shell_completes_commands():
    asked = {"_KFT_COMPLETE": "complete_bash", "COMP_WORDS": "kft fi", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['kft']; from kft.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, text=True, capture_output=True
    )
    assert done.stdout.split() == ["fit", "find-lr"]


@pytest.mark.parametrize("columns", [60, 90])
@pytest.mark.parametrize(
    "shown",
    [
        LearningRates("a recipe", ()),
        Ranking((Candidate("a recipe", 0.5, 0.1, 1_280, 2.0),), 100),
    ],
    ids=lambda one: type(one).__name__,
)
def test_tables_are_as_wide_as_the_terminal(shown, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert max(map(len, str(shown).splitlines())) <= columns


BY_CLASS = Figures(
    "By class",
    ("class", "precision", "recall", "F1", "ROC AUC", "avg. precision", "examples", "predicted"),
    (("cat", 0.875, 1.0, 0.9, 0.92, 0.918, 1_500, 16), ("dog", 0.9286, 0.8, 0.9, 0.9, 0.9, 15, 14)),
)


@pytest.mark.parametrize(("columns", "has_lines"), [(80, False), (110, True)])
def test_an_evaluation_fits_the_terminal_and_shows_each_figure_in_full(
    columns, has_lines, monkeypatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    printed = show.as_text([BY_CLASS, BY_CLASS])
    assert max(map(len, printed.splitlines())) <= columns
    assert {"0.8750", "0.9286", "1,500"} <= set(printed.split())
    assert ("│" in printed) is has_lines
    assert "\n\nBy class" in printed


def test_a_table_that_does_not_fit_breaks_no_word(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    table = Table("stage", "trains", "lowest loss", "ended by")
    table.add_row("all", "head and 5 blocks", "4.2e-05", "divergence")
    printed = as_text(captioned("Rates", table))
    assert max(map(len, printed.splitlines())) <= 40
    assert {"4.2e-05", "divergence", "lowest", "blocks"} <= set(printed.split())


def test_what_stands_around_a_table_is_not_broken_to_its_width():
    table = Table()
    table.add_column("n")
    lines = as_text(
        captioned("Rates for a model with a long name", table, "a word of warning")
    ).splitlines()
    assert (lines[0], lines[-1]) == ("Rates for a model with a long name", "a word of warning")
