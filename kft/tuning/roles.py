"""The role of this process in a search of several, as set by environment variables."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from collections.abc import Mapping
from typing import Any

from kft.errors import InputError

TUNER_ID = "KERASTUNER_TUNER_ID"
ORACLE_IP = "KERASTUNER_ORACLE_IP"
ORACLE_PORT = "KERASTUNER_ORACLE_PORT"
SECRET = "KFT_TUNE_SECRET"
LOOPBACK = "127.0.0.1"
LONGEST_NAME = 100
SHORTEST = 16  # characters of a secret
MAKE_SECRET = f"export {SECRET}=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')"


@dataclasses.dataclass(frozen=True)
class Role:
    """The role of a process in a search.

    Attributes:
        name: Its name; that of a chief contains `chief`, as in KerasTuner.
        host: The address at which the chief listens.
        port: The chief's port; 0 for any free one, if the chief starts its own workers.
        secret: The secret that the processes of a search share.
    """

    name: str
    host: str
    port: int
    secret: str = dataclasses.field(repr=False)

    @property
    def is_chief(self) -> bool:
        """Whether the process hands out trials instead of running them."""
        return "chief" in self.name


def find_role(host: str | None, environment: Mapping[str, str] = os.environ) -> Role | None:
    """Return the role of this process; None if the search has only one process.

    Args:
        host: The address at which the user allows the chief to listen; None for loopback only.
        environment: The variables, of which KerasTuner's three and the secret are read.

    Raises:
        InputError: If some of the variables are missing or wrong, or a chief would listen at an
            address that the user has not allowed.
    """
    given = {n: environment[n] for n in (TUNER_ID, ORACLE_IP, ORACLE_PORT) if environment.get(n)}
    if ORACLE_IP not in given and ORACLE_PORT not in given:
        return None  # like KerasTuner, which ignores an id without them
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
    if not is_name(given[TUNER_ID]):
        raise InputError(
            f"{TUNER_ID} has {len(given[TUNER_ID])} characters: set a name of 1 to {LONGEST_NAME} "
            "printable characters."
        )
    role = Role(given[TUNER_ID], given[ORACLE_IP], port, find_secret(environment))
    if role.is_chief:
        allow(role.host, host)
    return role


def find_secret(environment: Mapping[str, str] = os.environ) -> str:
    """Return the secret of a search whose processes the user starts.

    It is never printed or written to a file, since whoever reads it can take part in the search.

    Args:
        environment: The variables to read it from.

    Raises:
        InputError: If it is not set, or so short that it could be guessed.
    """
    secret = environment.get(SECRET, "")
    if len(secret) >= SHORTEST:
        return secret
    found = f"has {len(secret)} characters, {SHORTEST} are needed" if secret else "is not set"
    raise InputError(
        f"{SECRET} {found}: with it, the chief and the workers of a search authenticate each other. Set it to "
        f"the same text for all of them; this makes one: {MAKE_SECRET}"
    )


def is_name(name: Any) -> bool:
    """Return whether a value is a valid name of a process."""
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()


def allow(listening: str, host: str | None) -> None:
    """Refuse to listen beyond this machine unless the user passed the address.

    Raises:
        InputError: If the user did not.
    """
    if listening == host or is_loopback(listening):
        return
    raise InputError(
        f"the chief of the search would listen at {listening}, where other machines reach it and "
        f"the network can read trials and scores: pass host={listening!r} (--host) if that is "
        f"meant, or let it listen at {LOOPBACK}."
    )


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached only from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
