"""Arguments of the wrong type or out of range are rejected by name before anything is built."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import pandas as pd
import pytest
import torch

import kft
import recipes
from kft.arguments import LARGEST_SEED, check_types
from kft.errors import InputError
from tests.recipes.tiny_backbones import save_preset
from tests.tiny_recipe import TinyRecipe


@dataclass
class Everything:
    number: float = 1.0
    count: int = 1
    names: Sequence[str] | None = None
    widths: tuple[int, ...] = ()
    pair: tuple[int, int] = (1, 2)
    place: str | os.PathLike | None = "x"
    switch: bool = False
    word: Literal["a", "b"] = "a"
    anything: Any = 3
    texts: list[str] = field(default_factory=list)
    known: ClassVar[int] = 3


@pytest.mark.once
@pytest.mark.parametrize(
    "given",
    [
        {"number": 3},
        {"number": np.float32(0.5)},
        {"count": np.int64(3)},
        {"names": ["a"]},
        {"names": np.array(["a"])},
        {"names": pd.Series(["a"])},
        {"widths": [1, np.int8(2)]},
        {"pair": [1, 2]},
        {"place": Path("a")},
        {"place": None},
        {"word": "b"},
        {"anything": object()},
    ],
    ids=str,
)
def test_what_suits_its_annotation_passes(given):
    check_types(Everything(**given))


@pytest.mark.once
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"number": [1]}, r"`number=\[1\]`: pass a finite number \(default: 1.0\)"),
        ({"number": True}, "pass a finite number"),
        ({"number": float("nan")}, "`number=nan`: pass a finite number"),
        ({"number": 1e39}, "pass a finite number"),
        ({"number": 10**400}, r"`number=1000000.*\.\.\.`: pass a finite number"),
        ({"count": 10**5000}, "very many digits.*pass a whole number"),
        ({"count": 1.0}, "pass a whole number"),
        ({"names": "ab"}, "pass a list of texts or None"),
        ({"names": {"a", "b"}}, "pass a list of texts"),
        ({"names": [True, False]}, "pass a list of texts"),
        ({"widths": 4}, "pass a list of whole numbers"),
        ({"widths": torch.ones(())}, "pass a list of whole numbers"),
        ({"pair": (1,)}, "pass a list of whole numbers"),
        ({"place": 3}, "pass text or a path or None"),
        ({"switch": 1}, "pass True or False"),
        ({"word": "c"}, "pass 'a' or 'b'"),
        ({"texts": [1]}, r"pass a list of texts\.$"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_what_does_not_is_named_with_what_would(given, expected):
    with pytest.raises(InputError, match=expected):
        check_types(Everything(**given))


HOSTILE = [
    *([1], ["a"], [[1]], [1, 2], [True, False], (), {"a": 1}, {1}, object(), b"x", None, True),
    *(float("nan"), float("inf"), -float("inf"), np.float64("nan"), 1e300, -1, 0, 3, 1.5, 10**9),
    *(10**400, 10**5000, "", "x", "\x00", "\ud800", "160", "\uff14\uff10", "none", Path("nowhere")),
]


@pytest.mark.once
@pytest.mark.parametrize("name", recipes.__all__)
def test_a_recipe_takes_an_argument_or_refuses_it_by_name(name, tmp_path):
    recipe = getattr(recipes, name)
    fields = [one for one in dataclasses.fields(recipe) if one.init]
    base = {"weights": None}
    if recipe.task == "single_label":
        base["num_classes"] = 2
    if any(one.name == "preset" for one in fields):
        base["preset"] = "nowhere"
    if name == "ImageBackboneRecipe":  # which reads the usual size from its preset
        base["preset"] = save_preset("ViT", tmp_path / "preset")
    unnamed = []
    for one in fields:
        for value in HOSTILE:
            try:
                recipe(**(base | {one.name: value}))
            except InputError as error:
                if one.name not in str(error) or "\n" in str(error):
                    unnamed.append((one.name, str(error)))
    assert unnamed == []


@pytest.mark.parametrize("seed", [0, LARGEST_SEED])
def test_the_smallest_and_the_largest_seed_train(seed):
    x = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype="uint8")
    recipe = TinyRecipe(num_classes=2, seed=seed, hidden=(3,))
    settings = {
        "augment": "light",
        "verbose": 0,
        "cache": False,
        "finish": kft.Finish(report=False),
        "batch_size": 4,
    }
    run = recipe.fit((x, np.arange(8) % 2), seed=seed, **settings)
    assert np.isfinite(run.history["loss"][-1])


@pytest.mark.once
@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1, 2**64, 1.0, True, None, "0"])
def test_any_other_seed_is_refused_by_name_wherever_it_is_taken(seed, tmp_path):
    data = (np.zeros((4, 16, 16, 3), "uint8"), np.arange(4) % 2)
    recipe = TinyRecipe(num_classes=2)
    for call in (
        lambda: TinyRecipe(num_classes=2, seed=seed),
        lambda: recipe.fit(data, seed=seed),
        lambda: recipe.tune(data, seed=seed, run_dir=tmp_path / "search"),
        lambda: kft.find_learning_rate(recipe, data, seed=seed),
    ):
        with pytest.raises(InputError, match="`seed="):
            call()
    assert recipe._model is None, "refused before anything is built"


@pytest.mark.once
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"batch_size": 0}, "`batch_size=0`: pass a whole number of examples, at least 1"),
        ({"batch_size": 10**10}, "`batch_size=10000000000`.*at most 2,147,483,647"),
        ({"batch_size": "32"}, "`batch_size='32'`"),
        ({"validation_data": float("nan")}, "`validation_data=nan`: pass data, or a fraction"),
        ({"validation_data": 1}, "`validation_data=1`"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_setting_of_fit_is_refused_before_data_are_read(given, expected):
    with pytest.raises(InputError, match=expected):
        TinyRecipe(num_classes=2).fit("nowhere/", **given)


@pytest.mark.once
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"max_seconds": float("nan")}, "`max_seconds=nan`: pass a number above 0"),
        ({"max_seconds": float("inf")}, "`max_seconds=inf`"),
        ({"max_trials": 1.5}, "`max_trials=1.5`: pass a whole number of trials"),
    ],
    ids=str,
)
def test_a_bound_of_a_search_is_a_finite_number(given, expected, tmp_path):
    with pytest.raises(InputError, match=expected):
        TinyRecipe(num_classes=2).tune("nowhere/", run_dir=tmp_path / "search", **given)


@pytest.mark.once
@pytest.mark.parametrize("rates", [(float("nan"), 1.0), (1e-7, float("inf")), (0.0, 1.0)])
def test_the_rates_of_a_range_test_are_finite(rates):
    with pytest.raises(InputError, match=r"`lowest=.*, `highest=.*: pass finite rates"):
        kft.find_learning_rate(
            TinyRecipe(num_classes=2), "nowhere/", lowest=rates[0], highest=rates[1]
        )


@pytest.mark.once
def test_an_image_size_beyond_what_is_read_is_refused():
    with pytest.raises(InputError, match=r"image_size=\(100000, 100000\)` is too large"):
        TinyRecipe(num_classes=2, image_size=100_000)
    assert TinyRecipe(num_classes=2, image_size=np.int64(20)).image_size == (20, 20)


@pytest.mark.once
def test_annotations_that_only_a_type_checker_knows_stop_nobody():
    @dataclass(kw_only=True, eq=False)
    class OwnRecipe(TinyRecipe):
        optimizer: "OnlyForTypeCheckers | None" = None  # noqa: F821

    assert isinstance(OwnRecipe(num_classes=2).model, keras.Model)
