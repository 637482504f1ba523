"""Which part of a search of several processes this process has: KerasTuner's environment says it."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from collections.abc import Mapping

from kft.errors import InputError

TUNER_ID = "KERASTUNER_TUNER_ID"
ORACLE_IP = "KERASTUNER_ORACLE_IP"
ORACLE_PORT = "KERASTUNER_ORACLE_PORT"
LOOPBACK = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Role:
    """A process' part in a search.

    Attributes:
        name: what the chief calls it; KerasTuner's chiefs have `chief` in their names.
        host: where the chief listens.
        port: at which port; 0 for any that is free, of a chief that starts its own workers.
    """

    name: str
    host: str
    port: int

    @property
    def is_chief(self) -> bool:
        """Whether it hands out the trials instead of running them."""
        return "chief" in self.name


def find_role(host: str | None, environment: Mapping[str, str] = os.environ) -> Role | None:
    """This process' part, or None if the search has one process only.

    Args:
        host: the address that a person allowed the chief to listen at, None for loopback only.
        environment: where KerasTuner's three variables are looked for.

    Raises:
        InputError: some of the variables are missing or wrong, or a chief would listen where nobody
            asked it to.
    """
    given = {n: environment[n] for n in (TUNER_ID, ORACLE_IP, ORACLE_PORT) if environment.get(n)}
    if ORACLE_IP not in given and ORACLE_PORT not in given:
        return None  # KerasTuner goes by these, whatever the id
    if len(given) < 3:
        missing = {TUNER_ID, ORACLE_IP, ORACLE_PORT} - given.keys()
        raise InputError(
            f"the environment has {' and '.join(given)} but no {' and '.join(sorted(missing))}: set "
            "all three for a search of several processes, or none."
        )
    try:
        port = int(given[ORACLE_PORT])
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise InputError(f"{ORACLE_PORT}={given[ORACLE_PORT]!r}: set a port from 1 to 65535.")
    role = Role(given[TUNER_ID], given[ORACLE_IP], port)
    if role.is_chief:
        allow(role.host, host)
    return role


def allow(listening: str, host: str | None) -> None:
    """Refuse to listen beyond this machine unless the address was named.

    Raises:
        InputError: nobody named it.
    """
    if listening == host or is_loopback(listening):
        return
    raise InputError(
        f"the chief of the search would listen at {listening}, where everybody who reaches it can "
        f"take part, since KerasTuner asks for no password: pass host={listening!r} (--host) if the "
        f"network is trusted, or let it listen at {LOOPBACK}."
    )


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
