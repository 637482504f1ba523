"""The processes of one run on any backend: how many there are, and communication between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from kft.distribution import hosts, messages
from kft.distribution.launch import started
from kft.distribution.torch_group import TorchGroup

TIMEOUT = 300.0

_T = TypeVar("_T")

# Processes connect once, and stay connected until they end.
_joined: TorchGroup | None = None
_group: TorchGroup | None = None  # the same, only within `joined`


def rank() -> int:
    """Return the rank of this process among the joined ones, from 0; 0 for a single process."""
    return hosts.rank() if _group is None else _group.rank


def count() -> int:
    """Return how many processes have joined; 1 for a single process."""
    return hosts.count() if _group is None else _group.count


def bytes_sent() -> int:
    """Return the bytes of gradients that this process has sent to all-reduce so far."""
    return 0 if _group is None else _group.sent


@contextlib.contextmanager
def joined(timeout: float = TIMEOUT) -> Iterator[int]:
    """Connect the processes that were started together, until the block ends.

    Gradients are exchanged by NCCL if there are GPUs, of which each process uses the one of its
    `LOCAL_RANK`, otherwise by gloo.

    Args:
        timeout: Seconds after which a process that does not answer is considered dead. Defaults to
            300; one that has ended is noticed at once.

    Yields:
        The number of processes.

    Raises:
        InputError: If torch.distributed is in use already.
        KftError: If the others cannot be found, or one of them has ended.
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


def all_reduce(tensors: Sequence[Any]) -> list[Any]:
    """Return the sum of each tensor over all processes, in the tensor's own dtype.

    They are sent as one array: of float32 if all are floats of at most that size, otherwise of float64.
    """
    if _group is None or not tensors:
        return list(tensors)
    return _group.all_reduce(tensors)


def count_bytes(sent: int) -> None:
    """Add to the count of sent bytes of gradients."""
    if _group is not None:
        _group.sent += sent


def any_of(*flags: bool) -> tuple[bool, ...]:
    """Return, for each flag, whether any process has set it; the result is the same in all of them."""
    if _group is None or not flags:
        return hosts.any_of(flags)
    return _group.any_of(flags)


def gather(value: Any, most: int = messages.LARGEST) -> list[Any]:
    """Return the values of all processes, in the order of their ranks; see `from_first`."""
    if _group is None:
        return hosts.gather(value, most)
    return _group.gather(value, most)


def from_first(value: Any, most: int = messages.LARGEST) -> Any:
    """Return the value that process 0 passed.

    Args:
        value: A value that `messages.encode` accepts.
        most: The largest message in bytes.

    Raises:
        KftError: If the message is larger, or not one of kft's.
    """
    if _group is None:
        return hosts.from_first(value, most)
    return _group.from_first(value, most)


def broadcast(tensors: Sequence[Any]) -> None:
    """Set the tensors to the values that they have in process 0."""
    if _group is not None:
        _group.broadcast(tensors)


def on_first(function: Callable[[], _T], most: int = messages.LARGEST) -> _T:
    """Call a function in process 0 only, and return its result, or raise its error, in all processes.

    The others wait as long as it takes; they give up only if process 0 has ended.

    Args:
        function: The function; its result must be a value that `messages.encode` accepts.
        most: The largest message in bytes.
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
    received = from_first(messages.outcome_of(*outcome) if rank() == 0 else None, most)
    if rank() > 0:
        return messages.result_of(received)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def in_turn(function: Callable[[], _T]) -> _T:
    """Call a function in process 0, then in all others, and return its result.

    The others can use what process 0 has written to a shared disk.
    """
    own: list[_T] = []
    on_first(lambda: own.append(function()))
    return own[0] if own else function()


def by_first(name: str, function: Callable[[], _T]) -> _T:
    """Call a function in process 0 of those that trained together, and share its result or error.

    The others wait for it. On PyTorch it does not wait for them: a script may also call it only in
    process 0.

    Args:
        name: The name of the task, the same in all processes.
        function: The function.
    """
    if hosts.count() > 1:
        return on_first(function)
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
