"""LogME compared with the densities whose maximum it is."""

import numpy as np
import pytest
from scipy import optimize, stats

import kft
from kft.tuning import logme
from kft.tuning.logme import Evidence

pytestmark = pytest.mark.once


def linear(examples=40, width=6, noise=0.3, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(size=(examples, width))
    weights = random.normal(size=width)
    return features, features @ weights + noise * random.normal(size=examples)


def density(features, target, weights, noise):
    """Return the evidence by definition: a normal density with a full covariance matrix."""
    covariance = features @ features.T / weights + np.eye(len(target)) / noise
    return stats.multivariate_normal(np.zeros(len(target)), covariance).logpdf(target) / len(target)


@pytest.mark.parametrize(("examples", "width"), [(40, 6), (12, 30), (20, 20)])
def test_it_is_the_largest_evidence_over_both_precisions(examples, width):
    features, target = linear(examples, width)

    def lost(logs):
        return -density(features, target, *np.exp(logs))

    best = min(
        optimize.minimize(lost, start, method="Nelder-Mead", options={"xatol": 1e-6}).fun
        for start in ([0.0, 0.0], [0.0, 3.0])
    )
    assert logme(features, target) == pytest.approx(-best, abs=2e-3)


def test_classes_count_each_against_the_rest():
    features, _ = linear()
    labels = np.arange(40) % 3
    columns = [(labels == each).astype(float) for each in range(3)]
    expected = np.mean([logme(features, column) for column in columns])
    assert logme(features, labels) == pytest.approx(expected)


def test_informative_features_beat_noise_and_many_of_noise_are_no_advantage():
    features, target = linear(60, 6)
    random = np.random.default_rng(1)
    labels = (target > 0).astype(int)
    noise = random.normal(size=(60, 6))
    many = random.normal(size=(60, 200))
    assert logme(features, labels) > logme(noise, labels) + 0.1
    assert logme(features, labels) > logme(many, labels) + 0.1


@pytest.mark.parametrize("unit", [1000.0, 1e6, 1e-17], ids=str)
def test_the_order_and_the_unit_of_features_do_not_matter(unit):
    features, target = linear()
    turned = features[:, ::-1] * unit
    assert logme(turned, target) == pytest.approx(logme(features, target), abs=1e-6)


def test_bad_features_are_named():
    with pytest.raises(kft.InputError, match=r"shape \(4,\)"):
        logme(np.zeros(4), np.zeros(4))
    with pytest.raises(kft.InputError, match="NaN"):
        logme(np.full((4, 2), np.nan), np.zeros(4))
    with pytest.raises(kft.InputError, match="3 labels for 4 examples"):
        Evidence(np.ones((4, 2))).of(np.ones((3, 1)))
