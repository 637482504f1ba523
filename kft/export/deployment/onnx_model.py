"""A model in ONNX: the names, types and sizes of its inputs and outputs, all of them checked."""

from __future__ import annotations

import importlib
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.arguments import shown
from kft.data.files import shown as printed
from kft.errors import InputError
from kft.export import runtimes
from kft.export.deployment.version import Version

# Of a tensor's name, which is part of configuration files.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}", re.ASCII)
_TYPES = {1: "FP32", 6: "INT32", 7: "INT64", 9: "BOOL"}  # as ONNX numbers them
_MOST_VALUES = 2**24  # of an input of one row
_LARGEST_FILE = 2**31  # bytes of a file in ONNX' format


@dataclass(frozen=True)
class OnnxTensor:
    """An input or output of the model.

    Attributes:
        name: Its name.
        datatype: `"FP32"`, `"INT32"`, `"INT64"` or `"BOOL"`.
        sizes: The sizes of its axes without the first, the batch.
    """

    name: str
    datatype: str
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class OnnxModel:
    """A version in ONNX.

    Attributes:
        version: The version.
        inputs: Its inputs.
        outputs: Its outputs.
    """

    version: Version
    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]

    @classmethod
    def of(cls, version: Version) -> OnnxModel:
        """Return the model of a version.

        Raises:
            InputError: If it is not in ONNX or cannot be read, or the package `onnx` is missing.
        """
        lacking = runtimes.missing(("onnx",))
        if lacking is not None:
            raise InputError(f"an ONNX export {lacking}")
        graph = _read(version.path / runtimes.FILES["onnx"])
        inputs, outputs = (tuple(map(_tensor, found)) for found in (graph.input, graph.output))
        if not inputs or not outputs:
            raise InputError(
                f"`{printed(version.path)}` has no inputs or outputs: export it again."
            )
        return cls(version, inputs, outputs)


def _read(path: Path) -> Any:
    """Return the graph of a file, whose weights must be in it."""
    onnx = importlib.import_module("onnx")
    try:
        if os.path.getsize(path) > _LARGEST_FILE:
            raise ValueError("more than 2 GiB")
        graph = onnx.ModelProto.FromString(path.read_bytes()).graph  # follows no other file
    except Exception as error:
        # The errors of protobuf have no common class with those of files.
        raise InputError(
            f"`{printed(path)}` cannot be read ({printed(str(error))}): export the run again."
        ) from error
    if any(one.data_location == onnx.TensorProto.EXTERNAL for one in graph.initializer):
        raise InputError(
            f"`{printed(path)}` keeps weights in other files, which kft does not write: export the run again."
        )
    return graph


def _tensor(found: Any) -> OnnxTensor:
    kind = found.type.tensor_type
    axes = list(kind.shape.dim)
    sizes = tuple(axis.dim_value for axis in axes[1:])
    is_batch = bool(axes) and not axes[0].HasField("dim_value")
    suits = bool(_NAME.fullmatch(found.name)) and kind.elem_type in _TYPES
    if not (suits and is_batch and sizes and min(sizes) > 0 and math.prod(sizes) <= _MOST_VALUES):
        raise InputError(
            f"the ONNX tensor {shown(found.name)} of the sizes {shown([*sizes])}: expected numbers in a batch "
            "of any size, with fixed sizes otherwise: export the run again."
        )
    return OnnxTensor(found.name, _TYPES[kind.elem_type], sizes)
