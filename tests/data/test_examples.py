import numpy as np
import pytest

from kft.data.examples import Examples, Skipped
from kft.data.kinds import MultiLabels, Numbers, SingleLabels

pytestmark = pytest.mark.once


def some(kind="texts", inputs=("one", "two", "three"), targets=(0, 1, 1)):
    inputs = np.array(inputs, object) if kind != "arrays" else np.asarray(inputs)
    return Examples(kind, inputs, np.array(targets), ("a", "b"), "train.csv", task=SingleLabels())


def test_it_can_be_read_at_a_glance():
    skipped = Examples(
        "texts",
        np.array(["x"], object),
        np.zeros(1, int),
        ("a", "b"),
        "t.csv",
        (Skipped("row 2", "empty"),),
        task=SingleLabels(),
    )
    assert repr(some()) == "<Examples: 3 texts, 2 classes from train.csv>"
    assert repr(skipped) == "<Examples: 1 texts, 2 classes, 1 skipped from t.csv>"


def test_take_and_counts():
    taken = some().take([2, 0, 2])
    assert list(taken.inputs) == ["three", "one", "three"]
    assert taken.counts() == {"a": 1, "b": 2}
    assert taken.classes == ("a", "b")
    many = Examples(
        "texts",
        taken.inputs,
        np.array([[1, 1], [0, 1], [0, 0]]),
        ("a", "b"),
        "x",
        task=MultiLabels(),
    )
    assert many.counts() == {"a": 1, "b": 2}
    assert Examples("texts", taken.inputs, np.arange(3.0), None, "x", task=Numbers()).counts() == {}


def test_the_fingerprint_is_of_the_content(tmp_path):
    paths = []
    for number in range(4):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(b"first" if number % 2 == 0 else b"second")
        paths.append(str(path))
    files = some("image_files", paths[:2], (0, 1))
    assert files.fingerprint() == some("image_files", paths[2:], (0, 1)).fingerprint()
    assert files.fingerprint() != some("image_files", paths[1::-1], (0, 1)).fingerprint()
    assert files.fingerprint() != some("image_files", paths[:2], (1, 0)).fingerprint()


def test_the_fingerprint_tells_apart_what_differs():
    numbers = np.arange(6).reshape(3, 2)
    prints = {
        some().fingerprint(),
        some(inputs=("one", "two", "thre")).fingerprint(),
        some("arrays", numbers).fingerprint(),
        some("arrays", numbers.astype("float32")).fingerprint(),
        some("arrays", numbers.reshape(3, 2, 1)).fingerprint(),
        some().take([0, 1]).fingerprint(),
    }
    assert len(prints) == 6


def test_a_part_keeps_the_digests_already_made():
    examples = some()
    whole = examples.digests
    part = examples.take([1, 2])
    assert list(part.digests) == list(whole[1:])
    assert part.fingerprint() == some().take([1, 2]).fingerprint()
