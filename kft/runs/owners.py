"""The process that owns a file, and whether it is still alive."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import socket
from pathlib import Path

from kft.regular_files import read_regular

_LARGEST = 4096  # bytes of a description; anyone may have written the file
_TOKEN = re.compile("[0-9a-f]{16}")
_ENDED = ("Z", "X")  # states of a process that has ended but was not reaped yet


@dataclasses.dataclass(frozen=True)
class Owner:
    """A description of a process by which other processes can identify it.

    Attributes:
        pid: Its process id.
        started: Its start time in the kernel's unit, since ids are reused; "" if unknown.
        host: The name of its host.
        boot: The id of the host's current boot; "" if unknown.
        namespace: The id of its process namespace, which each container has; "" if unknown.
        token: A random token that distinguishes several markers of one process.
        flock: Whether it also holds a lock of the operating system.
    """

    pid: int
    started: str
    host: str
    boot: str
    namespace: str
    token: str
    flock: bool = False

    @classmethod
    def here(cls, *, flock: bool = False) -> Owner:
        """Describe this process, with a new token."""
        pid = os.getpid()
        started = _started(pid) or ""
        token = secrets.token_hex(8)
        return cls(pid, started, socket.gethostname(), _boot(), _namespace(), token, flock)

    @classmethod
    def read(cls, path: Path) -> Owner | None:
        """Read a description; return None if there is none or it is damaged."""
        try:
            owner = cls(**json.loads(read_regular(path, _LARGEST, follow=False)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        texts = (owner.started, owner.host, owner.boot, owner.namespace, owner.token)
        is_sound = (
            all(isinstance(text, str) for text in texts)
            and type(owner.pid) is int
            and 0 < owner.pid < 2**31
            and _TOKEN.fullmatch(owner.token)
        )
        return owner if is_sound else None

    def write(self, path: Path) -> None:
        """Write the description to a file."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    def is_alive(self) -> bool | None:
        """Return whether the process is alive, or None if that cannot be known from here."""
        here = Owner.here()
        if self.host != here.host:
            return None
        if self.boot != here.boot:
            # The host has been rebooted, unless its name is one that any host may have.
            return None if self.host.startswith("localhost") else False
        if self.namespace != here.namespace:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # the process belongs to another user
        started = _started(self.pid)
        return started in (None, self.started) or not self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def _started(pid: int) -> str | None:
    """Return the start time of a process: None if unknown, "ended" if it no longer runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "ended" if fields[0] in _ENDED else fields[19]
    except (OSError, IndexError):
        return None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return ""
