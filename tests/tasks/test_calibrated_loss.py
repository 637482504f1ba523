"""The loss at the best temperature, which compares the ends of stages on few validation examples."""

import numpy as np
import pytest
from scipy.special import softmax

from kft.tasks.calibrated_loss import CalibratedLoss
from kft.tasks.linear import Sigmoid, Softmax, temperature

rng = np.random.default_rng(0)
LOGITS = rng.normal(0, 6, (60, 4))
SOFTMAX = softmax(LOGITS, axis=1)
SIGMOID = 1 / (1 + np.exp(-LOGITS))
# The logits of both are three times too large.
NUMBERS = np.array([rng.choice(4, p=row) for row in softmax(LOGITS / 3, axis=1)])
LABELS = (rng.uniform(size=LOGITS.shape) < 1 / (1 + np.exp(-LOGITS / 3))).astype("int64")
CASES = {
    "softmax": (Softmax(), NUMBERS, SOFTMAX),
    "soft targets": (Softmax(), np.eye(4, dtype="float32")[NUMBERS], SOFTMAX),
    "sigmoid": (Sigmoid(), LABELS, SIGMOID),
}


def measured(targets, scores, activation="softmax", weights=None, batches=(25, 60)):
    metric, start = CalibratedLoss(activation), 0
    for end in batches:
        rows = slice(start, end)
        metric.update_state(
            targets[rows],
            scores[rows].astype("float32"),
            None if weights is None else weights[rows],
        )
        start = end
    return float(metric.result())


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_loss_at_the_temperature_that_a_fit_would_find(name):
    loss, targets, scores = CASES[name]
    found = temperature(LOGITS, targets, loss)
    assert found > 2
    losses, _ = loss(LOGITS / found, loss.prepared(targets, 4))
    expected = (losses.sum() + 0.5 * (np.log(found) / 0.5) ** 2) / 60
    expected /= 4 if name == "sigmoid" else 1  # the mean over the labels, as in `val_loss`
    activation = "sigmoid" if name == "sigmoid" else "softmax"
    assert measured(targets, scores, activation) == pytest.approx(expected, rel=2e-3)


def test_an_example_counts_as_much_as_its_weight():
    weights = np.repeat([1.0, 0.0], [40, 20]).astype("float32")
    expected = measured(NUMBERS[:40], SOFTMAX[:40], batches=(40,))
    assert measured(NUMBERS, SOFTMAX, weights=weights) == pytest.approx(expected, rel=1e-5)


def test_scores_of_0_and_1_have_a_finite_loss():
    hard = np.eye(4, dtype="float32")[(NUMBERS + (np.arange(60) < 30)) % 4]
    assert np.isfinite(measured(NUMBERS, hard))
    assert np.isfinite(measured(LABELS, hard, "sigmoid"))


def test_before_the_first_batch_it_is_0():
    assert float(CalibratedLoss("softmax").result()) == 0


def test_a_model_that_is_too_sure_beats_one_that_knows_less():
    """The plain loss prefers the other model."""
    too_sure = softmax(2 * LOGITS, axis=1)
    knows_less = softmax(LOGITS / 3, axis=1)
    knows_less[::4] = 0.25
    plain = [-np.log(s[np.arange(60), NUMBERS]).mean() for s in (too_sure, knows_less)]
    assert plain[0] > plain[1]
    assert measured(NUMBERS, too_sure) < measured(NUMBERS, knows_less)
