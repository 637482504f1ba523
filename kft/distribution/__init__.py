"""Several devices and processes, by the strategy that the backend has."""

from kft.distribution.agreement import Agreement as Agreement
from kft.distribution.devices import device_count as device_count
from kft.distribution.devices import scope as scope
from kft.distribution.hosts import initialize as initialize
from kft.distribution.strategies import DataParallel as DataParallel
from kft.distribution.strategies import ModelParallel as ModelParallel
from kft.distribution.strategies import resolve as resolve

__all__ = [
    "Agreement",
    "DataParallel",
    "ModelParallel",
    "device_count",
    "initialize",
    "resolve",
    "scope",
]
