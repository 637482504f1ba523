"""The training and validation data that the plan of a fit records: groups, and folders of parts."""

import os

import numpy as np
import pytest
from PIL import Image

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


def test_a_folder_of_parts_is_trained_and_validated_on_as_it_says(tmp_path, capsys, monkeypatch):
    x, y = bright_sides(12)
    parts = ["train"] * 6 + ["val"] * 4 + ["test"] * 2
    for index, (pixels, label, part) in enumerate(zip(x, y, parts, strict=True)):
        folder = tmp_path / "photos" / part / f"side{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype("uint8")).save(folder / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    run = fit("photos", finish=None)
    assert [
        os.path.dirname(one.inputs[0]).split("/")[-2] for one in (run.training, run.validation)
    ] == [
        "train",
        "val",
    ]
    assert (len(run.training), len(run.validation)) == (6, 4)
    said = "Trained on photos/train, validated on photos/val; photos/test is left out."
    assert said in capsys.readouterr().out
