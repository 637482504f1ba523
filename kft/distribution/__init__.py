"""Several devices and processes, by the strategy that the backend has."""

from kft.distribution.devices import device_count as device_count
from kft.distribution.devices import scope as scope

__all__ = ["device_count", "scope"]
