"""Trials of the head alone have the same results together as one by one."""

import json
from dataclasses import dataclass

import keras
import numpy as np
import pytest

import kft
from kft.stages.schedules import WarmupSchedule
from kft.training.stacked_layers import StackedSchedule
from kft.training.together import HeadsRecorder
from kft.tuning.stack import Stack
from kft.tuning.together import Together
from recipes import BertRecipe
from tests.recipes import tiny_bert
from tests.small_images import DenseRecipe, small_images

STAGES = [kft.Stage(0, 4, 1e-2, warmup=0.2, decay="cosine")]


def space(hp):
    """Declare rates so high that they saturate the softmax, where Keras computes losses differently."""
    hp.Float("head_lr", 1e-3, 1.0, sampling="log")
    hp.Choice("dropout", [0.0, 0.2, 0.4])
    hp.Float("weight_decay", 1e-4, 1e-1, sampling="log")
    hp.Choice("label_smoothing", [0.0, 0.1])


def rates(hp):
    hp.Float("head_lr", 1e-3, 1e-1, sampling="log")


def tune(run_dir, **settings):
    data = settings.pop("data", (small_images(42), small_images(18, seed=1)))
    chosen = {"max_trials": 5, "space": space, "stages": STAGES, "batch_size": 8, "verbose": 0}
    recipe = settings.pop("recipe", None) or DenseRecipe(num_classes=2)
    return recipe.tune(*data, run_dir=run_dir, **(chosen | settings))


@pytest.fixture
def stacked(monkeypatch):
    """Return a list of the number of trials in each joint fit, or why there was none."""
    found, train = [], Stack.train

    def counting(self, members, *args):
        why = train(self, members, *args)
        found.append(why or len(members))
        return why

    monkeypatch.setattr(Stack, "train", counting)
    return found


def alone(run_dir, **settings):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Together, "train", lambda *_: None)
        return tune(run_dir, **settings)


def read(trial, name):
    return json.loads((trial.run_dir / name).read_text())


def check_equal(together, apart):
    assert len(together.trials) == len(apart.trials)
    for one, other in zip(together.trials, apart.trials, strict=True):
        assert (one.number, one.values, one.stages, one.arguments) == (
            other.number, other.values, other.stages, other.arguments,
        )  # fmt: skip
        assert (one.best_epoch, one.best_stage, one.epochs) == (
            other.best_epoch, other.best_stage, other.epochs,
        )  # fmt: skip
        assert one.score == pytest.approx(other.score, abs=1e-5)
        history, expected = read(one, "history.json"), read(other, "history.json")
        assert list(history) == list(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(history[name], values, atol=1e-5, err_msg=name)
        check_weights(one, other)


def check_weights(one, other):
    pair = [kft.load(trial.run_dir, recipe=DenseRecipe) for trial in (one, other)]
    for ours, theirs in zip(*(recipe.model.weights for recipe in pair), strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(ours),
            keras.ops.convert_to_numpy(theirs),
            atol=1e-5,
            rtol=1e-4,
        )


def test_trials_of_one_layer_equal_those_one_by_one(tmp_path, stacked):
    settings = {"balance": "weights", "early_stopping": None}
    together = tune(tmp_path / "together", **settings)
    assert stacked == [5]
    check_equal(together, alone(tmp_path / "alone", **settings))


def test_trials_with_hidden_layers_equal_those_one_by_one(tmp_path, stacked):
    recipe = DenseRecipe(num_classes=2, hidden=(6,))
    together = tune(tmp_path / "together", recipe=recipe, max_trials=3)
    assert stacked == [3]
    apart = alone(tmp_path / "alone", recipe=recipe, max_trials=3)
    check_equal(together, apart)


def test_trials_stop_at_epochs_of_their_own(tmp_path, stacked):
    settings = {
        "stages": [kft.Stage(0, 8, 1e-2)],
        "early_stopping": keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=0.01),
        "objective": "val_loss",
    }
    together = tune(tmp_path / "together", **settings)
    assert stacked == [5]
    assert len({trial.epochs for trial in together.trials}) > 1, "else nothing is shown"
    check_equal(together, alone(tmp_path / "alone", **settings))


