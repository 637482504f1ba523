"""Messages between processes: values round trip unchanged, and no bytes are executed."""

import contextlib
import json
import os
import pickle
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kft.distribution import messages, processes
from kft.distribution.torch_group import TorchGroup
from kft.errors import InputError, Interrupted, KftError, NonFiniteLossError
from kft.runs.randomness import random_state
from kft.tuning.roles import Role

pytestmark = pytest.mark.once


class Bomb:
    """A pickle that creates a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def assert_equal(one, other):
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other or (one != one and other != other)


VALUES = [
    None,
    True,
    2**63,
    float("nan"),
    -float("inf"),
    "ä",
    (1, (2, [])),
    {"a": {"list": [1, 2], "path": "x"}, 3: None},
    ["array", 0],
    Path("runs/a"),
    Path(os.fsdecode(b"runs/\xff")),
    np.arange(6, dtype="uint64").reshape(2, 3),
    np.asarray(1.5, "float32"),
    np.zeros((0, 3)),
    {"a": np.array([True]), "b": [np.float16([1]), (np.int8([2]),)]},
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_arrives_as_it_was_sent(value):
    assert_equal(messages.decode(messages.encode(value)), value)


def test_the_state_of_all_random_generators_arrives():
    state = random_state()
    assert_equal(messages.decode(messages.encode(state)), state)


@pytest.mark.parametrize(
    "value", [b"bytes", {1, 2}, object(), Role("a", "b", 1, "secret"), [np.array([None])]]
)
def test_what_no_process_has_to_know_is_not_sent(value):
    with pytest.raises(TypeError, match="cannot be sent to another process"):
        messages.encode(value)


def framed(value):
    text = json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text


STRANGERS = {
    "nothing": b"",
    "a length alone": struct.pack("<Q", 2**62),
    "no JSON": framed(1)[:8] + b"}",
    "an unknown tag": framed(["object", "os.system"]),
    "a tag alone": framed(["list"]),
    "a list without tag": framed([1, 2, 3]),
    "no array": framed(["array", 0]),
    "no pairs": framed(["dict", [1]]),
    "no key": framed(["dict", [[["list", []], 1]]]),
    "no path": framed(["path", 3]),
    "no list": framed(["list", 3]),
    "deep": struct.pack("<Q", 10**6) + b'["list",[' * 100_000,
    "no arrays": framed(1) + b"\xff" * 20,
}


@pytest.mark.parametrize("content", STRANGERS.values(), ids=STRANGERS)
def test_what_a_stranger_sends_is_refused(content):
    with pytest.raises(KftError, match="sent an invalid message"):
        messages.decode(content)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60), place=st.floats(0, 1))
def test_any_bytes_are_a_value_or_refused(content, place):
    whole = messages.encode({"a": [1, (2.5, "b")], "c": np.arange(3)})
    at = int(place * len(whole))
    for broken in (content, whole[:at] + content + whole[at + len(content) :]):
        with contextlib.suppress(KftError):
            messages.decode(broken)


def test_a_pickle_is_not_loaded(tmp_path):
    with pytest.raises(KftError):
        messages.decode(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (InputError("no such file"), InputError, "no such file"),
        (NonFiniteLossError("nan"), NonFiniteLossError, "nan"),
        (Interrupted("stopped"), Interrupted, "stopped"),
        (OSError(28, "No space left"), KftError, "OSError in process 0: [Errno 28] No space left"),
        (KeyError(os.fsdecode(b"\xff")), KftError, "KeyError in process 0: "),
    ],
)
def test_an_error_of_one_process_is_one_in_all(raised, kind, said):
    told = messages.decode(messages.encode(messages.outcome_of(None, raised)))
    with pytest.raises(kind) as error:
        messages.result_of(told)
    assert type(error.value) is kind
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("told", [None, {}, {"result": 1, "error": 2}, {"error": "InputError"}])
def test_what_is_no_outcome_is_refused(told):
    with pytest.raises(KftError, match="neither a result nor an error"):
        messages.result_of(told)


@pytest.mark.parametrize("error", ["SystemExit", "os", "BaseException"])
def test_a_stranger_does_not_choose_the_error(error):
    with pytest.raises(KftError) as raised:
        messages.result_of({"error": error, "said": "x"})
    assert type(raised.value) is KftError


@pytest.fixture
def second(monkeypatch):
    """Make this process the second of two, with a torch store."""
    import torch
    from torch import distributed

    store = distributed.HashStore()
    group = TorchGroup(1, 2, 5.0, store, None, torch.device("cpu"), secret="a1b2")
    monkeypatch.setattr(processes, "_joined", group)
    return group


def test_what_lies_in_the_store_is_not_run(second, tmp_path):
    """torchrun's store has no password."""
    bomb = pickle.dumps((Bomb(tmp_path / "exploded"), None))
    second.store.set("kft/serving/1", bomb)  # the former key, without the secret
    second.store.set("kft/a1b2/serving/1", bomb)
    with pytest.raises(KftError, match="sent an invalid message"):
        processes.by_first("serving", lambda: "done")
    assert not (tmp_path / "exploded").exists()
    second.store.set("kft/a1b2/serving/2", messages.encode({"result": Path("serving/1")}))
    assert processes.by_first("serving", lambda: "done") == Path("serving/1")


def test_a_message_has_a_largest_size(second, monkeypatch):
    monkeypatch.setattr(messages, "LARGEST", 100)
    second.store.set("kft/a1b2/serving/1", messages.encode({"result": "a" * 100}))
    with pytest.raises(KftError, match="at most 100 are expected"):
        processes.by_first("serving", lambda: "done")
    assert second.asked == Counter({"serving": 1})
    with pytest.raises(KftError, match="-1 bytes"):
        messages.check_size(-1, 100)
