"""Training on several devices and processes, with the backend's own strategy.

Importing this package is cheap: a name imports its module, and with it Keras, on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kft.distribution.agreement import Agreement as Agreement
    from kft.distribution.devices import device_count as device_count
    from kft.distribution.devices import scope as scope
    from kft.distribution.hosts import initialize as initialize
    from kft.distribution.strategies import DataParallel as DataParallel
    from kft.distribution.strategies import ModelParallel as ModelParallel
    from kft.distribution.strategies import resolve as resolve

_HOMES = {
    "Agreement": "agreement",
    "DataParallel": "strategies",
    "ModelParallel": "strategies",
    "device_count": "devices",
    "initialize": "hosts",
    "resolve": "strategies",
    "scope": "devices",
}

__all__ = [
    "Agreement",
    "DataParallel",
    "ModelParallel",
    "device_count",
    "initialize",
    "resolve",
    "scope",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    globals()[name] = value = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