@pytest.mark.parametrize("task", ["regression", "multi_label"])
def test_other_tasks_of_dense_heads_equal_those_one_by_one(tmp_path, stacked, task):
    (x, y), (x_val, y_val) = small_images(42), small_images(18, seed=1)
    if task == "regression":
        data = (
            (x, 3 * y + x.mean((1, 2, 3)) / 100),
            (x_val, 3 * y_val + x_val.mean((1, 2, 3)) / 100),
        )
        recipe = DenseRecipe(task="regression", num_classes=1)
    else:
        data = (x, np.stack([y, 1 - y], 1)), (x_val, np.stack([y_val, 1 - y_val], 1))
        recipe = DenseRecipe(task="multi_label", num_classes=2)
    settings = {"recipe": recipe, "data": data, "max_trials": 3, "space": rates}
    together = tune(tmp_path / "together", **settings)
    assert stacked == [3]
    check_equal(together, alone(tmp_path / "alone", **settings))


@pytest.mark.once
@pytest.mark.parametrize("backbone_dropout", [0.0, 0.1])
def test_texts_train_together_where_their_features_are_kept(
    tmp_path, stacked, capsys, backbone_dropout
):
    preset = tiny_bert.save_preset(tmp_path / "preset")
    recipe = BertRecipe(preset, num_classes=2, backbone_dropout=backbone_dropout)
    texts = ["good film", "bad film", "great actor, a great story", "an awful plot"] * 6
    settings = {"recipe": recipe, "data": ((texts, [1, 0] * 12),) * 2, "max_trials": 2}
    together = tune(tmp_path / "together", verbose=2, **settings)
    if backbone_dropout:
        assert (
            "one by one, since other layers than float32 Dense ones lie above"
            in capsys.readouterr().out
        )
        return
    assert stacked == [2]
    apart = alone(tmp_path / "alone", **settings)
    for one, other in zip(together.trials, apart.trials, strict=True):
        for name, values in read(other, "history.json").items():
            np.testing.assert_allclose(read(one, "history.json")[name], values, atol=1e-5)


@pytest.mark.once
def test_the_run_says_what_one_alone_would_say(tmp_path, stacked):
    one = tune(tmp_path / "together", max_trials=2).trials[0]
    other = alone(tmp_path / "alone", max_trials=2).trials[0]
    assert stacked == [2]
    assert read(one, "recipe.json").keys() == read(other, "recipe.json").keys()
    assert read(one, "recipe.json")["plan"] == read(other, "recipe.json")["plan"]
    ours, theirs = read(one, "journal.json"), read(other, "journal.json")
    assert list(ours) == list(theirs)
    for name in ("epochs", "starting_weights", "cache", "rates"):
        assert ours[name] == theirs[name], name
    assert ours["moved"] == pytest.approx(theirs["moved"], abs=1e-5)
    assert ours["best"] == theirs["best"] | {"value": pytest.approx(theirs["best"]["value"])}
    assert sorted(p.name for p in one.run_dir.iterdir()) == sorted(
        p.name for p in other.run_dir.iterdir()
    )
    assert not (tmp_path / "together" / "heads").exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("algorithm", "first"), [("grid", 4), ("bayesian", 3), ("hyperband", 3), ("random", 4)]
)
def test_as_many_train_together_as_an_algorithm_asks_for_without_scores(
    tmp_path, stacked, algorithm, first
):
    def narrow(hp):
        hp.Choice("head_lr", [1e-2, 3e-2, 1e-1, 3e-1])
        hp.Choice("dropout", [0.0, 0.2])

    settings = {"algorithm": algorithm, "space": narrow, "max_trials": 4}
    settings["stages"] = [kft.Stage(0, 3, 1e-2)]
    together = tune(tmp_path / "together", **settings)
    assert stacked == [first]
    check_equal(together, alone(tmp_path / "alone", **settings))


class Killed(BaseException):
    """An exception that ends a process like a signal, since nothing catches it."""


@pytest.mark.once
def test_a_search_that_is_killed_resumes_in_the_middle(tmp_path, monkeypatch, stacked):
    reference = tune(tmp_path / "reference")
    epochs, original = [], HeadsRecorder.on_epoch_end

    def dying(self, epoch, logs=None):
        original(self, epoch, logs)
        epochs.append(epoch)
        if len(epochs) == 3:
            raise Killed

    monkeypatch.setattr(HeadsRecorder, "on_epoch_end", dying)
    resume = kft.Resume(every="epoch")
    with pytest.raises(Killed):
        tune(tmp_path / "search", resume=resume)
    check_equal(tune(tmp_path / "search", resume=resume), reference)
    assert epochs == [0, 1, 2, 2, 3], "of four epochs the third alone was trained twice"


