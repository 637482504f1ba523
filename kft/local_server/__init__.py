"""A local web page for trying a trained recipe, not for production."""

from kft.local_server.server import LocalServer

__all__ = ["LocalServer"]
