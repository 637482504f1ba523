"""The processes that torch.distributed has joined, and communication between them."""

from __future__ import annotations

import atexit
import collections
import contextlib
import dataclasses
import datetime
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

from kft.distribution import messages
from kft.distribution.launch import STORE, started
from kft.errors import InputError, KftError


@dataclasses.dataclass
class TorchGroup:
    """This process' rank among the others, and its connection to them.

    Attributes:
        rank: The rank of this process, from 0.
        count: The number of processes.
        timeout: Seconds after which a process that does not answer is considered dead.
        store: The store through which they have met.
        control: A gloo group, so that messages between hosts never wait for a GPU; None if gloo
            carries everything.
        device: The device of the tensors that the processes exchange.
        secret: Part of the keys of the store, which has no password.
        turns: How many times a function has run in process 0 for all.
        sent: Bytes of gradients that this process has sent to all-reduce.
        asked: How many times `by_first` was called, by name.
    """

    rank: int
    count: int
    timeout: float
    store: Any
    control: Any
    device: Any
    secret: str = ""
    turns: int = 0
    sent: int = 0
    asked: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @classmethod
    def join(cls, timeout: float) -> Self:
        """Find the processes that were started together with this one.

        Args:
            timeout: Seconds to wait for them, and later for an answer.

        Raises:
            InputError: If torch.distributed is in use already.
            KftError: If the others cannot be found.
        """
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
                "nccl" if has_gpu else "gloo",
                store=store,
                rank=place,
                world_size=size,
                timeout=wait,
            )
            control = distributed.new_group(backend="gloo", timeout=wait) if has_gpu else None
        except RuntimeError as error:
            raise KftError(
                f"Process {place} of {size} did not find the others within {timeout:.0f} s: {error}"
            ) from error
        atexit.register(distributed.destroy_process_group)
        group = cls(place, size, timeout, store, control, device)
        own = secrets.token_hex(16).encode() if place == 0 else b""
        group.secret = group.broadcast_bytes(own, 32).decode("ascii", "replace")
        return group

    @contextlib.contextmanager
    def readable_errors(self) -> Iterator[None]:
        """Convert errors of torch.distributed about a dead process to a readable one."""
        try:
            yield
        except RuntimeError as error:
            raise KftError(
                f"Process {self.rank} of {self.count} has lost the others: one of them has ended, or "
                f"has not answered for {self.timeout:.0f} s. Look at its last output; the same "
                "command with the same run_dir resumes from the newest commit. "
                f"({str(error).splitlines()[0]})"
            ) from error

    def wait_for_all(self) -> None:
        """Keep the process that hosts the store from ending before the others."""
        from torch import distributed

        with self.readable_errors():
            distributed.barrier(group=self.control)

    def all_reduce(self, tensors: Sequence[Any]) -> list[Any]:
        """Return the sum of each tensor over all processes, in the tensor's own dtype.

        They are sent as one array: of float32 if all are floats of at most that size, otherwise of float64.
        """
        import torch
        from torch import distributed

        whole = all(one.dtype in (torch.float32, torch.float16, torch.bfloat16) for one in tensors)
        dtype = torch.float32 if whole else torch.float64
        flat = torch.cat([one.detach().reshape(-1).to(dtype) for one in tensors]).to(self.device)
        with self.readable_errors():
            distributed.all_reduce(flat)
        parts = flat.split([one.numel() for one in tensors])
        return [
            part.reshape(one.shape).to(device=one.device, dtype=one.dtype)
            for part, one in zip(parts, tensors, strict=True)
        ]

    def any_of(self, flags: Sequence[bool]) -> tuple[bool, ...]:
        """Return, for each flag, whether any process has set it."""
        import torch
        from torch import distributed

        tensor = torch.tensor([int(flag) for flag in flags], dtype=torch.int32)
        with self.readable_errors():
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX, group=self.control)
        return tuple(bool(flag) for flag in tensor.tolist())

    def gather(self, value: Any, most: int) -> list[Any]:
        """Return the values of all processes, in the order of their ranks.

        Args:
            value: A value that `messages.encode` accepts.
            most: The largest message in bytes.
        """
        import torch
        from torch import distributed

        packed = messages.encode(value)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        with self.readable_errors():
            distributed.all_gather(sizes, torch.tensor([len(packed)]), group=self.control)
        for size in sizes:
            messages.check_size(int(size), most)
        longest = max(map(int, sizes))
        rows = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
        own = torch.frombuffer(bytearray(packed.ljust(longest, b"\0")), dtype=torch.uint8)
        with self.readable_errors():
            distributed.all_gather(rows, own, group=self.control)
        return [
            messages.decode(row[: int(size)].numpy().tobytes())
            for row, size in zip(rows, sizes, strict=True)
        ]

    def from_first(self, value: Any, most: int) -> Any:
        """Return the value that process 0 passed; see `gather`."""
        packed = messages.encode(value) if self.rank == 0 else b""
        return messages.decode(self.broadcast_bytes(packed, most))

    def broadcast_bytes(self, packed: bytes, most: int) -> bytes:
        """Return the bytes that process 0 passed.

        Args:
            packed: The bytes, in process 0.
            most: The maximum number of bytes.
        """
        import torch
        from torch import distributed

        size = torch.tensor([len(packed)])
        with self.readable_errors():
            distributed.broadcast(size, src=0, group=self.control)
        messages.check_size(int(size), most)
        box = torch.zeros(int(size), dtype=torch.uint8)
        if self.rank == 0:
            box = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
        with self.readable_errors():
            distributed.broadcast(box, src=0, group=self.control)
        return box.numpy().tobytes()

    def broadcast(self, tensors: Sequence[Any]) -> None:
        """Set the tensors to the values that they have in process 0."""
        from torch import distributed

        with self.readable_errors():
            for tensor in tensors:
                there = tensor.detach().to(self.device).contiguous()
                distributed.broadcast(there, src=0)
                tensor.detach().copy_(there)

    def put(self, key: str, value: bytes) -> None:
        """Put a value into the store, for processes that wait for it."""
        with self.readable_errors():
            self.store.set(key, value)

    def wait_for(self, key: str) -> None:
        """Wait until a process has put a value into the store, however long it takes."""
        pause = 0.001
        while True:
            with self.readable_errors():
                if self.store.check([key]):
                    return
            time.sleep(pause)
            pause = min(2 * pause, 0.1)

    def take(self, key: str, most: int) -> Any:
        """Wait for a message in the store, and return it; see `gather`."""
        self.wait_for(key)
        with self.readable_errors():
            packed = self.store.get(key)
        messages.check_size(len(packed), most)
        return messages.decode(packed)
