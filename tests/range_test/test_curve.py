"""Suggestions, read off curves whose answer is known."""

import numpy as np
import pytest

from kft.insight.range_test.curve import has_diverged, running_averages, smooth, suggest

pytestmark = pytest.mark.once

RATES = np.geomspace(1e-7, 10, 81)  # ten a decade


def valley(begin, end, low=0.2):
    """Flat at 1 up to the rate `begin`, falling to `low` at `end`, then rising."""
    place = np.log10(RATES)
    down = 1 - (1 - low) * np.clip((place - np.log10(begin)) / np.log10(end / begin), 0, 1)
    return down + 3 * np.clip(place - np.log10(end), 0, None)


def test_the_three_suggestions_of_a_valley():
    found = suggest(RATES, valley(1e-4, 1e-2))
    assert found.valley == pytest.approx(1e-3, rel=0.3)
    assert 1e-4 < found.steepest < 1e-2
    assert found.minimum == pytest.approx(1e-3, rel=0.3)


def test_the_steepest_place_is_found_on_a_bent_way_down():
    losses = np.where(RATES < 1e-3, 1.0, 0.9)
    losses = np.minimum(losses, valley(3e-3, 1e-2))
    assert 2e-3 < suggest(RATES, losses).steepest < 1.1e-2


def test_a_second_valley_at_larger_rates_is_not_aimed_at():
    once = np.minimum(valley(1e-5, 1e-3), 0.6)
    twice = np.where(RATES < 1e-3, valley(1e-5, 1e-3), once)
    twice = np.where(RATES > 0.3, 0.15, twice)
    found = suggest(RATES, twice)
    assert 1e-5 < found.valley < 1e-3
    assert 1e-5 < found.steepest < 1e-3
    assert found.minimum > 0.03


@pytest.mark.parametrize("losses", [np.ones(81), np.linspace(1, 2, 81)], ids=["flat", "rising"])
def test_a_loss_that_never_falls_suggests_nothing(losses):
    found = suggest(RATES, losses)
    assert (found.valley, found.steepest, found.minimum) == (None, None, None)


def test_smoothing_does_not_lag_behind():
    losses = np.where(np.arange(80) < 40, 1.0, 0.0)
    assert np.flatnonzero(running_averages(losses, 0.9) < 0.5)[0] > 45
    assert np.flatnonzero(smooth(losses, 0.9) < 0.5)[0] == 40


def test_a_loss_that_diverged_does_not_lift_the_curve_before_it():
    losses = np.minimum(valley(1e-4, 1e-2), 1e3)
    worse = np.where(RATES > 1, 1e6, losses)
    np.testing.assert_allclose(smooth(worse, 0.9)[:60], smooth(losses, 0.9)[:60], rtol=0.02)


def test_without_smoothing_the_curve_is_the_losses():
    losses = 1 - np.arange(30) / 40
    np.testing.assert_allclose(smooth(losses, 0.0), losses)


def test_smoothing_keeps_a_constant():
    np.testing.assert_allclose(smooth(np.full(20, 0.7), 0.98), 0.7)


def test_divergence_is_told_from_noise():
    falling = [1.0, 0.8, 0.5]
    assert not has_diverged([*falling, 0.9], 0.0, 4.0)
    assert has_diverged([*falling, 2.1], 0.0, 4.0)
    assert has_diverged([*falling, float("nan")], 0.0, 4.0)
    assert not has_diverged([1.0, 0.001, 0.01], 0.0, 4.0), "small beside what it had fallen"
    assert not has_diverged([-1.0, -2.0, -3.0, -2.5], 0.0, 4.0)
