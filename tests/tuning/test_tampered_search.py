"""Search directories that were tampered with."""

import json
import shutil

import pytest

from kft.errors import InputError, KftError
from kft.stages.stage import Stage
from kft.tuning.chief_journal import ChiefJournal
from kft.tuning.trials import Trial, read_trial, read_trials, trial_folder, write_trial

pytestmark = pytest.mark.once

VALUES = {"head_lr": 0.01, "dropout": 0.1, "augment": "light"}
TRIAL = Trial(
    number=1,
    values=VALUES,
    stages=(Stage(0, 1, 0.01),),
    arguments={"dropout": 0.1},
    augment="light",
    score=0.5,
    best_epoch=1,
    best_stage=1,
    epochs=1,
    seconds=2.0,
)


@pytest.fixture
def folder(tmp_path):
    folder = trial_folder(tmp_path / "trials", 1, VALUES)
    folder.mkdir(parents=True)
    write_trial(folder, TRIAL)
    return folder


def change(folder, **values):
    content = json.loads((folder / "trial.json").read_text())
    (folder / "trial.json").write_text(json.dumps({**content, **values}))


def test_a_trial_is_read_as_it_was_written(folder):
    assert read_trial(folder) == TRIAL
    change(folder, run_dir="run")
    assert read_trial(folder).run_dir == folder / "run"


@pytest.mark.parametrize(
    "values",
    [
        {"run_dir": "../../elsewhere"},
        {"run_dir": "/etc"},
        {"run_dir": 3},
        {"arguments": {"dropout": 0.9}},
        {"arguments": {"preset": "hf://stranger/model"}},
        {"arguments": []},
        {"augment": "strong"},
        {"values": {"head_lr": 0.02}},
        {"values": []},
        {"stages": [{"unfreeze": 0}]},
        {"stages": 3},
        {"stages": [[1]]},
        {"score": "high"},
        {"number": None},
        {"nonsense": 1},
        {"reason": ["a"]},
    ],
    ids=str,
)
def test_a_trial_that_no_search_has_written_is_refused_by_name(folder, values):
    """A resumed search uses the arguments, directories and stages in a trial's file."""
    change(folder, **values)
    with pytest.raises(InputError, match=r"trial\.json` is damaged"):
        read_trial(folder)


def test_a_trial_lies_in_the_folder_of_its_values(folder):
    other = shutil.copytree(folder, folder.with_name("002-0123456789"))
    with pytest.raises(InputError, match="its values are not those of its folder"):
        read_trial(other)
    with pytest.raises(InputError):
        read_trials(folder.parent)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"3",
        b'{"seconds": "a"}',
        b'{"seconds": 1}',
        b'{"seconds": 1, "end": "99", "score": 0.5}',
        b'{"seconds": 1, "over": []}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_minutes_that_no_chief_has_written_are_refused_by_name(tmp_path, line):
    class Oracle:
        trials: dict = {}  # noqa: RUF012

    (tmp_path / "chief.jsonl").write_bytes(line + b"\n")
    with pytest.raises(KftError, match=r"chief\.jsonl` is damaged"):
        ChiefJournal(tmp_path / "chief.jsonl").replay(Oracle())


def test_minutes_without_end_are_not_read(tmp_path):
    with (tmp_path / "chief.jsonl").open("wb") as file:
        file.truncate(10**11)  # sparse: takes no space on the disk
    with pytest.raises(InputError, match="at most"):
        ChiefJournal(tmp_path / "chief.jsonl").read()
