"""The processes of one run: how many there are, and what they decide together, on any backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from kft.distribution import hosts, messages
from kft.distribution.launch import started
from kft.distribution.torch_group import TorchGroup

TIMEOUT = 300.0

_T = TypeVar("_T")

# Processes find each other once, and stay connected until they end.
_joined: TorchGroup | None = None
_group: TorchGroup | None = None  # the same while a block of `joined` runs


def rank() -> int:
    """Which of the joined processes this is, from 0; 0 for a process on its own."""
    return hosts.rank() if _group is None else _group.rank


def count() -> int:
    """How many processes have joined; 1 for a process on its own."""
    return hosts.count() if _group is None else _group.count


def bytes_sent() -> int:
    """Bytes of gradients that this process has handed to all-reduce so far."""
    return 0 if _group is None else _group.sent


@contextlib.contextmanager
def joined(timeout: float = TIMEOUT) -> Iterator[int]:
    """Has the processes that were started together work together, until the block ends.

    NCCL carries the gradients where there are GPUs, of which each process takes the one of its
    `LOCAL_RANK`, and gloo where there are none.

    Args:
        timeout: seconds after which a process that does not answer counts as dead. Defaults to 300;
            one that has ended is noticed at once.

    Yields:
        How many there are.

    Raises:
        InputError: torch.distributed is in use already.
        KftError: the others cannot be found, or one of them has ended.
    """
    global _group, _joined
    if _group is not None or started() == 1:
        yield count()
        return
    if _joined is None:
        _joined = TorchGroup.join(timeout)
    _group = _joined
    try:
        yield _group.count
        _group.wait_for_all()
    finally:
        _group = None


def add_up(tensors: Sequence[Any]) -> list[Any]:
    """The sums of each tensor over all processes, in the tensors' own dtypes.

    They travel as one: floating numbers at least in float32, whole numbers in float64.
    """
    if _group is None or not tensors:
        return list(tensors)
    return _group.add_up(tensors)


def count_bytes(sent: int) -> None:
    """Notes that so many bytes of gradients were handed over."""
    if _group is not None:
        _group.sent += sent


def any_of(*flags: bool) -> tuple[bool, ...]:
    """For each flag whether any process has it set; the same answer in all of them."""
    if _group is None or not flags:
        return hosts.any_of(flags)
    return _group.any_of(flags)


def gathered(value: Any, most: int = messages.LARGEST) -> list[Any]:
    """What each process passed, in the order of their ranks; see `from_first`."""
    if _group is None:
        return hosts.gathered(value, most)
    return _group.gathered(value, most)


def from_first(value: Any, most: int = messages.LARGEST) -> Any:
    """What process 0 passed.

    Args:
        value: what `messages.encode` takes.
        most: the largest message in bytes.

    Raises:
        KftError: what was sent is larger, or is no message of kft's.
    """
    if _group is None:
        return hosts.from_first(value, most)
    return _group.from_first(value, most)


def broadcast(tensors: Sequence[Any]) -> None:
    """Gives the tensors the values that they have in process 0."""
    if _group is not None:
        _group.broadcast(tensors)


def decided(function: Callable[[], _T], most: int = messages.LARGEST) -> _T:
    """What `function` returns in process 0, which alone calls it, or raises there; in all processes.

    The others wait as long as it takes: only a process that has ended is given up.

    Args:
        function: what to do; it returns what `messages.encode` takes.
        most: the largest message in bytes.
    """
    if count() == 1:
        return function()
    key = ""
    if _group is not None:
        _group.turns += 1
        key = f"kft/{_group.secret}/turn/{_group.turns}"
    outcome: tuple[Any, BaseException | None] = (None, None)
    if rank() == 0:
        try:
            outcome = (function(), None)
        except BaseException as error:
            outcome = (None, error)
    if _group is not None and _group.rank > 0:
        _group.wait_for(key)
    elif _group is not None:
        _group.put(key, b"done")
    told = from_first(messages.outcome_of(*outcome) if rank() == 0 else None, most)
    if rank() > 0:
        return messages.result_of(told)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def in_turn(function: Callable[[], _T]) -> _T:
    """What `function` returns, called in process 0 first, and in the others when it is done there.

    What the first one leaves on a disk that all of them see, the others need not do again.
    """
    own: list[_T] = []
    decided(lambda: own.append(function()))
    return own[0] if own else function()


def by_first(name: str, function: Callable[[], _T]) -> _T:
    """What `function` returns in process 0 of those that have trained together, or raises there.

    The others wait for it. On PyTorch it does not wait for them: a script may as well call it in
    process 0 alone.

    Args:
        name: what it is about, the same in all processes.
        function: what to do.
    """
    if hosts.count() > 1:
        return decided(function)
    if _joined is None:
        return function()
    _joined.asked[name] += 1
    key = f"kft/{_joined.secret}/{name}/{_joined.asked[name]}"
    if _joined.rank > 0:
        return messages.result_of(_joined.take(key, messages.LARGEST))
    outcome: tuple[Any, BaseException | None] = (None, None)
    try:
        outcome = (function(), None)
    except BaseException as error:
        outcome = (None, error)
        raise
    finally:
        _joined.put(key, messages.encode(messages.outcome_of(*outcome)))
    return outcome[0]
