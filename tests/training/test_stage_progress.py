"""The progress of a fit in stages: one line that is redrawn in a terminal, or lines in a log file."""

import functools
import io
import re
import sys
import threading
import time

import keras
import numpy as np
import pytest

import kft
from kft.report.live_line import LiveLine, bar
from kft.report.ticker import Ticker
from kft.testing.families import TinyImages, tiny_images

STAGES = [kft.Stage(0, 2, 1e-2, name="head"), kft.Stage("all", 1, 1e-3, name="all")]
LABELS = ["a", "b"] * 12


def fit(callbacks=(), stages=STAGES, **settings):
    return TinyImages(num_classes=2).fit(
        (tiny_images(24), LABELS),
        (tiny_images(8), LABELS[:8]),
        stages=stages,
        batch_size=8,
        callbacks=list(callbacks),
        finish=kft.Finish(report=False),
        **settings,
    )


def left_on_screen(printed):
    """Return what a terminal finally shows, where a carriage return restarts the line."""
    rows = [row.replace("\x1b[K", "").split("\r")[-1] for row in printed.split("\n")]
    return "\n".join(rows)


def test_a_log_file_gets_a_line_an_epoch_and_one_that_sums_up_each_stage(capsys):
    run = fit(verbose=2)
    printed = capsys.readouterr().out
    assert not re.search(r"[\r\x1b]|Epoch", printed)
    value = r"[\d.e-]+"
    figures = rf"loss {value}, accuracy {value}, val_loss {value}, val_accuracy {value}"
    lines = [line for line in printed.splitlines() if line.startswith("stage ")]
    assert [line.split(":")[0] for line in lines] == [
        "stage 1/2 (head), epoch 1/2",
        "stage 1/2 (head), epoch 2/2",
        "stage 2/2 (all), epoch 1/1",
    ]
    for line in lines:
        assert re.fullmatch(rf".*: {figures}, rate {value}; \d+ s", line), line
    best = int(np.argmin(run.history["val_loss"][:2]))
    reached = f"{run.history['val_loss'][best]:.4g}"
    assert re.search(
        rf"^  2 epochs in \d+ s; epoch {best + 1} was best: val_loss {reached}$", printed, re.M
    )
    assert re.search(rf"^  1 epoch in \d+ s; val_loss {value}$", printed, re.M)


def test_where_ends_are_compared_a_stage_says_what_its_end_reached(capsys):
    run = fit(verbose=2, restore_best="ends", early_stopping=None)
    printed = capsys.readouterr().out
    reached = f"{run.history['val_loss'][1]:.4g}"
    assert re.search(rf"^  2 epochs in \d+ s; val_loss {reached}$", printed, re.M)
    assert re.search(r"^The model keeps the weights of epoch \d of the run", printed, re.M)


def test_a_stage_that_stops_early_says_after_how_many_epochs(capsys):
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=100.0)
    fit(verbose=2, stages=[kft.Stage(0, 5, 1e-2)], early_stopping=stop)
    assert re.search(r"^  stopped after \d epochs? of 5, in \d+ s", capsys.readouterr().out, re.M)


def test_the_line_at_a_terminal_is_drawn_anew_and_leaves_nothing(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    fit(verbose=1)
    printed = capsys.readouterr().out
    drawn = [part for part in re.split(r"[\r\n]", printed) if part.startswith("stage ")]
    assert drawn[0].startswith("stage 1/2 (head), epoch 1/2  ────")
    half = re.compile(r".*epoch 2/2  ━━━━━━━━────────  at most \d+ s left  loss [\d.]+  accuracy")
    assert any(half.match(part) for part in drawn)
    stays = left_on_screen(printed)
    assert not re.search(r"stage 1/2|━", stays)
    assert re.search(r"^Stage 2/2 \(all\): .*\n  1 epoch in \d+ s; val_loss", stays, re.M)


def test_the_line_shows_the_time_while_the_first_step_compiles(capsys, monkeypatch):
    monkeypatch.setattr("kft.training.stage_progress.Ticker", functools.partial(Ticker, every=0.01))
    slow = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: time.sleep(0.1))
    fit([slow], verbose=1)
    printed = capsys.readouterr().out
    waiting = re.findall(r"\rstage 1/2 \(head\), epoch 1/2  ─+  \d+ s\x1b", printed)
    assert len(waiting) > 2
    assert re.search(r"\rstage 1/2 \(head\), epoch 1/2  ━+─+  about \d+ s left  loss", printed)
    assert "kft-ticker" not in {thread.name for thread in threading.enumerate()}


def test_the_line_is_taken_away_where_a_fit_fails(capsys):
    def fail(batch, logs):
        raise ZeroDivisionError

    broken = keras.callbacks.LambdaCallback(on_train_batch_end=fail)
    with pytest.raises(ZeroDivisionError):
        fit([broken], verbose=1)
    printed = capsys.readouterr().out
    assert "stage 1/2 (head), epoch 1/2" in printed
    assert "stage 1/2 (head), epoch 1/2" not in left_on_screen(printed)


def test_nothing_is_said_where_that_is_asked_for(capsys):
    fit(verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.once
def test_a_solved_head_says_so_and_what_it_reached(capsys):
    fit(verbose=2, stages=[kft.Stage(0, solve=True), kft.Stage("all", 1, 1e-3)])
    printed = capsys.readouterr().out
    assert re.search(r"^Head solved on 24 examples.*\nstage 1/2 .*loss", printed, re.M)
    assert re.search(r"^  solved in \d+ s; val_\w+ [\d.e-]+$", printed, re.M)


@pytest.mark.once
def test_a_line_is_cut_to_the_terminal_and_to_what_it_can_print(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10")
    line = LiveLine()
    line.show("0123456789 and more")
    line.show("short")
    line.clear()
    line.clear()
    assert capsys.readouterr().out == "\r01234567…\x1b[K\rshort\x1b[K\r\x1b[K"


@pytest.mark.once
def test_a_notebook_shows_one_output_that_changes(capsys, monkeypatch):
    shown = []

    class Handle:
        def update(self, content, raw):
            shown.append(content["text/plain"])

    def display(content, raw, display_id):
        shown.append(f"new: {content['text/plain']}")
        return Handle()

    monkeypatch.setattr("kft.report.live_line.in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    line = LiveLine()
    for text in ("first", "second"):
        line.show(text)
    line.clear()
    line.show("third")
    assert shown == ["new: first", "second", "", "new: third"]
    assert capsys.readouterr().out == ""


@pytest.mark.once
def test_a_bar_is_of_letters_that_can_be_printed(monkeypatch):
    assert [bar(share, 4) for share in (0, 0.5, 1, 1.2)] == ["────", "━━──", "━━━━", "━━━━"]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert bar(0.5, 4) == "##--"
