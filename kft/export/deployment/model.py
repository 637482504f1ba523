"""A model for TensorFlow Serving: what its server and its clients need to know, all of it checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from kft.data.files import shown as printed
from kft.errors import InputError
from kft.export import promises
from kft.export.deployment.version import Version, unreadable
from kft.export.promises import Signature

_RELEASE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.[0-9]", re.ASCII)
MEBIBYTE = 2**20
_LEAST_FOR_REQUESTS, _MOST_FOR_REQUESTS = 1024, 4096  # MiB, with the server itself
_MOST_FRAMES = 1000  # of a clip, each of which is in the example request


@dataclass(frozen=True)
class SavedModel:
    """A version for TensorFlow Serving.

    Attributes:
        version: The version.
        inputs: The names of the raw inputs.
        shape: The shape of a raw input's strings; empty for a single string.
        signatures: Name to signature.
        release: The TensorFlow release that exported it, such as `"2.21"`.
    """

    version: Version
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    signatures: Mapping[str, Signature]
    release: str

    @classmethod
    def of(cls, version: Version) -> SavedModel:
        """Return the model of a version.

        Raises:
            InputError: If it is not for TensorFlow Serving, or its description is damaged.
        """
        if version.kind is not None:
            raise InputError(
                f"`{printed(version.path)}` is an {version.kind} export, but TensorFlow Serving loads "
                "SavedModels: export the run in that format, the default of `kft export`."
            )
        try:
            described = promises.Description.from_json(version.facts)
            release = version.facts["packages"]["tensorflow"]
            parts = _RELEASE.match(release)
            if parts is None:
                raise ValueError(f"TensorFlow {release!r:.100}")
            if len(described.shape) > 1 or not all(0 < n <= _MOST_FRAMES for n in described.shape):
                raise ValueError(f"inputs of the shape {described.shape!r:.100}")
        except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise unreadable(version.path, error) from error
        release = f"{int(parts[1])}.{int(parts[2])}"
        return cls(version, described.inputs, described.shape, described.signatures(), release)

    @property
    def memory(self) -> tuple[int, int]:
        """An estimate of the server's memory in MiB: what it needs at least, and a limit.

        The weights count twice, since they may be read before they are copied into variables.
        """
        weights = math.ceil(2 * self.version.size / MEBIBYTE)
        return _LEAST_FOR_REQUESTS + weights, _MOST_FOR_REQUESTS + weights

    @property
    def image_tag(self) -> str:
        """The release of TensorFlow Serving that fits the TensorFlow that exported the version."""
        return f"{self.release}.0"
