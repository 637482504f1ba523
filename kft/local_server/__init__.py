"""A local web page for trying a trained recipe, not for production.

Importing this package is cheap: the server imports Keras on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kft.local_server.server import LocalServer as LocalServer

__all__ = ["LocalServer"]


def __getattr__(name: str) -> Any:
    if name != "LocalServer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has LocalServer")
    from kft.local_server.server import LocalServer

    globals()[name] = LocalServer
    return LocalServer
