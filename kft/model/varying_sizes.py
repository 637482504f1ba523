"""The sizes of tensors in a graph whose images vary in size, as they are for a 512 pixel image."""

from __future__ import annotations

from typing import Any

import keras


def varies(tensor: keras.KerasTensor) -> bool:
    """Return whether a tensor holds images whose size varies."""
    return len(tensor.shape) > 3 and None in tensor.shape[1:]


class VaryingSizes:
    """Output sizes of a graph whose images vary in size, followed from a 512 pixel image."""

    def __init__(self) -> None:
        self._tensors: dict[int, keras.KerasTensor] = {}

    def rename(self, old: list, new: list) -> None:
        """Give the tensors `new` the sizes of the tensors `old`."""
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
