"""Progress of long work: a bar in terminals, lines in logs, and nothing on standard output."""

import io
import sys

import pytest

import kft
from kft.export.launch import check_version
from kft.report.progress import Progress, duration
from kft.tuning import rank
from tests.small_images import DenseRecipe, small_images

pytestmark = pytest.mark.once


class Terminal(io.StringIO):
    def isatty(self):
        return True


def use_terminal(monkeypatch):
    """Make standard error a terminal; not a fixture, since pytest replaces the stream after it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setattr(sys, "stderr", Terminal())
    return sys.stderr


@pytest.fixture
def at_once(monkeypatch):
    """Print lines at each step instead of twice a minute."""
    monkeypatch.setattr(Progress, "every", 0.0)


def test_a_log_gets_lines_with_the_time_left(capsys, at_once):
    with Progress("photos", total=4) as progress:
        for _ in range(4):
            progress.advance()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[0] == "photos: 1 of 4"  # no estimate from the first step
    assert [line.partition(", about")[0] for line in printed.err.splitlines()] == [
        f"photos: {done} of 4" for done in (1, 2, 3, 4)
    ]
    assert printed.err.splitlines()[-1] == "photos: 4 of 4, about 0 s left"


def test_the_first_step_does_not_count_for_the_time_left(monkeypatch):
    """It includes compilation: a test of 100 steps predicted 82 minutes after it."""
    now = [0.0]
    monkeypatch.setattr("kft.report.progress.time.monotonic", lambda: now[0])
    with Progress("photos", total=100, verbose=0) as progress:
        now[0] += 50
        progress.advance()
        assert progress.left is None
        now[0] += 1
        progress.advance()
        assert progress.left == 98
        now[0] += 3
        progress.advance()
        assert progress.left == 2 * 97


def test_lines_come_every_so_often_and_not_at_each_step(capsys):
    with Progress("photos", total=1000) as progress:
        for _ in range(1000):
            progress.advance()
    assert capsys.readouterr().err == ""


def test_a_notebook_without_widgets_gets_lines(capsys, monkeypatch, at_once):
    """Rich draws its bar there with ipywidgets, and warns where they are missing."""
    monkeypatch.setattr("kft.report.progress.in_notebook", lambda: True)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with Progress("photos", total=2, verbose=1) as progress:
        progress.advance()
    assert capsys.readouterr().err == "photos: 1 of 2\n"


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = use_terminal(monkeypatch)
    with Progress("photos", total=4) as progress:
        progress.advance(3)
        progress.say("[red] stays as it is")
    assert "photos" in terminal.getvalue()
    assert "3/4" in terminal.getvalue()
    assert "[red] stays as it is" in terminal.getvalue()


def test_what_is_piped_stays_in_the_pipe_beside_a_bar(monkeypatch, capsys):
    terminal = use_terminal(monkeypatch)
    with Progress("photos", total=4):
        print("an answer")
    assert capsys.readouterr().out == "an answer\n"
    assert "an answer" not in terminal.getvalue()


def test_a_bar_is_cleared_while_answers_are_printed(monkeypatch):
    terminal = use_terminal(monkeypatch)
    with Progress("photos", total=4) as progress:
        progress.advance()
        with progress.aside():
            terminal.write("an answer\n")
        progress.advance(3)
    before, _, after = terminal.getvalue().partition("an answer\n")
    assert before.endswith("\r\x1b[1A\x1b[2K"), "the line of the bar is empty again"
    assert "4/4" in after


def test_a_bar_without_a_total_shows_only_the_time_that_has_passed(monkeypatch):
    terminal = use_terminal(monkeypatch)
    with Progress("Exporting"):
        pass
    assert "Exporting" in terminal.getvalue()
    assert "0:00:00" in terminal.getvalue()
    assert "left" not in terminal.getvalue()


def test_the_check_of_a_version_shows_that_it_is_running(monkeypatch, tmp_path):
    terminal = use_terminal(monkeypatch)
    assert check_version(tmp_path)
    assert "Checking" in terminal.getvalue()


def test_work_of_unknown_length_is_counted(capsys, at_once):
    with Progress("lines") as progress:
        progress.advance(32)
    assert capsys.readouterr().err == "lines: 32 done\n"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (89, "89 s"), (300, "5 min"), (9000, "2.5 h")]
)
def test_times_are_in_the_unit_that_a_person_would_use(seconds, said):
    assert duration(seconds) == said


def test_a_range_test_says_how_far_it_is(capsys, at_once):
    stages = [kft.Stage(0, 1, 1e-2), kft.Stage(1, 1, 1e-3)]
    recipe = DenseRecipe(num_classes=2)
    kft.find_learning_rate(
        recipe, small_images(16), stages, steps=10, settle=5, batch_size=8, lowest=1e-4
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("stage 1 of 2, head: rising rates: 0 of 25")
    assert any("left" in line for line in lines)
    done, total = lines[-1].rpartition(": ")[2].partition(",")[0].split(" of ")
    assert done == total, "stages that end early, and settling left out, are taken off the total"


def test_a_range_test_can_be_silent(capsys, at_once):
    kft.find_learning_rate(
        DenseRecipe(num_classes=2), small_images(16), [kft.Stage(0, 1, 1e-2)],
        steps=10, batch_size=8, verbose=0,
    )  # fmt: skip
    assert capsys.readouterr() == ("", "")


def test_a_ranking_says_how_far_each_backbone_is(capsys, at_once):
    rank({"tiny": DenseRecipe(num_classes=2)}, small_images(16), batch_size=8)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("tiny (1 of 1): 1 of 2") for line in lines)


def test_a_search_says_how_far_its_trial_is_and_how_long_the_others_will_take(
    capsys, at_once, tmp_path
):
    DenseRecipe(num_classes=2).tune(
        small_images(16), small_images(8, seed=1), run_dir=tmp_path / "search", max_trials=3,
        max_epochs=4, stages=[kft.Stage(0, 2, 1e-2)], batch_size=8,
        space=lambda hp: hp.Float("head_lr", 1e-3, 1e-1),
    )  # fmt: skip
    out, err = capsys.readouterr()
    places = [line.partition(", about")[0] for line in err.splitlines() if "epochs" in line]
    assert places == [f"trials 1 to 2 of 3, epochs: {epoch} of 2" for epoch in (1, 2)], (
        "they train together"
    )
    first, second = (line for line in out.splitlines() if line.startswith("Trial"))
    assert "left" in first
    assert second.endswith("; about 0 s left"), "four epochs are trained, and no trial follows"


def test_what_is_done_at_once_gets_no_bar(monkeypatch):
    terminal = use_terminal(monkeypatch)
    now = [0.0]
    monkeypatch.setattr("kft.report.progress.time.monotonic", lambda: now[0])
    with Progress("photos", total=4, after=2.0) as progress:
        now[0] += 1.9
        progress.advance()
        assert terminal.getvalue() == ""
        now[0] += 0.1
        progress.advance()
        assert "photos" in terminal.getvalue()


def test_features_evaluation_and_answers_say_how_far_they_are(capsys, at_once):
    x, y = small_images(12)
    recipe = DenseRecipe(num_classes=2)
    stages = [kft.Stage(0, 1, 1e-3)]
    recipe.fit((x, y), stages=stages, cache=True, verbose=0)
    assert "frozen features" not in capsys.readouterr().err
    other = DenseRecipe(num_classes=2)
    run = other.fit((x, y), stages=stages, cache=True, verbose=2)
    said = capsys.readouterr().err
    counts = len(run.training), len(run.validation)
    for count in counts:
        assert f"Computing frozen features: {count} of {count}" in said
    assert f"Evaluating: {counts[1]} of {counts[1]}" in said
    recipe.predict(x)
    assert f"Predicting: {len(x)} of {len(x)}" in capsys.readouterr().err
