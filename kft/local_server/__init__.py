"""A page on this machine that asks a trained recipe: for trying it, not for production."""

from kft.local_server.server import LocalServer

__all__ = ["LocalServer"]
