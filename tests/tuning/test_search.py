"""A search: its trials, its scores, its frozen features, and how it resumes."""

import dataclasses
import json

import keras
import keras_tuner
import pytest

import kft
from kft.callbacks.best_state import BestState
from kft.tuning.refit import stages_to_the_best
from tests.small_images import DenseRecipe, TinyRecipe, bright_sides, small_images

STAGES = [kft.Stage(0, 2, 1e-2), kft.Stage(1, 2, 1e-3)]


def space(hp):
    hp.Float("head_lr", 1e-3, 1e-1, sampling="log")
    hp.Choice("unfreeze", [0, 1])
    with hp.conditional_scope("unfreeze", [1]):
        hp.Float("backbone_lr", 1e-4, 1e-2, sampling="log")


def head_rates(hp):
    hp.Float("head_lr", 1e-3, 1e-1, sampling="log")


# Training lowers the loss, so that the highest is not that of the last epoch.
BY_LOSS = {"objective": keras_tuner.Objective("val_loss", "max"), "early_stopping": None}
HEAD = {"space": head_rates, "stages": STAGES[:1]}


def tune(run_dir, **settings):
    train, validation = bright_sides(24), bright_sides(16, seed=1)
    chosen = {"max_trials": 4, "space": space, "stages": STAGES, "batch_size": 8, "verbose": 0}
    recipe = settings.pop("recipe", None) or TinyRecipe(num_classes=2)
    return recipe.tune(train, validation, run_dir=run_dir, **(chosen | settings))


