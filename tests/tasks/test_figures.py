"""Figures: numbers with label, meaning and interval."""

import pytest

from kft.errors import InputError
from kft.tasks import Figure, Figures

pytestmark = pytest.mark.once

ACCURACY = Figure("accuracy", 0.9, (0.81234, 0.95), meaning="of answers", is_fraction=True)


def test_figures_map_names_to_values_and_know_the_rest():
    figures = Figures([ACCURACY, Figure("top_5", None), Figure("loss", 12.345, better="min")])
    assert dict(figures) == {"accuracy": 0.9, "top_5": None, "loss": 12.345}
    assert figures.figure("accuracy") is ACCURACY
    assert [one.label for one in figures.described] == ["accuracy", "top 5", "loss"]
    assert repr(figures) == "Figures(accuracy=0.9000, top_5=n/a, loss=12.35)"


def test_an_interval_belongs_to_what_is_said_of_a_figure():
    assert ACCURACY.described == "of answers (95 % interval 0.8123 to 0.9500)"
    assert Figure("loss", 1.0, (0.5, 2.0)).described == "(95 % interval 0.5 to 2)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "top 5"}, "`name='top 5'`: pass a Python identifier"),
        ({"name": "a", "better": "higher"}, "`better='higher'`: pass 'max', 'min' or None"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        Figure(value=1.0, **arguments)


def test_no_two_figures_have_one_name():
    with pytest.raises(InputError, match="two figures have one name"):
        Figures([ACCURACY, ACCURACY])
