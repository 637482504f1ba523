"""The validation by which epochs are compared balances classes if training does."""

import dataclasses

import numpy as np
import pytest

import kft
from tests.family.test_fit_settings import settings_of
from tests.family.test_solving import pictures, recipe_of

HEAD = [kft.Stage(0, epochs=2, learning_rate=0.1)]


def uneven():
    """Return images of three classes, 30, 8 and 2 of them, some with a wrong label."""
    x, kinds, _ = pictures(90, seed=2)
    chosen = np.concatenate([np.flatnonzero(kinds == c)[:n] for c, n in enumerate((30, 8, 2))])
    labels = kinds[chosen].copy()
    labels[[0, 31, 39]] = [1, 2, 0]
    return x[chosen], labels


@pytest.mark.parametrize("balance", ["weights", "oversample"])
@pytest.mark.parametrize("cache", [True, False])
def test_each_class_counts_as_much_in_the_validation_loss(balance, cache):
    recipe, (x, labels) = recipe_of(kft.tasks.Classification(3)), uneven()
    settings = {"balance": balance, "cache": cache, "restore_best": None, "verbose": 0}
    run = recipe.fit(pictures()[:2], (x, labels), stages=HEAD, **settings)
    losses = -np.log(recipe.predict(x).scores[np.arange(len(x)), labels])
    by_class = [losses[labels == c].mean() for c in range(3)]
    assert run.history["val_loss"][-1] == pytest.approx(np.mean(by_class), rel=2e-4)
    assert abs(np.mean(by_class) - losses.mean()) > 0.002  # otherwise the test would prove nothing


@pytest.mark.once
@pytest.mark.parametrize(
    ("balance", "count", "monitor"),
    [
        (None, 200, ("val_accuracy", "max")),
        ("weights", 200, ("val_loss", "min")),
        ("weights", 199, ("val_calibrated_loss", "min")),
    ],
)
def test_epochs_are_not_compared_by_what_the_largest_class_decides(balance, count, monitor):
    recipe = recipe_of(kft.tasks.Classification(3))
    examples = recipe.read(pictures(count)[:2])
    asked = dataclasses.replace(settings_of(balance=balance), stages=(), monitor=None)
    assert asked.resolved(recipe, examples, examples).monitor == monitor