@pytest.mark.once
def test_trials_that_were_written_before_a_kill_are_not_trained_again(
    tmp_path, monkeypatch, stacked
):
    from kft.tuning.head_runs import HeadRuns

    reference = tune(tmp_path / "reference")
    written, original = [], HeadRuns.write

    def dying(self, member, *args):
        if len(written) == 2:
            monkeypatch.setattr(HeadRuns, "write", original)
            raise Killed
        written.append(member.number)
        original(self, member, *args)

    monkeypatch.setattr(HeadRuns, "write", dying)
    with pytest.raises(Killed):
        tune(tmp_path / "search")
    check_equal(tune(tmp_path / "search"), reference)
    assert stacked == [5, 3]


def test_a_head_that_diverges_leaves_the_others_as_they_are(tmp_path, stacked):
    def wild(hp):
        hp.Choice("head_lr", [1e-2, 1e30, 3e-2])

    settings = {"space": wild, "algorithm": "grid", "max_trials": 3}
    together = tune(tmp_path / "together", **settings)
    assert stacked == [3]
    apart = alone(tmp_path / "alone", **settings)
    assert [trial.failed for trial in together.trials] == [False, True, False]
    assert together.trials[1].reason == apart.trials[1].reason
    for index in (0, 2):
        assert together.trials[index].score == pytest.approx(apart.trials[index].score, abs=1e-5)


@dataclass(kw_only=True, eq=False)
class OwnLoss(DenseRecipe):
    def loss(self):
        return super().loss()


@pytest.mark.once
@pytest.mark.parametrize(
    "settings",
    [
        {"prune": "median"},
        {"cache": False},
        {"recipe": OwnLoss(num_classes=2)},
        {"space": lambda hp: hp.Choice("augment", ["light"]) and rates(hp)},
        {"stages": [kft.Stage(0, 1, 1e-2), kft.Stage(1, 1, 1e-3)]},
        {"stages": [kft.Stage(1, 1, 1e-2)], "space": lambda hp: hp.Choice("dropout", [0.0, 0.1])},
    ],
    ids=["prune", "cache", "own loss", "augment", "two stages", "deep"],
)
def test_other_trials_are_fitted_one_by_one(tmp_path, stacked, settings):
    search = tune(tmp_path / "search", **({"space": rates, "max_trials": 2} | settings))
    assert not any(trial.failed for trial in search.trials)
    assert stacked == []


@pytest.mark.once
def test_a_failure_of_all_together_is_told_and_each_is_fitted(tmp_path, monkeypatch, capsys):
    def failing(*_):
        raise MemoryError("no room for 9 GB")

    monkeypatch.setattr(Stack, "_trained", failing)
    search = tune(tmp_path / "search", max_trials=2, verbose=2)
    assert not any(trial.failed for trial in search.trials)
    assert "one by one, since training them together failed (MemoryError: no room" in (
        capsys.readouterr().out
    )


@pytest.mark.once
def test_bounds_hold_for_trials_that_train_together(tmp_path, stacked):
    settings = {"stages": [kft.Stage(0, 2, 1e-2)], "early_stopping": None, "space": rates}
    search = tune(tmp_path / "epochs", max_epochs=5, **settings)
    assert len(search.trials) == 3
    assert stacked == [3]
    search = tune(tmp_path / "seconds", max_seconds=1e-3, **settings)
    assert len(search.trials) == 1
    assert stacked == [3], "the first one trains alone, since nobody knows how long it takes"


def test_the_rates_of_all_heads_are_those_of_each():
    schedules = [
        WarmupSchedule(0.1),
        WarmupSchedule(0.2, warmup_steps=3),
        WarmupSchedule(0.3, warmup_steps=2, decay="linear", total_steps=9),
        WarmupSchedule(0.4, decay="cosine", total_steps=7),
    ]
    together = StackedSchedule(schedules)
    for step in range(10):
        found = keras.ops.convert_to_numpy(together(step))[:, 0]
        np.testing.assert_allclose(found, [one.at(step) for one in schedules], atol=1e-7)
