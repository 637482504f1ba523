"""A search in several processes: their roles, the chief's journal, and dead workers."""

import json
import subprocess
import sys
from pathlib import Path

import keras_tuner
import pytest
from keras_tuner.engine.trial import TrialStatus

import kft
from kft.tuning.bounds import Bounds
from kft.tuning.chief import Chief
from kft.tuning.chief_journal import ChiefJournal, end, give_back, values_of
from kft.tuning.fleet import Fleet
from kft.tuning.oracles import make_oracle
from kft.tuning.roles import Role, find_role
from kft.tuning.trials import Trial, trial_folder, write_trial
from kft.tuning.worker import Worker, wait_for_chief

once = pytest.mark.once


SECRET = "known to all of them"


def given(name, ip="127.0.0.1", port="8000", secret=SECRET):
    return {
        "KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": ip, "KERASTUNER_ORACLE_PORT": port,
        "KFT_TUNE_SECRET": secret,
    }  # fmt: skip


@once
def test_the_trials_outlive_a_worker_and_a_chief(tmp_path):
    """A worker dies during training and is not restarted; the chief dies and is restarted."""
    story = Path(__file__).with_name("workers_story.py")
    done = subprocess.run(
        [sys.executable, str(story), str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    logs = [path.read_text()[-2000:] for path in tmp_path.glob("*.log")]
    assert done.returncode == 0, (done.stderr[-2000:], logs)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["codes"] == [0, 0]
    assert told["ended_when_killed"] == 0, "the worker had not ended its trial"
    alone, workers = told["outcomes"]
    assert workers == alone
    assert alone["folders"] == len(alone["trials"]) == 3
    assert told["passes"][0] == told["passes"][1] > 0, "workers share the frozen features"
    assert [line["back"] for line in told["lines"] if "back" in line] == ["0"]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(told["secret"].encode() in path.read_bytes() for path in written)
    workers = {line["worker"] for line in told["lines"] if line.get("begin") == "0"}
    assert workers == {"worker-1", "worker-2"}


@once
def test_keras_tuners_environment_says_who_takes_part():
    assert find_role(None, {}) is None
    assert find_role(None, {"KERASTUNER_TUNER_ID": "tuner0"}) is None
    worker = find_role(None, given("worker-1", ip="10.0.0.5"))
    assert (worker.name, worker.host, worker.port) == ("worker-1", "10.0.0.5", 8000)
    assert not worker.is_chief
    assert find_role(None, given("chief")).is_chief


@once
@pytest.mark.parametrize(
    ("environment", "host", "said"),
    [
        (given("chief", ip="0.0.0.0"), None, "--host"),
        (given("chief", ip="10.0.0.5"), "10.0.0.6", "--host"),
        (given("chief", port="many"), None, "KERASTUNER_ORACLE_PORT='many'"),
        ({"KERASTUNER_ORACLE_IP": "127.0.0.1"}, None, "KERASTUNER_TUNER_ID"),
        (given("chief" * 100), None, "KERASTUNER_TUNER_ID has 500 characters"),
        (given("chief", secret=""), None, "KFT_TUNE_SECRET is not set"),
        (given("chief", secret="123"), None, "KFT_TUNE_SECRET has 3 characters, 16 are needed"),
        (given("worker-1", secret=""), None, "KFT_TUNE_SECRET is not set"),
    ],
)
def test_a_chief_listens_where_it_was_asked_to(environment, host, said):
    with pytest.raises(kft.InputError, match=said):
        find_role(host, environment)
    assert find_role("10.0.0.5", given("chief", ip="10.0.0.5")).is_chief


@once
def test_a_secret_is_made_as_the_message_says():
    with pytest.raises(kft.InputError) as refused:
        find_role(None, given("chief", secret=""))
    command = str(refused.value).rpartition("this makes one: ")[2]
    script = f'{command} && printf %s "$KFT_TUNE_SECRET"'
    made = [
        subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert made[0] != made[1]
    assert find_role(None, given("chief", secret=made[0])).secret == made[0]
    assert made[0] not in repr(find_role(None, given("chief", secret=made[0])))


def make(algorithm):
    space = keras_tuner.HyperParameters()
    space.Float("head_lr", 1e-3, 1e-1, sampling="log")
    space.Choice("unfreeze", [0, 1, 2])
    objective = keras_tuner.Objective("val_accuracy", "max")
    return make_oracle(
        algorithm, objective=objective, max_trials=8, hyperparameters=space, seed=3
    )  # fmt: skip


def prepared(oracle, folder):
    oracle._set_project_dir(str(folder), "oracle")  # as BaseTuner (KerasTuner 1.4.8) does
    oracle.max_retries_per_trial = 9
    return oracle


@once
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband", "grid"])
def test_a_new_oracle_goes_on_where_the_minutes_end(tmp_path, algorithm):
    oracle = prepared(make(algorithm), tmp_path / "first")
    journal = ChiefJournal(tmp_path / "chief.jsonl")

    def begin(worker):
        trial = oracle.create_trial(worker)
        journal.write(1.0, begin=trial.trial_id, worker=worker, values=values_of(trial))
        return trial

    first, second = begin("a"), begin("b")
    end(oracle, second.trial_id, 0.5)
    journal.write(2.0, end=second.trial_id, score=0.5)
    give_back(oracle, first.trial_id)
    journal.write(3.0, back=first.trial_id)
    assert begin("b").trial_id == first.trial_id, "taken from one worker, given to another"
    third = begin("c")
    end(oracle, third.trial_id, None)
    journal.write(4.0, end=third.trial_id, score=None)
    with journal.path.open("a") as file:
        file.write('{"begin": "torn')

    again = prepared(make(algorithm), tmp_path / "second")
    assert ChiefJournal(journal.path).replay(again) == {first.trial_id: 1}
    assert {n: t.trial_id for n, t in again.ongoing_trials.items()} == {"b": first.trial_id}
    assert again.trials[second.trial_id].score == 0.5
    assert values_of(again.create_trial("d")) == values_of(oracle.create_trial("d"))
    journal.path.write_text(journal.path.read_text().replace('"head_lr": 0', '"head_lr": 9'))
    with pytest.raises(kft.KftError, match="use the version"):
        ChiefJournal(journal.path).replay(prepared(make(algorithm), tmp_path / "third"))


@pytest.fixture
def chief(tmp_path):
    """Return a chief of two trials that does not listen, with a list of the trials that ended."""
    oracle = prepared(make("random"), tmp_path / "oracle")
    oracle.max_trials = 2
    heard = []
    made = Chief(oracle, tmp_path, tmp_path / "trials", heard.append)
    made.heard = heard
    return made


def report(chief, worker, trial, score=0.5):
    """Report the end of a trial like a worker."""
    number, values = int(trial.trial_id) + 1, trial.hyperparameters.values
    ended = Trial(number, dict(values), (), {}, None, score=score, epochs=3)
    write_trial(trial_folder(chief.trials_dir, number, values), ended)
    chief.end_trial(trial.trial_id)


@once
def test_a_silent_workers_trial_goes_to_another(chief):
    trial = chief.create_trial("a")
    assert chief.create_trial("a").trial_id == trial.trial_id, "that is how a worker shows life"
    chief.look_after(None)
    assert chief.create_trial("b").trial_id != trial.trial_id
    chief.patience = -1.0
    chief.look_after(None)
    chief.patience = 60.0
    assert {chief.create_trial(name).trial_id for name in ("c", "d")} == {"0", "1"}
    report(chief, "a", trial)  # its worker was only slow
    report(chief, "c", trial)
    assert [ended.number for ended in chief.heard] == [1]


@once
def test_a_trial_that_kills_its_workers_fails(chief):
    for name in "abc":
        trial = chief.create_trial(name)
        assert trial.trial_id == "0"
        chief.patience = -1.0
        chief.look_after(None)
        chief.patience = 60.0
    (failed,) = chief.heard
    assert failed.reason.startswith("3 workers died while they ran it")
    assert chief.create_trial("d").trial_id == "1"


@once
def test_nobody_is_sent_home_while_a_trial_may_come_back(chief):
    trials = [chief.create_trial(name) for name in "ab"]
    assert chief.create_trial("c").status == TrialStatus.IDLE
    for name, trial in zip("ab", trials, strict=True):
        report(chief, name, trial)
    assert chief.create_trial("c").status == TrialStatus.STOPPED


@once
@pytest.mark.parametrize("way", ["all trials", "no other trial"])
def test_a_chief_started_again_for_nothing_ends(chief, tmp_path, way, monkeypatch):
    """Its workers were told that the search is over, so that none is left to request a trial."""
    if way == "no other trial":
        chief.oracle.max_trials = 9
        chief.oracle.populate_space = lambda trial_id: {"status": TrialStatus.STOPPED}
    else:
        for name in "ab":
            report(chief, name, chief.create_trial(name))
    assert chief.create_trial("a").status == TrialStatus.STOPPED
    monkeypatch.setattr("kft.tuning.chief.GRACE", 0.0)
    heard = []
    oracle = prepared(make("random"), tmp_path / "again")
    oracle.max_trials = chief.oracle.max_trials
    again = Chief(oracle, tmp_path, chief.trials_dir, heard.append)
    again.run(Role("chief", "127.0.0.1", 0, SECRET))
    assert [ended.number for ended in heard] == [ended.number for ended in chief.heard]


@once
def test_a_bound_ends_the_search_of_a_chief(chief):
    chief.ended = lambda trial: "the limit of 3 epochs was reached"
    report(chief, "a", chief.create_trial("a"))
    assert chief.create_trial("a").status == TrialStatus.STOPPED
    assert chief.stopped == "the limit of 3 epochs was reached"


@once
def test_nobody_waits_for_ever(chief, tmp_path, monkeypatch):
    chief.absent = -1.0
    with pytest.raises(kft.KftError, match="no worker has asked"):
        chief.look_after(None)
    monkeypatch.setattr(Worker, "patience", 0.1)
    with pytest.raises(kft.KftError, match="no chief answers"):
        wait_for_chief(find_role(None, given("worker-1", port="1")), tmp_path / "search.json")


@once
def test_a_worker_that_cannot_begin_is_not_started_for_ever(tmp_path):
    command = [sys.executable, "-c", "exit('no data')"]
    fleet = Fleet(2, "127.0.0.1", tmp_path / "logs", SECRET, command)
    fleet.start(1)

    def watch():
        while True:
            fleet.look_after(set())

    with pytest.raises(kft.KftError, match=r"all workers have died.*\n(.*\n)*no data"):
        watch()
    fleet.stop()


@once
@pytest.mark.parametrize("bad", [{"trials": 0}, {"trials": 3, "epochs": 0}, {"trials": True}])
def test_bounds_are_numbers_above_zero(bad):
    with pytest.raises(kft.InputError, match="at least 1"):
        Bounds(**bad)


@once
def test_the_bound_by_epochs_counts_all_trials():
    bounds = Bounds(20, epochs=10)
    assert bounds.reached(1e9, 9) is None
    assert bounds.reached(0.0, 10) == "the limit of 10 epochs was reached"
    assert bounds.reached(0.0, 12) == "the limit of 10 epochs was reached, with 12 trained"
