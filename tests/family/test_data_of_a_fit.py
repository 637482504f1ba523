"""What a fit trains and validates on, as the plan says it: its groups."""

import numpy as np
import pytest

import kft
from kft.errors import InputError
from tests.small_images import TinyRecipe, bright_sides

pytestmark = pytest.mark.once


def fit(data, **options):
    recipe = TinyRecipe(num_classes=2)
    read = options.pop("read", {})
    return recipe.fit(
        recipe.read(data, **read) if read else data,
        **{"stages": [kft.Stage(0, 1, 1e-2)], "finish": kft.Finish(report=False), **options},
    )


def test_no_group_is_trained_and_validated_on_and_another_grouping_is_another_run(tmp_path, capsys):
    x, y = bright_sides(24)
    groups = np.arange(24) // 3
    run = fit((x, y), read={"groups": groups}, run_dir=tmp_path)
    assert not set(run.training.groups) & set(run.validation.groups)
    assert "Validated on 2 of 8 groups, 25% of the examples." in capsys.readouterr().out
    with pytest.raises(InputError, match="another plan"):
        fit((x, y), read={"groups": groups[::-1] % 4}, run_dir=tmp_path)
