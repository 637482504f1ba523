"""Several inputs per example: dicts of arrays are handled like single arrays."""

import numpy as np
import pytest

from kft import InputError
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels
from kft.data.overlap import overlap
from kft.data.read import read
from kft.data.split import split
from tests.small_images import DenseRecipe

pytestmark = pytest.mark.once

COUNT = 20
TEXTS = [f"text {number}" for number in range(COUNT)]


def inputs():
    return {"caption": TEXTS, "size": np.arange(2.0 * COUNT).reshape(COUNT, 2)}


def examples(x=None):
    return read((x or inputs(), np.arange(COUNT) % 2), task="single_label", modality="text")


def test_each_input_has_its_own_kind():
    read_ = examples()
    assert read_.kind == {"caption": "texts", "size": "arrays"}
    assert list(read_.inputs["caption"]) == TEXTS
    assert repr(read_) == "<Examples: 20 texts and arrays, 2 classes from arrays>"


def test_what_is_bad_in_one_input_leaves_out_the_example():
    x = inputs()
    x["size"][3, 1] = np.nan
    with pytest.raises(InputError, match=r"example 3: size: input with NaN"):
        examples(x)
    x["caption"] = [None, *TEXTS[1:]]
    y = np.arange(COUNT) % 2
    kept = read((x, y), task="single_label", modality="text", on_bad_example="skip")
    assert len(kept) == COUNT - 2
    assert list(kept.inputs["size"][:2, 0]) == [2, 4]


def test_a_part_keeps_its_digests_and_content_identifies_it():
    whole = examples()
    part = whole.take([5, 1])
    assert list(part.digests) == list(whole.digests[[5, 1]])
    assert part.fingerprint() == examples().take([5, 1]).fingerprint()
    changed = inputs()
    changed["size"][1, 1] += 1
    assert examples(changed).fingerprint() != whole.fingerprint()
    assert list(examples(changed).digests != whole.digests) == [n == 1 for n in range(COUNT)]
    renamed = dict(zip(("caption", "width"), inputs().values(), strict=True))
    assert examples(renamed).fingerprint() != whole.fingerprint()


def test_they_are_split_and_compared_and_batched():
    train, validation = split(examples())
    assert validation.counts() == {"0": 2, "1": 2}
    found = overlap({"training": train, "validation": validation})
    assert found["across"] == 0
    assert found["alike"] is None
    batches = Batches(
        train, lambda x: {"n": np.char.str_len(x["caption"].astype(str)), **x}, batch_size=4
    )
    x, y = batches.resized(8)[1]
    assert set(x) == {"n", "caption", "size"}
    np.testing.assert_array_equal(x["size"][:, 0] / 2 % 2, y)


def test_a_recipe_of_images_takes_no_dict():
    x = {"a": np.full((4, 4, 4, 3), 100.0)}
    with pytest.raises(InputError, match="has several inputs, but DenseRecipe takes images"):
        DenseRecipe(num_classes=2).read((x, [0, 1, 0, 1]))


def test_trees_of_other_lengths_are_no_examples():
    with pytest.raises(InputError, match=r"t.csv has 2 a, 3 b, 2 targets: pass one of each for"):
        Examples(
            {"a": "arrays", "b": "arrays"},
            {"a": np.zeros(2), "b": np.zeros(3)},
            np.zeros(2, int),
            ("x", "y"),
            "t.csv",
            task=SingleLabels(),
        )
