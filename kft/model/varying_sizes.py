"""The sizes of tensors in a graph for images of varying size, computed for 512 pixels."""

from __future__ import annotations

from typing import Any

import keras


def varies(tensor: keras.KerasTensor) -> bool:
    """Return whether a tensor holds images of varying size."""
    return len(tensor.shape) > 3 and None in tensor.shape[1:]


class VaryingSizes:
    """The output sizes of a graph for images of varying size, propagated from 512 pixels."""

    def __init__(self) -> None:
        self._tensors: dict[int, keras.KerasTensor] = {}

    def rename(self, old: list, new: list) -> None:
        """Assign the sizes of the tensors `old` to the tensors `new`."""
        for before, after in zip(old, new, strict=True):
            self._tensors[id(after)] = self._tensors[id(before)]

    def of_first_output(self, node: Any) -> keras.KerasTensor:
        """Return the first output of a node of Keras' graph, with its size."""
        if not node.input_tensors:
            outputs = [_fixed_size(tensor) for tensor in node.output_tensors]
        else:
            args, kwargs = node.arguments.fill_in(self._tensors)
            outputs = keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))
        for tensor, sized in zip(node.output_tensors, outputs, strict=True):
            self._tensors[id(tensor)] = sized
        return outputs[0]


def _fixed_size(tensor: keras.KerasTensor) -> keras.KerasTensor:
    if not varies(tensor):
        return tensor
    shape = (tensor.shape[0], *(512 if size is None else size for size in tensor.shape[1:]))
    return keras.KerasTensor(shape, dtype=tensor.dtype)
