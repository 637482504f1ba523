"""The threshold with the best F1, from counts."""

import numpy as np
import pytest

from kft.tasks.evaluation.best_threshold import ThresholdSearch
from kft.tasks.evaluation.multi_label import MultiLabelScorer

pytestmark = pytest.mark.once


def best(scores, there):
    search = ThresholdSearch()
    for part in np.array_split(np.arange(len(scores)), 3):
        search.add(np.asarray(scores)[part], np.asarray(there)[part])
    return search.best()


def f1(scores, there, threshold):
    answers = scores >= threshold
    return 2 * (answers & there).sum() / (answers.sum() + there.sum())


def test_for_calibrated_scores_it_is_half_of_the_best_f1():
    rng = np.random.default_rng(0)
    scores = rng.beta(0.4, 2, (20_000, 4))
    there = rng.uniform(size=scores.shape) < scores
    found = best(scores, there)
    highest = max(f1(scores, there, one) for one in np.linspace(0.01, 0.99, 99))
    assert f1(scores, there, found) == pytest.approx(highest, abs=5e-3)
    assert found == pytest.approx(highest / 2, abs=0.06)


def test_labels_that_all_score_low_are_still_told_apart():
    scores = np.tile([[0.02, 0.2], [0.21, 0.03], [0.02, 0.25], [0.03, 0.02]], (100, 1))
    there = scores > 0.1
    found = best(scores, there)
    assert 0.03 < found <= 0.2
    assert f1(scores, there, found) == 1


def test_a_few_examples_move_it_less_than_their_own_f1_would():
    """The scores are calibrated, so that every threshold but one is best by chance."""
    rng = np.random.default_rng(1)
    own, with_scores = [], []
    for _ in range(200):
        scores = rng.beta(0.5, 2, (12, 3))
        there = rng.uniform(size=scores.shape) < scores
        if not there.any():
            continue
        grid = np.linspace(0.01, 0.99, 99)
        own.append(grid[np.argmax([f1(scores, there, one) for one in grid])])
        with_scores.append(best(scores, there))
    assert np.std(with_scores) < 0.85 * np.std(own)


@pytest.mark.parametrize("value", [False, True])
def test_there_is_none_if_no_label_or_every_label_is_there(value):
    assert best(np.full((6, 2), 0.3), np.full((6, 2), value)) is None


def test_scores_of_exactly_0_and_1_are_counted():
    assert (
        0 < best(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[False, True], [True, False]])) < 1
    )


def test_a_label_is_predicted_from_the_threshold_on():
    """As in predictions and exports; an untrained head scores exactly 0.5."""
    scorer = MultiLabelScorer(["a", "b"])
    scorer.update(np.array([[1, 0], [1, 1]]), np.full((2, 2), 0.5, "float32"))
    found = scorer.result()
    assert found.predicted.tolist() == [[1, 1], [1, 1]]
    assert found.recall == 1
    assert {one.predicted for one in found.mistakes()} == {"b"}


def test_where_f1_is_flat_it_stays_near_a_half():
    """One label of twenty is wrong at 0.5, which is less than a standard error."""
    scores = np.concatenate([np.linspace(0.55, 0.9, 19), [0.3], np.linspace(0.05, 0.25, 20)])[
        :, None
    ]
    there = np.arange(40)[:, None] < 20
    assert f1(scores, there, 0.3) == 1
    assert best(scores, there) == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_one_that_trying_all_finds(seed):
    """Each decision counts half by its target and half by its score."""
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, 1000, (30, 3)) // rng.integers(1, 4) + 0.5) / 1000
    there = rng.uniform(size=scores.shape) < 0.3
    labels = (there.sum() + scores.sum()) / 2
    tried = {}
    for threshold in np.arange(1, 1000) / 1000:
        given = scores >= threshold
        right = (there[given].sum() + scores[given].sum()) / 2
        counted = given.sum() + labels
        reached = 2 * right / counted
        wrong = counted - 2 * right
        error = np.sqrt(right * (2 - 2 * reached) ** 2 + wrong * reached**2) / counted
        tried[float(threshold)] = reached, error
    highest, error = max(tried.values(), key=lambda one: one[0])
    near = [threshold for threshold, (reached, _) in tried.items() if reached >= highest - error]
    assert best(scores, there) == min(near, key=lambda one: abs(one - 0.5))
