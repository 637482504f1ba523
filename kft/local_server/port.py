"""A port of this machine that a server holds before it is ready to listen."""

from __future__ import annotations

import socket

from kft.errors import InputError

__all__ = ["ADDRESS", "hold", "unusable"]

ADDRESS = "127.0.0.1"


def hold(port: int) -> socket.socket:
    """Return a socket that holds a port: clients are refused until a server listens on it.

    Args:
        port: The port; 0 for any free one.

    Raises:
        InputError: If the port cannot be used, such as because another server listens on it.
    """
    found = socket.socket()
    try:
        # Connections of an earlier server keep its port for a minute after it has ended.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((ADDRESS, port))
    except (OSError, OverflowError) as error:
        found.close()
        raise unusable(port, error) from error
    return found


def unusable(port: int, error: Exception) -> InputError:
    """Return the error for a port that cannot be used."""
    reason = getattr(error, "strerror", None) or error
    return InputError(
        f"`port={port}` cannot be used ({reason}): pass another, or 0 for any free one."
    )
