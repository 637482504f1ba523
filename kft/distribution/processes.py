"""The processes of one run: joining those of PyTorch, and what all of them tell each other."""

from __future__ import annotations

import atexit
import collections
import contextlib
import dataclasses
import datetime
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from kft.distribution import hosts, messages
from kft.distribution.launch import STORE, started
from kft.errors import InputError, KftError

TIMEOUT = 300.0

_T = TypeVar("_T")


@dataclasses.dataclass
class _Group:
    """This process' place among the others, and its way to them."""

    rank: int
    count: int
    timeout: float
    store: Any
    control: Any  # a group of gloo's, so that a word between hosts never waits for a GPU
    device: Any
    secret: str = ""  # in the keys of the store, which asks nobody for a password
    turns: int = 0
    sent: int = 0
    asked: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


_joined: _Group | None = None  # processes find each other once, and stay connected until they end
_group: _Group | None = None  # the same while a block of `joined` runs


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
        _joined = _join(timeout)
    _group = _joined
    try:
        yield _group.count
        _wait_at_the_end()
    finally:
        _group = None


def _join(timeout: float) -> _Group:
    import torch
    from torch import distributed

    if distributed.is_initialized():
        raise InputError(
            "torch.distributed is initialised already: leave that to kft, which does it from the "
            "environment of torchrun or of `kft fit --processes`."
        )
    path, wait = os.environ.get(STORE), datetime.timedelta(seconds=timeout)
    url = "env://" if path is None else f"file://{path}"
    place, size = int(os.environ["RANK"]), started()
    has_gpu = torch.cuda.is_available()
    device = torch.device("cpu")
    if has_gpu:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    try:
        store, place, size = next(iter(distributed.rendezvous(url, place, size, timeout=wait)))
        distributed.init_process_group(
            "nccl" if has_gpu else "gloo", store=store, rank=place, world_size=size, timeout=wait
        )
        control = distributed.new_group(backend="gloo", timeout=wait) if has_gpu else None
    except RuntimeError as error:
        raise KftError(
            f"Process {place} of {size} did not find the others within {timeout:.0f} s: {error}"
        ) from error
    atexit.register(distributed.destroy_process_group)
    group = _Group(place, size, timeout, store, control, device)
    own = secrets.token_hex(16).encode() if place == 0 else b""
    group.secret = _broadcast_bytes(group, own, 32).decode("ascii", "replace")
    return group


def _wait_at_the_end() -> None:
    """Keeps the process at which the others meet from leaving before they do."""
    from torch import distributed

    if _group is not None:
        with _answering():
            distributed.barrier(group=_group.control)


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Turns what torch.distributed says of a dead process into a sentence."""
    try:
        yield
    except RuntimeError as error:
        group = _group or _joined
        place, size, seconds = (
            (rank(), count(), TIMEOUT)
            if group is None
            else (group.rank, group.count, group.timeout)
        )
        raise KftError(
            f"Process {place} of {size} has lost the others: one of them has ended, or has not "
            f"answered for {seconds:.0f} s. Look at what it said last; the same command with the same "
            f"run_dir goes on from the newest commit. ({str(error).splitlines()[0]})"
        ) from error


def add_up(tensors: Sequence[Any]) -> list[Any]:
    """The sums of each tensor over all processes, in the tensors' own dtypes.

    They travel as one: floating numbers at least in float32, whole numbers in float64.
    """
    if _group is None or not tensors:
        return list(tensors)
    import torch
    from torch import distributed

    whole = all(one.dtype in (torch.float32, torch.float16, torch.bfloat16) for one in tensors)
    flat = torch.cat(
        [one.detach().reshape(-1).to(torch.float32 if whole else torch.float64) for one in tensors]
    ).to(_group.device)
    with _answering():
        distributed.all_reduce(flat)
    parts = flat.split([one.numel() for one in tensors])
    return [
        part.reshape(one.shape).to(device=one.device, dtype=one.dtype)
        for part, one in zip(parts, tensors, strict=True)
    ]


def count_bytes(sent: int) -> None:
    """Notes that so many bytes of gradients were handed over."""
    if _group is not None:
        _group.sent += sent


def any_of(*flags: bool) -> tuple[bool, ...]:
    """For each flag whether any process has it set; the same answer in all of them."""
    if _group is None or not flags:
        return hosts.any_of(flags)
    import torch
    from torch import distributed

    tensor = torch.tensor([int(flag) for flag in flags], dtype=torch.int32)
    with _answering():
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX, group=_group.control)
    return tuple(bool(flag) for flag in tensor.tolist())


def gathered(value: Any, most: int = messages.LARGEST) -> list[Any]:
    """What each process passed, in the order of their ranks; see `from_first`."""
    if _group is None:
        return hosts.gathered(value, most)
    import torch
    from torch import distributed

    packed = messages.encode(value)
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(_group.count)]
    with _answering():
        distributed.all_gather(sizes, torch.tensor([len(packed)]), group=_group.control)
    for size in sizes:
        messages.check_size(int(size), most)
    longest = max(map(int, sizes))
    rows = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
    own = torch.frombuffer(bytearray(packed.ljust(longest, b"\0")), dtype=torch.uint8)
    with _answering():
        distributed.all_gather(rows, own, group=_group.control)
    return [
        messages.decode(row[: int(size)].numpy().tobytes())
        for row, size in zip(rows, sizes, strict=True)
    ]


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
    return messages.decode(
        _broadcast_bytes(_group, messages.encode(value) if _group.rank == 0 else b"", most)
    )


def _broadcast_bytes(group: _Group, packed: bytes, most: int) -> bytes:
    import torch
    from torch import distributed

    size = torch.tensor([len(packed)])
    with _answering():
        distributed.broadcast(size, src=0, group=group.control)
    messages.check_size(int(size), most)
    box = torch.zeros(int(size), dtype=torch.uint8)
    if group.rank == 0:
        box = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
    with _answering():
        distributed.broadcast(box, src=0, group=group.control)
    return box.numpy().tobytes()


def broadcast(tensors: Sequence[Any]) -> None:
    """Gives the tensors the values that they have in process 0."""
    if _group is None:
        return
    from torch import distributed

    with _answering():
        for tensor in tensors:
            there = tensor.detach().to(_group.device).contiguous()
            distributed.broadcast(there, src=0)
            tensor.detach().copy_(there)


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
        _wait_for(_group, key)
    elif _group is not None:
        with _answering():
            _group.store.set(key, b"done")
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
        _wait_for(_joined, key)
        with _answering():
            packed = _joined.store.get(key)
        messages.check_size(len(packed), messages.LARGEST)
        return messages.result_of(messages.decode(packed))
    outcome: tuple[Any, BaseException | None] = (None, None)
    try:
        outcome = (function(), None)
    except BaseException as error:
        outcome = (None, error)
        raise
    finally:
        with _answering():
            _joined.store.set(key, messages.encode(messages.outcome_of(*outcome)))
    return outcome[0]


def _wait_for(group: _Group, key: str) -> None:
    pause = 0.001
    while True:
        with _answering():
            if group.store.check([key]):
                return
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
