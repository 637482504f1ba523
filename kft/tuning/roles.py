"""Which part of a search of several processes this process has, as its environment says."""

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
SHORTEST = 16  # letters of a secret
MAKE_SECRET = f"export {SECRET}=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')"


@dataclasses.dataclass(frozen=True)
class Role:
    """A process' part in a search.

    Attributes:
        name: What the chief calls it; KerasTuner's chiefs have `chief` in their names.
        host: Where the chief listens.
        port: At which port; 0 for any that is free, of a chief that starts its own workers.
        secret: What the processes of a search know, and nobody else.
    """

    name: str
    host: str
    port: int
    secret: str = dataclasses.field(repr=False)

    @property
    def is_chief(self) -> bool:
        """Whether it hands out the trials instead of running them."""
        return "chief" in self.name


def find_role(host: str | None, environment: Mapping[str, str] = os.environ) -> Role | None:
    """Return this process' part, or None if the search has one process only.

    Args:
        host: The address that a person allowed the chief to listen at, None for loopback only.
        environment: Where KerasTuner's three variables and the secret are looked for.

    Raises:
        InputError: If some of the variables are missing or wrong, or a chief would listen where
            nobody asked it to.
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
    if not is_name(given[TUNER_ID]):
        raise InputError(
            f"{TUNER_ID} has {len(given[TUNER_ID])} letters: set a name of 1 to {LONGEST_NAME} "
            "letters that can be printed."
        )
    role = Role(given[TUNER_ID], given[ORACLE_IP], port, find_secret(environment))
    if role.is_chief:
        allow(role.host, host)
    return role


def find_secret(environment: Mapping[str, str] = os.environ) -> str:
    """Return the secret of a search whose processes a person starts.

    It is never printed, and no file holds it: whoever reads those could take part.

    Args:
        environment: Where it is looked for.

    Raises:
        InputError: If there is none, or it could be guessed.
    """
    secret = environment.get(SECRET, "")
    if len(secret) >= SHORTEST:
        return secret
    found = f"has {len(secret)} letters, {SHORTEST} are needed" if secret else "is not set"
    raise InputError(
        f"{SECRET} {found}: by it the chief and the workers of a search know each other. Set it to "
        f"the same text for all of them; this makes one: {MAKE_SECRET}"
    )


def is_name(name: Any) -> bool:
    """Return whether a process of a search may be called so."""
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()


def allow(listening: str, host: str | None) -> None:
    """Refuse to listen beyond this machine unless the address was named.

    Raises:
        InputError: If nobody named it.
    """
    if listening == host or is_loopback(listening):
        return
    raise InputError(
        f"the chief of the search would listen at {listening}, where other machines reach it and "
        f"the network can read trials and scores: pass host={listening!r} (--host) if that is "
        f"meant, or let it listen at {LOOPBACK}."
    )


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