class Forwards:
    """Count the examples on which frozen prefixes run."""

    def __init__(self, patch):
        self.examples = 0
        original = keras.Model.predict_on_batch

        def counting(model, x):
            self.examples += len(keras.tree.flatten(x)[0])
            return original(model, x)

        patch.setattr(keras.Model, "predict_on_batch", counting)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return a random search, and the number of examples on which its prefixes ran."""
    with pytest.MonkeyPatch.context() as patch:
        counter = Forwards(patch)
        search = tune(tmp_path_factory.mktemp("random") / "search", **BY_LOSS)
    return search, counter.examples


def loss_of(recipe):
    recipe.model.compile(loss=recipe.loss(), metrics=recipe.metrics())
    return recipe.model.evaluate(*bright_sides(16, seed=1), batch_size=8, verbose=0)[0]


def test_every_score_is_the_evaluation_of_the_saved_model(found):
    search, _ = found
    assert len(search.trials) == 4
    for trial in search.trials:
        loaded = kft.load(trial.run_dir, recipe=TinyRecipe)
        assert loss_of(loaded) == pytest.approx(trial.score, rel=1e-4)
    assert any(trial.best_epoch < trial.epochs for trial in search.trials), "the last is no proof"
    assert search.best_score == max(trial.score for trial in search.trials)
    assert loss_of(search.best_recipe) == pytest.approx(search.best_score, rel=1e-4)


def test_prefixes_run_once_a_depth_and_never_once_a_trial(found):
    search, examples = found
    depths = {0} | {trial.values["unfreeze"] for trial in search.trials}
    assert depths == {0, 1}, "the seed has drawn each depth"
    assert examples <= (24 + 16) * len(depths)


@pytest.mark.once
def test_trials_of_the_default_space_share_features(tmp_path, monkeypatch):
    """On PyTorch, where each pass calls a layer, the first layer sees each example once per depth."""
    seen, call = [], keras.layers.Dense.call

    def counting(layer, inputs):
        if layer.name == "block1_dense" and not isinstance(inputs, keras.KerasTensor):
            seen.append(len(inputs))
        return call(layer, inputs)

    monkeypatch.setattr(keras.layers.Dense, "call", counting)
    search = DenseRecipe(num_classes=2).tune(
        small_images(24), small_images(16, seed=1), run_dir=tmp_path / "search",
        max_trials=3, stages=STAGES, batch_size=8, seed=2, verbose=0,
    )  # fmt: skip
    depths = {0} | {trial.values["unfreeze"] for trial in search.trials}
    assert depths == {0, 1}, "the seed has drawn all depths below which something stays frozen"
    assert not any(trial.failed for trial in search.trials)
    assert sum(seen) <= (24 + 16) * len(depths)


def test_a_trial_trains_what_its_values_say(found):
    search, _ = found
    for trial in search.trials:
        depth = trial.values["unfreeze"]
        assert trial.stages[0].learning_rate == trial.values["head_lr"]
        assert [stage.unfreeze for stage in trial.stages] == [0, depth][: 1 + bool(depth)]
        if depth:
            assert trial.stages[1].learning_rate == pytest.approx(trial.values["backbone_lr"])


@pytest.mark.once
def test_a_value_of_several_steps_is_printed_short_and_read_again(tmp_path):
    def third_step(hp):
        hp.Fixed("dropout", 0.1 * 3)

    chosen = {"max_trials": 1, "space": third_step, "stages": STAGES[:1]}
    search = tune(tmp_path / "search", **chosen)
    assert search.best_trial.values["dropout"] == 0.30000000000000004
    assert "dropout=0.3)" in search.command
    assert tune(tmp_path / "search", **chosen).best_recipe.dropout == 0.3


def test_a_finished_search_is_read_and_not_trained_again(found, monkeypatch):
    search, _ = found
    counter = Forwards(monkeypatch)
    monkeypatch.setattr(keras.Model, "fit", None)
    again = tune(search.run_dir, **BY_LOSS)
    assert [t.values for t in again.trials] == [t.values for t in search.trials]
    assert [t.score for t in again.trials] == [t.score for t in search.trials]
    assert counter.examples == 0


@pytest.mark.once
def test_the_call_that_is_printed_trains_the_best_plan(tmp_path, monkeypatch):
    """The data were arrays, which the call names like the arguments of `tune`."""
    monkeypatch.chdir(tmp_path)
    search = DenseRecipe(num_classes=2, hidden=(4,), classes=("dark", "light")).tune(
        small_images(24), small_images(16, seed=1), run_dir="search",
        max_trials=1, stages=STAGES, batch_size=8, balance="weights", seed=3, verbose=0,
    )  # fmt: skip
    printed = str(search).rpartition("To train the best plan:\n\n")[2]
    assert printed == search.command
    names = {"train": small_images(24), "validation_data": small_images(16, seed=1)}
    exec(printed, names)
    best, run = search.best_trial, names["run"]
    assert run.recipe.classes == ("dark", "light")
    assert run.history["loss"] == pytest.approx(
        json.loads((best.run_dir / "history.json").read_text())["loss"], rel=1e-5
    )
    assert run.recipe.arguments() == search.new_recipe().arguments()


@pytest.mark.once
@pytest.mark.parametrize("algorithm", ["bayesian", "hyperband", "grid"])
def test_the_other_algorithms_search_too(tmp_path, algorithm):
    def narrow(hp):
        hp.Choice("head_lr", [1e-2, 3e-2, 1e-1])
        hp.Choice("dropout", [0.0, 0.2])

    search = tune(
        tmp_path / "search", algorithm=algorithm, space=narrow, stages=[kft.Stage(0, 3, 1e-2)]
    )
    numbers = [trial.number for trial in search.trials]
    assert numbers in ([1, 2, 3, 4], [1, 2, 3]), "bayesian may propose a trial a second time"
    assert not any(trial.failed for trial in search.trials)
    best = search.best_recipe.evaluate(bright_sides(16, seed=1))
    assert best.accuracy == pytest.approx(search.best_score)
    if algorithm == "hyperband":
        lengths = [sum(stage.epochs for stage in trial.stages) for trial in search.trials]
        assert max(lengths[:3]) < lengths[3], "the best of three goes on with all its epochs"
        tried = [dict(t.values, **{"tuner/epochs": 0}) for t in search.trials[:3]]
        promoted = search.trials[3].values
        assert any(t["head_lr"] == promoted["head_lr"] for t in tried)
    if algorithm == "grid":
        assert len({json.dumps(dict(t.values)) for t in search.trials}) == 4


class Killed(BaseException):
    """An exception that ends a process like a signal, since nothing catches it."""


@pytest.mark.once
def test_a_killed_search_goes_on_with_the_same_trials(tmp_path, monkeypatch):
    search = tune(tmp_path / "reference", max_trials=3, **HEAD)
    fits, original = [], kft.Recipe.fit

    def dying(self, *args, **kwargs):
        fits.append(kwargs["run_dir"])
        if len(fits) == 2:
            raise Killed
        return original(self, *args, **kwargs)

    monkeypatch.setattr(kft.Recipe, "fit", dying)
    with pytest.raises(Killed):
        tune(tmp_path / "search", max_trials=3, **HEAD)
    (tmp_path / "search" / "oracle" / "oracle.json").write_text("{torn")
    again = tune(tmp_path / "search", max_trials=3, **HEAD)
    assert len(fits) == 4, "one trial was kept, the second was fitted again"
    assert fits[1] == fits[2]
    assert len(set(fits)) == 3
    assert [t.values for t in again.trials] == [t.values for t in search.trials]
    assert [t.score for t in again.trials] == pytest.approx([t.score for t in search.trials])


@pytest.mark.once
def test_the_trial_that_ran_goes_on_in_mid_training(tmp_path, monkeypatch):
    whole = {**HEAD, "stages": [kft.Stage(0, 4, 1e-2)], "max_trials": 1, "early_stopping": None}
    reference = tune(tmp_path / "reference", **whole).trials[0]
    seen, original = [], BestState.end_epoch

    def dying(self, *args):
        seen.append(args)
        original(self, *args)
        if len(seen) == 3:
            raise Killed

    monkeypatch.setattr(BestState, "end_epoch", dying)
    with pytest.raises(Killed):
        tune(tmp_path / "search", resume=kft.Resume(every="epoch"), **whole)
    again = tune(tmp_path / "search", resume=kft.Resume(every="epoch"), **whole).trials[0]
    assert len(seen) == 5, "of four epochs the third alone was trained twice"
    assert again.epochs == 4
    assert again.score == pytest.approx(reference.score)
    assert again.best_epoch == reference.best_epoch
    loaded = kft.load(again.run_dir, recipe=TinyRecipe)
    assert loaded.evaluate(bright_sides(16, seed=1)).accuracy == again.score


@pytest.mark.once
def test_a_failing_trial_is_recorded_and_the_search_goes_on(tmp_path, monkeypatch):
    original, fits = kft.Recipe.fit, []

    def failing(self, *args, **kwargs):
        fits.append(1)
        if len(fits) == 2:
            raise MemoryError("no room for 9 GB")
        return original(self, *args, **kwargs)

    def rates(hp):
        hp.Choice("head_lr", [1e-2, 1e30])

    monkeypatch.setattr(kft.Recipe, "fit", failing)
    search = tune(tmp_path / "search", max_trials=3, **HEAD)
    assert [trial.failed for trial in search.trials] == [False, True, False]
    assert search.trials[1].reason == "MemoryError: no room for 9 GB."
    assert "no room for 9 GB" in str(search)
    monkeypatch.undo()
    diverged = tune(
        tmp_path / "nan", space=rates, stages=STAGES[:1], algorithm="grid", max_trials=2
    )
    assert [trial.failed for trial in diverged.trials] == [False, True]
    assert "expected" in diverged.trials[1].reason


@pytest.mark.once
def test_a_search_whose_every_trial_fails_says_why(tmp_path):
    with pytest.raises(kft.KftError, match=r"every trial failed \(1\).*`unfreeze=9`.*3 blocks"):
        tune(tmp_path / "search", space=lambda hp: hp.Choice("unfreeze", [9]))


@pytest.mark.once
def test_the_time_bound_counts_the_trials_before(tmp_path):
    first = tune(tmp_path / "search", max_seconds=1e-3, **HEAD)
    assert len(first.trials) == 1
    assert first.stopped == "the limit of 0.001 s was reached"
    assert len(tune(tmp_path / "search", max_seconds=1e-3, **HEAD).trials) == 1
    assert len(tune(tmp_path / "search", max_trials=2, **HEAD).trials) == 2


@pytest.mark.once
def test_the_bound_by_epochs_lets_the_trial_that_runs_end(tmp_path):
    search = tune(tmp_path / "search", max_epochs=3, early_stopping=None, **HEAD)
    assert [trial.epochs for trial in search.trials] == [2, 2]
    assert search.stopped == "the limit of 3 epochs was reached, with 4 trained"


def test_the_best_plan_is_refitted_on_all_data(found, monkeypatch):
    search, _ = found
    fits, original = [], kft.Recipe.fit

    def seen(self, train, validation_data=None, **settings):
        fits.append((len(train), settings["stages"]))
        return original(self, train, validation_data, **settings)

    monkeypatch.setattr(kft.Recipe, "fit", seen)
    best = search.best_trial
    run = search.refit(verbose=0)
    (examples, stages), *_ = fits
    assert examples == 24 + 16
    assert [stage.learning_rate for stage in stages] == [
        stage.learning_rate for stage in best.stages[: best.best_stage]
    ]
    assert sum(stage.epochs for stage in stages) == best.best_epoch == len(run.history["loss"])
    further = search.train_further([kft.Stage(0, 1, 1e-3)], verbose=0)
    assert len(further.history["loss"]) == 1
    assert fits[-1][0] == 24
    begun = keras.losses.SparseCategoricalCrossentropy()(
        bright_sides(24)[1], search.best_recipe.model.predict(bright_sides(24)[0], verbose=0)
    )
    assert further.history["loss"][0] == pytest.approx(float(begun), abs=0.2)


def test_epochs_that_were_taken_back_are_not_refitted(found):
    search, _ = found
    trial = next(trial for trial in search.trials if len(trial.stages) > 1)
    written = trial.run_dir / "history.json"
    before = written.read_text()
    history = {"stage": [1, 1, 2, 2], "val_loss": [0.9, 0.4, 0.7, 0.95]}
    written.write_text(json.dumps(history))
    later = dataclasses.replace(trial, best_epoch=4, best_stage=2)

    kept = stages_to_the_best(later, search.objective)
    assert [stage.epochs for stage in kept] == [1, 2], "the objective here is the highest loss"
    written.write_text(before)
