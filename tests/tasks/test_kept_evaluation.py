"""Evaluations that are read again from the journal of a run."""

import copy
import json

import numpy as np
import pytest

from kft.tasks.evaluation import Evaluation, Figure, Figures
from kft.tasks.evaluation.kept import KeptEvaluation, entries_of

pytestmark = pytest.mark.once


class Own(Evaluation):
    @property
    def figures(self):
        return Figures(
            [
                Figure("mae", 12.5, (11.0, 14.0), "MAE", "mean absolute error", "min"),
                Figure("baseline", None, is_fraction=True),
            ]
        )


def journal():
    own = Own(task="regression", examples=np.array([1, 4, 5]))
    return json.loads(json.dumps(entries_of(own)))


def test_the_figures_are_the_same():
    read = KeptEvaluation.read(journal())
    own = Own(task="regression", examples=np.array([1, 4, 5]))
    assert read.figures.described == own.figures.described
    assert str(read) == str(own)
    assert read.mae == 12.5
    assert read.to_dict() == own.to_dict()


def test_a_run_without_figures_was_not_evaluated():
    assert KeptEvaluation.read({}) is None
    assert KeptEvaluation.read({"figures": journal()["figures"]}) is None
    assert KeptEvaluation.read(journal() | {"figures": {}}) is None


@pytest.mark.parametrize("value", [None, True, -1, 10**400, "", "x y", [], [1], {}, {"a": 1}])
def test_any_value_in_the_file_gives_an_evaluation_that_prints_or_none(value):
    for entry in ("figures", "evaluated"):
        assert KeptEvaluation.read({**journal(), entry: value}) is None
    changes = [("evaluated", name) for name in ("task", "examples")]
    changes += [("figures", "mae", part) for part in journal()["figures"]["mae"]]
    for *above, last in changes:
        changed = copy.deepcopy(journal())
        inner = changed
        for name in above:
            inner = inner[name]
        inner[last] = value
        found = KeptEvaluation.read(changed)
        assert found is None or str(found)
