"""Pairs of an input and a label from any iterable."""

import numpy as np
import pytest
import torch
from PIL import Image

from kft import InputError
from kft.data.images import load
from kft.data.read import read

pytestmark = pytest.mark.once


class Pictures(torch.utils.data.Dataset):
    """Pillow images of several sizes, like those of torchvision's ImageFolder."""

    classes = ("cat", "dog")

    def __init__(self, count=4, broken=()):
        self.count, self.broken = count, broken

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index in self.broken:
            raise OSError("truncated file")
        return Image.new("RGB", (8 + index, 9), (10 * index, 0, 0)), index % 2


def read_images(source, **options):
    return read(source, **{"task": "single_label", "modality": "image", **options})


def read_texts(source, **options):
    return read(source, **{"task": "single_label", "modality": "text", **options})


def test_a_torch_dataset_is_read_with_its_class_names():
    examples = read_images(Pictures())
    assert examples.kind == "image_bytes"
    assert [examples.label(index) for index in range(4)] == ["cat", "dog", "cat", "dog"]
    np.testing.assert_array_equal(load(examples.inputs, (9, 11))[3, 0, 0], [30, 0, 0])


def test_a_tensor_dataset_and_a_part_of_it():
    pixels = torch.arange(4 * 6 * 6 * 3).reshape(4, 6, 6, 3) % 256
    pairs = torch.utils.data.TensorDataset(pixels.to(torch.uint8), torch.tensor([0, 1, 0, 1]))
    examples = read_images(torch.utils.data.Subset(pairs, [1, 2, 3]))
    assert list(examples.targets) == [1, 0, 1]
    np.testing.assert_array_equal(load(examples.inputs, (6, 6))[0], pixels[1])


def test_lists_and_generators_of_pairs():
    pairs = [("good", "pos"), ("bad", "neg"), ("fine", "pos")]
    for source in (pairs, iter(pairs), (pair for pair in pairs)):
        examples = read_texts(source)
        assert list(examples.inputs) == ["good", "bad", "fine"]
        assert examples.classes == ("neg", "pos")
    numbers = read_texts([("a", 1.5), ("b", 2.5)], task="regression")
    np.testing.assert_array_equal(numbers.targets, [1.5, 2.5])


def test_groups_of_pairs():
    assert list(read_texts([("a", "x"), ("b", "y")], groups=[1, 2]).groups) == [1, 2]


def test_an_item_that_cannot_be_read_is_named_or_skipped():
    with pytest.raises(InputError, match=r"example 2: cannot be read \(OSError: truncated file\)"):
        read_images(Pictures(broken=(2,)))
    examples = read_images(Pictures(broken=(2,)), on_bad_example="skip")
    assert len(examples) == 3
    assert examples.skipped[0].name == "example 2"


def test_more_than_fits_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("kft.data.pairs.MOST_BYTES", 1000)
    endless = (("word " * 20, "pos") for _ in iter(int, 1))
    with pytest.raises(InputError, match=r"generator has more than 1,000 bytes in its first 11"):
        read_texts(endless)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([("a", "x", 1.0)], r"example 0 of list is 3 values, but a pair of an input and a label"),
        ([{"text": "a"}], r"example 0 of list is .*dict.*pass pandas.DataFrame\(rows\)"),
        ([("a", "x"), "b"], r"example 1 of list is 'b' \(str\), but a pair"),
        ([], r"list yields nothing, but pairs"),
        (torch.utils.data.DataLoader(Pictures()), r"DataLoader yields batches.*its `.dataset`"),
        ((1 / 0 for _ in range(3)), r"example 0 of generator cannot be read \(ZeroDivisionError"),
    ],
)
def test_what_is_no_pair_is_named(source, message):
    with pytest.raises(InputError, match=message):
        read_texts(source)
