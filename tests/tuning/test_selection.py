"""The ranking of backbones by how well their frozen features explain the labels."""

import dataclasses
import re
from dataclasses import dataclass

import keras
import numpy as np
import pytest

import kft
from kft.tuning import rank
from kft.tuning.selection import Candidate, Ranking
from tests.small_images import TinyRecipe, bright_sides


@dataclass(kw_only=True, eq=False)
class SidesRecipe(TinyRecipe):
    """A recipe whose backbone computes the brightness of each half, with weights made for these data."""

    halves: bool = True

    def backbone(self, inputs):
        x = keras.layers.Rescaling(1 / 255)(inputs)
        pool = keras.layers.AveragePooling2D((16, 8) if self.halves else 16)(x)
        known = keras.layers.Conv2D(2, 1, name="known", kernel_initializer="ones")(pool)
        return keras.layers.Reshape((1, 1, -1))(known)


def candidates():
    return {
        "whole": SidesRecipe(num_classes=2, halves=False),
        "halves": SidesRecipe(num_classes=2),
    }


def test_the_backbone_that_knows_comes_first():
    ranking = rank(candidates(), bright_sides(48))
    assert [one.name for one in ranking.candidates] == ["halves", "whole"]
    best, other = ranking.candidates
    assert best.fits
    assert best.features == 4
    assert best.score > other.score + 0.5
    assert ranking.verdict == "Begin with halves."
    assert "halves" in str(ranking)


def test_it_says_when_none_fits():
    x, y = bright_sides(48)
    ranking = rank(candidates(), (x, np.random.default_rng(3).permutation(y)))
    assert ranking.verdict.startswith("None of them fits")


def test_long_names_are_shown_whole():
    name = "SidesRecipe,weights=" + "folder/" * 20
    candidate = Candidate(name + "halves", score=-0.5, by_chance=-0.7, features=4, seconds=1.0)
    other = dataclasses.replace(candidate, name=name + "whole", score=-0.6)
    text = str(Ranking((candidate, other), examples=48))
    table = text[: text.index("Begin with")]
    for number in ("0.5", "0.6"):
        assert number in table, "no column is lost"
    parts = re.findall(r"\S*(?:folder|halves|whole|Sides)\S*", table)
    assert "".join(parts) == f"{name}halves{name}whole"


def test_nothing_to_rank_is_an_error():
    with pytest.raises(kft.InputError, match="`recipes` is empty"):
        rank({}, bright_sides(8))
