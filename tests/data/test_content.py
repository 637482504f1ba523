import decimal
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from kft import InputError
from kft.data.content import content_digest
from kft.data.examples import Examples
from kft.data.kinds import SingleLabels

pytestmark = pytest.mark.once

DIFFERENT = [
    None,
    "None",
    "nan",
    float("nan"),
    1,
    1.0,
    True,
    "1",
    b"1",
    decimal.Decimal("1"),
    10**100,
    ["ab", "c"],
    ["a", "bc"],
    ("ab", "c"),
    [["ab"], "c"],
    {"ab", "c"},
    {"ab": "c"},
    [],
    np.arange(4),
    np.arange(4).reshape(2, 2),
    np.arange(4, dtype="int32"),
    np.arange(4, dtype=">i8"),
    np.arange(4.0),
    np.array(["0", "1", None], object),
    np.array(["0", "1", "None"], object),
    np.array(["0", "1", "None"]),
    np.ma.array([1, 2, 3], mask=[0, 0, 1]),
    np.ma.array([1, 2, 3], mask=[0, 1, 0]),
    np.zeros(2, [("a", "i4"), ("b", "f4")]),
    np.zeros(2, [("a", "f4"), ("b", "i4")]),
]


def objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def fingerprint(*values):
    inputs = objects(*values)
    return Examples(
        "arrays", inputs, np.zeros(len(inputs), int), ("a", "b"), "x", task=SingleLabels()
    ).fingerprint()


def test_different_values_have_different_digests():
    digests = [content_digest(value) for value in DIFFERENT]
    for (one, first), (other, second) in itertools.combinations(
        zip(DIFFERENT, digests, strict=True), 2
    ):
        assert first != second, (one, other)
    assert len({fingerprint(value) for value in DIFFERENT}) == len(DIFFERENT)


def test_equal_values_have_equal_digests_wherever_they_lie_in_memory():
    def image():
        return np.arange(60, dtype="uint8").reshape(4, 5, 3)

    backwards = np.ascontiguousarray(image()[::-1])[::-1]
    assert content_digest(backwards) == content_digest(image())
    assert content_digest({"a": 1, "b": [2]}) == content_digest({"b": [2], "a": 1})
    one, other = fingerprint(image(), {"x": [1]}), fingerprint(image(), {"x": [1]})
    assert one == other
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_digests_are_the_same_in_every_process():
    code = (
        "import numpy as np; from kft.data.content import content_digest; "
        "print(content_digest([{'a', 'b', 'c', 'd'}, {'x': None, 'y': np.array(['q', 1], object)}]).hex())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(found) == 1


def test_what_has_no_content_is_refused():
    with pytest.raises(InputError, match="object cannot be identified by its content"):
        fingerprint(object())
    itself: list = []
    itself.append(itself)
    with pytest.raises(InputError, match="more than 64 lists inside each other"):
        content_digest(itself)
