"""The layout of a model's weights for model parallelism: which are sharded, and along which axis."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

import keras

from kft.errors import InputError

Axes = tuple[str | None, ...]

# The axes to shard for each kind of weight, the best one first. Columns of one kernel match rows of the
# next, so a Transformer block exchanges its sums only twice (Shoeybi et al. 2019,
# https://arxiv.org/abs/1909.08053, section 3). The names are those of KerasHub and Keras.
_RULES: tuple[tuple[str, tuple[int, ...]], ...] = (
    (r"(query|key|value)/kernel", (1, 2)),
    (r"(query|key|value)/bias", (0, 1)),
    (r"attention_output/kernel", (0, 1)),
    (r"feedforward_intermediate_dense/(kernel|bias)", (-1,)),
    (r"feedforward_output_dense/kernel", (0,)),
    (r"token_embedding/embeddings", (0, 1)),
)
_LARGE = 2**16  # smallest kernel of other layers that is sharded, in weights


@dataclasses.dataclass(frozen=True)
class Layout:
    """The sharded weights of a model.

    Attributes:
        parts: The number of devices that hold one copy of the model.
        axes: By path of the variable, `"model"` for an axis that is sharded and None for others;
            variables that are not listed are replicated on each device.
        bytes_whole: Size of all weights.
        bytes_each: Size of the weights on a single device.
        shapes: By path, the shape of each sharded variable.
    """

    parts: int
    axes: Mapping[str, Axes]
    bytes_whole: int
    bytes_each: int
    shapes: Mapping[str, tuple[int, ...]]

    def lines(self) -> list[str]:
        """Return one line for each kind of sharded weight, and one for all weights."""
        kinds: dict[tuple[str, Axes, tuple[int, ...]], int] = {}
        for path, axes in self.axes.items():
            kind = re.sub(r"_\d+(?=/)", "_*", path), axes, self.shapes[path]
            kinds[kind] = kinds.get(kind, 0) + 1
        found = []
        for (path, axes, shape), count in kinds.items():
            sides = [f"{n}/{self.parts}" if a else f"{n}" for n, a in zip(shape, axes, strict=True)]
            times = "" if count == 1 else f", {count} of them"
            found.append(f"Cut in {self.parts}: {path} ({' x '.join(sides)}{times})")
        whole, each = self.bytes_whole / 2**20, self.bytes_each / 2**20
        found.append(f"Each device holds {each:.3g} of {whole:.3g} MiB of weights.")
        return found


def layout_for(model: keras.Model, parts: int, layout: Mapping[str, Axes] | None = None) -> Layout:
    """Choose the weights to shard: a Transformer's by the rules above, and otherwise large kernels.

    An axis is sharded only if its length is a multiple of `parts`. Other kernels of at least
    65,536 weights, such as heads and wide convolutions of image models, are sharded by output.

    Args:
        model: A built model.
        parts: The number of devices that hold one copy.
        layout: Regular expressions of variable paths, with axes as in `ModelParallel`, in place of
            the rules.

    Raises:
        InputError: If a pattern matches nothing or does not fit, or nothing of the model can be sharded.
    """
    found: dict[str, Axes] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    unused = set(layout or ())
    for variable in model.weights:
        shape = tuple(variable.shape)
        axes = None
        if layout is None:
            axes = _axes_by_rule(variable.path, shape, parts)
        for pattern, chosen in (layout or {}).items():
            if re.search(pattern, variable.path):
                unused.discard(pattern)
                axes = _fitting(pattern, tuple(chosen), variable.path, shape, parts)
        if axes is not None and any(axes):
            found[variable.path], shapes[variable.path] = axes, shape
    if unused or not found:
        raise InputError(
            f"`layout` pattern {sorted(unused)[0]!r} matches no variable of {model.name}."
            if unused
            else f"Nothing of {model.name} can be cut in {parts} parts: pass `layout`, another number "
            "of devices, or distribution='data_parallel'."
        )
    whole = each = 0
    for variable in model.weights:
        size = math.prod(variable.shape) * _item_size(variable)
        whole += size
        each += size // parts if variable.path in found else size
    return Layout(parts, found, whole, each, shapes)


def _axes_by_rule(path: str, shape: tuple[int, ...], parts: int) -> Axes | None:
    ruled = (axes for pattern, axes in _RULES if re.search(rf"(^|/){pattern}$", path))
    large = path.endswith("/kernel") and math.prod(shape) >= _LARGE
    for axis in next(ruled, (-1,) if large else ()):
        if shape[axis] % parts == 0:
            return tuple("model" if i == axis % len(shape) else None for i in range(len(shape)))
    return None


def _fitting(pattern: str, axes: Axes, path: str, shape: tuple[int, ...], parts: int) -> Axes:
    cut = [length for length, axis in zip(shape, axes, strict=False) if axis]
    if len(axes) != len(shape) or len(cut) > 1 or any(length % parts for length in cut):
        raise InputError(
            f"`layout[{pattern!r}]={axes}` does not fit {path} of shape {shape} and {parts} parts: "
            "name each axis, at most one of them 'model', and of a length that divides by the parts."
        )
    return axes


def _item_size(variable: keras.Variable) -> int:
    bits = "".join(c for c in keras.backend.standardize_dtype(variable.dtype) if c.isdigit())
    return int(bits or 8) // 8
