import dataclasses

import numpy as np
import pytest

from kft import InputError
from kft.data.examples import Examples
from kft.data.kinds import MultiLabels, Numbers, SingleLabels
from kft.data.split import NothingToSplitError, split

pytestmark = pytest.mark.once


def texts(values, labels, classes=("a", "b")):
    return Examples(
        "texts",
        np.array(values, object),
        np.array(labels),
        classes,
        "train.csv",
        task=SingleLabels(),
    )


def grouped(labels, groups):
    return dataclasses.replace(
        texts([f"text {number}" for number in range(len(labels))], labels, tuple("abcdefgh")),
        groups=np.array(groups, object),
    )


def dated(labels, times):
    return dataclasses.replace(
        texts([f"text {number}" for number in range(len(labels))], labels, tuple("abcdefgh")),
        order=np.array(times, "float64"),
    )


def distinct(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    values = [f"text {number}" for number in range(len(labels))]
    return texts(values, labels, tuple("abcdefgh"[: len(counts)]))


def test_every_class_keeps_its_share():
    train, validation = split(distinct([100, 50, 10]), fraction=0.2)
    assert list(train.counts().values()) == [80, 40, 8]
    assert list(validation.counts().values()) == [20, 10, 2]


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_every_class_is_on_both_sides_whatever_the_fraction(fraction):
    for part in split(distinct([30, 7, 2]), fraction=fraction):
        assert min(part.counts().values()) >= 1


def test_every_example_is_on_exactly_one_side():
    examples = distinct([30, 7, 2])
    train, validation = split(examples, fraction=0.3)
    assert sorted([*train.inputs, *validation.inputs]) == sorted(examples.inputs)


def test_the_seed_alone_decides():
    examples = distinct([40, 40])
    same = [tuple(split(examples, seed=1)[1].inputs) for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != tuple(split(examples, seed=2)[1].inputs)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_content_is_never_on_both_sides(seed):
    rng = np.random.default_rng(seed)
    values = [f"text {number}" for number in rng.integers(0, 40, 200)]
    train, validation = split(texts(values, rng.integers(0, 2, 200)), fraction=0.25, seed=seed)
    assert not set(train.inputs) & set(validation.inputs)
    assert len(train) + len(validation) == 200
    assert 30 <= len(validation) <= 70


def test_files_of_the_same_bytes_stay_together(tmp_path):
    paths = []
    for number in range(20):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(b"content %d" % (number // 2))
        paths.append(str(path))
    examples = Examples(
        "image_files",
        np.array(paths, object),
        np.arange(20) // 10,
        ("a", "b"),
        "folder",
        task=SingleLabels(),
    )
    train, validation = split(examples)
    assert not set(train.digests) & set(validation.digests)
    assert len(validation) == 4


def test_a_class_of_two_has_one_on_each_side():
    train, validation = split(distinct([2, 50]), fraction=0.01)
    assert train.counts()["a"] == validation.counts()["a"] == 1


@pytest.mark.parametrize(
    ("values", "labels"), [(["x", "y", "z"], [0, 1, 1]), (["x", "x", "y", "z"], [0, 0, 1, 1])]
)
def test_a_class_of_one_distinct_example_is_trained_on(values, labels):
    train, validation = split(texts(values, labels))
    assert train.counts()["a"] == labels.count(0)
    assert validation.counts() == {"a": 0, "b": 1}
    assert "1 class has a single distinct example" in train.note
    assert train.note.endswith("not validated: class 'a'.")


def test_classes_of_one_example_alone_cannot_be_split():
    with pytest.raises(NothingToSplitError, match=r"2 distinct examples are too few.*add examples"):
        split(texts(["x", "y"], [0, 1]))


def test_a_class_of_copies_of_others_is_named():
    with pytest.raises(InputError, match=r"class 'a' of train.csv has only copies.*correct"):
        split(texts(["y", "y", "z"], [1, 0, 1]))


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 20, float("nan")])
def test_a_wrong_fraction_is_named(fraction):
    with pytest.raises(InputError, match=r"fraction=.*between 0 and 1, such as 0.2"):
        split(distinct([5, 5]), fraction=fraction)


def test_multi_label_keeps_the_share_of_rare_labels():
    rng = np.random.default_rng(0)
    targets = (rng.random((400, 3)) < [0.6, 0.3, 0.05]).astype("float32")
    examples = Examples(
        "arrays", rng.random((400, 4)), targets, ("a", "b", "c"), "arrays", task=MultiLabels()
    )
    _, validation = split(examples, fraction=0.25)
    shares = validation.targets.sum(axis=0) / targets.sum(axis=0)
    np.testing.assert_allclose(shares, 0.25, atol=0.08)


def test_regression_covers_the_range_of_targets():
    targets = np.arange(100, dtype="float32")
    examples = Examples("arrays", np.arange(100.0), targets, None, "arrays", task=Numbers())
    _, validation = split(examples, fraction=0.2)
    assert len(validation) == 20
    assert np.histogram(validation.targets, bins=10, range=(0, 100))[0].tolist() == [2] * 10


def test_too_few_distinct_numbers_are_refused():
    examples = Examples("arrays", np.zeros(4), np.arange(4.0), None, "arrays", task=Numbers())
    with pytest.raises(InputError, match=r"1 distinct examples are too few.*validation_data"):
        split(examples)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_classes_keep_about_their_share(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, 600, p=[0.6, 0.3, 0.1])
    examples = grouped(labels, rng.integers(0, 60, 600))
    train, validation = split(examples, 0.2, seed)
    assert not set(train.groups) & set(validation.groups)
    assert len(train) + len(validation) == 600
    shares = np.bincount(validation.targets, minlength=3) / np.bincount(labels, minlength=3)
    np.testing.assert_allclose(shares, 0.2, atol=0.06)
    assert list(split(examples, 0.2, seed)[1].inputs) == list(validation.inputs)


def test_groups_of_labels_that_follow_the_group_leave_each_class_to_both_parts():
    labels = np.repeat([0, 1, 2], [40, 40, 4])
    groups = [*(f"a{n // 4}" for n in range(40)), *(f"b{n // 4}" for n in range(40)), *"ccdd"]
    train, validation = split(grouped(labels, groups))
    assert set(train.targets) == set(validation.targets) == {0, 1, 2}


def test_a_class_of_a_single_group_is_trained_on():
    labels = [0] * 20 + [1] * 20 + [2] * 3
    train, validation = split(grouped(labels, [n // 4 for n in range(40)] + ["only"] * 3))
    assert list(train.targets).count(2) == 3
    assert 2 not in validation.targets


def test_a_group_that_holds_nearly_everything_is_named():
    examples = grouped([0, 1] * 20, ["studio"] * 38 + ["street"] * 2)
    with pytest.raises(
        InputError, match=r"its largest of 2 groups, 'studio', holds 95%.*ask for 0.05"
    ):
        split(examples)
    assert set(split(examples, 0.05)[1].groups) == {"street"}
    with pytest.raises(InputError, match=r"largest of 1 groups, 'x', holds 100%.*more groups, or"):
        split(grouped([0, 1] * 20, ["x"] * 40))


def test_the_latest_examples_are_validated_on():
    times = np.random.default_rng(0).permutation(50)
    train, validation = split(dated(np.arange(50) % 2, times), 0.2, seed=7)
    assert sorted(validation.order) == list(range(40, 50))
    assert len(train) == 40


def test_examples_of_the_same_time_stay_together():
    train, validation = split(dated([0, 1] * 15, np.arange(30) // 4), 0.2)
    assert not set(train.order) & set(validation.order)
    assert len(validation) == 6
    with pytest.raises(InputError, match=r"train.csv cannot.*97% of its examples have the same"):
        split(dated([0, 1] * 15, [0] * 29 + [1]))


def test_a_class_that_only_comes_up_lately_is_named():
    with pytest.raises(
        InputError, match=r"class 'c' of train.csv occurs only among the latest 20%"
    ):
        split(dated([0, 1] * 10 + [2] * 5, range(25)))
