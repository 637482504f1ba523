"""The early end of trials that are worse than the median."""

import keras
import keras_tuner
import pytest

import kft
from kft.tuning.pruning import MedianStopping
from tests.small_images import TinyRecipe, bright_sides

pytestmark = pytest.mark.once

HIGHEST = keras_tuner.Objective("val_accuracy", "max")


def epochs_taken(scores, others, objective=HIGHEST):
    """Return the number of epochs that a trial with these scores gets."""
    rule, model = MedianStopping(objective, others), keras.Sequential()
    rule.set_model(model)
    rule.on_train_begin()
    model.stop_training = False
    for epoch, score in enumerate(scores):
        rule.on_epoch_end(epoch, {objective.name: score})
        if model.stop_training:
            return epoch + 1
    return len(scores)


@pytest.mark.parametrize(
    ("scores", "others", "expected"),
    [
        ([0.5, 0.5, 0.5], [[0.6] * 3] * 3, 1),
        ([0.5, 0.9, 0.1], [[0.4, 0.8, 0.9]] * 3, 3),  # means 0.4, 0.6, 0.7: its best is 0.9
        ([0.5, 0.5, 0.5], [[0.4, 0.8, 0.9]] * 3, 2),
        ([0.65] * 4, [[0.4, 0.8, 0.9, 0.9]] * 3, 3),  # only means count, not the scores of an epoch
        ([0.5, 0.5, 0.5], [[0.6] * 3] * 2, 3),  # two trials are too few to compare with
        ([0.5, 0.5, 0.5], [[0.4], [0.4], [0.9] * 3], 3),  # so is one that trained as long
        ([0.5, 0.5, 0.5], [[0.1] * 3, [0.4] * 3, [0.9] * 3], 3),
    ],
)
def test_the_best_so_far_is_compared_with_the_median_of_the_means(scores, others, expected):
    assert epochs_taken(scores, others) == expected


def test_lower_may_be_better():
    lowest = keras_tuner.Objective("val_loss", "min")
    assert epochs_taken([0.5, 0.5], [[0.4, 0.4]] * 3, lowest) == 1
    assert epochs_taken([0.3, 0.5], [[0.4, 0.4]] * 3, lowest) == 2


def test_a_search_cuts_short_what_is_hopeless(tmp_path):
    def space(hp):
        hp.Choice("head_lr", [3e-2, 1e-2, 2e-2, 1e-9])  # a grid tries them in this order

    search = TinyRecipe(num_classes=2, dropout=0.0).tune(
        bright_sides(24), bright_sides(16, seed=1), run_dir=tmp_path / "search", max_trials=4,
        algorithm="grid", space=space, stages=[kft.Stage(0, 6, 1e-2)], objective="val_loss",
        early_stopping=None, prune="median", batch_size=8, verbose=0,
    )  # fmt: skip
    lengths = [trial.epochs for trial in search.trials]
    assert search.trials[3].values["head_lr"] == 1e-9
    assert lengths[:3] == [6, 6, 6]
    assert lengths[3] < 6
    assert kft.load(search.trials[3].run_dir, recipe=TinyRecipe).is_fitted
