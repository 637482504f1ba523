"""`LoRA`: low-rank adapters for layers of a backbone."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras

from kft.arguments import is_number, is_whole, make_plain, shown
from kft.arguments.calls import CheckedCalls
from kft.errors import InputError
from kft.model import graph
from kft.model.blocks import find_anatomy
from kft.printing import how_many

_MOST = 4096  # the largest rank, larger than the kernels to adapt are wide
_DENSE = (keras.layers.Dense, keras.layers.EinsumDense)
_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
KINDS: dict[str, tuple[type, ...]] = {
    "attention": _DENSE,
    "dense": _DENSE,
    "embedding": (keras.layers.Embedding,),
    "conv": _CONVOLUTIONS,
}
_ADAPTABLE = (*_DENSE, *_CONVOLUTIONS, keras.layers.Embedding)


@dataclasses.dataclass(frozen=True)
class LoRA(CheckedCalls):
    """Low-rank adapters on layers of a pretrained backbone (Hu et al., https://arxiv.org/abs/2106.09685).

    A layer with the kernel `W` computes with `W + alpha / rank * A @ B`. `W` does not change in any
    stage, whatever it unfreezes. `B` is zero before training, so that outputs are those of the model
    without adapters.

    By default every dense kernel is adapted, inside and outside of attention: on query and value
    only, LoRA needs a higher rank or falls behind full fine-tuning (QLoRA, section 4,
    https://arxiv.org/abs/2305.14314; LoRA Without Regret,
    https://thinkingmachines.ai/blog/lora/). Backbones without dense kernels, such as ResNets, get
    adapters on their convolutions.

    Args:
        rank: columns of `A` and rows of `B`, 1 to 4096. Keras splits a kernel at its last axis: the
            query of an attention of 12 heads is a kernel `(channels, 12, size)`, and its `A` has
            `channels * 12 * rank` numbers. Defaults to 8.
        alpha: a positive number. Defaults to `rank`, as in Keras, for a scale of 1.
        layers: kinds of layers, `"attention"` (the dense kernels within attention), `"dense"` (all
            `Dense` and `EinsumDense`), `"embedding"` and `"conv"`, or shell-style patterns of names
            or paths, such as `["query", "value"]` or `["*/self_attention_layer/*"]`. Defaults to
            `"dense"`, or `"conv"` if there are none.
        blocks: the number of top blocks (see `kft.find_blocks`) that get adapters. Blocks below are
            frozen, so that their output can be cached in a stage that trains only adapters (Skip2-LoRA,
            https://arxiv.org/abs/2410.21073). Defaults to all.

    Raises:
        InputError: a value is out of its range.

    Example:

    ```python
    recipe = BertRecipe("bert_base_en_uncased", num_classes=2, adapters=kft.LoRA(rank=8, blocks=4))
    ```
    """

    rank: int = 8
    alpha: float | None = None
    layers: str | Sequence[str] | None = None
    blocks: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        _require(
            "rank", self.rank, is_whole(self.rank, 1, _MOST), f"a whole number from 1 to {_MOST}."
        )
        _require(
            "alpha",
            self.alpha,
            self.alpha is None or (is_number(self.alpha) and self.alpha > 0),
            "a positive number, or None for the rank.",
        )
        _require(
            "blocks",
            self.blocks,
            self.blocks is None or is_whole(self.blocks, 1),
            "a number of blocks, at least 1, or None for all.",
        )
        names: Any = (self.layers,) if isinstance(self.layers, str) else self.layers
        are_names = isinstance(names, Sequence) and all(isinstance(n, str) and n for n in names)
        kinds = ", ".join(map(repr, KINDS))
        _require(
            "layers",
            self.layers,
            names is None or (are_names and names),
            f"{kinds}, or a list of them and of patterns of layers' names, such as "
            "['query', 'value'].",
        )
        object.__setattr__(self, "layers", None if names is None else tuple(names))

    @classmethod
    def of(cls, given: Any) -> Self | None:
        """Return adapters from a `LoRA`, a dict of its arguments (a saved recipe's), or None.

        Raises:
            InputError: it is something else.
        """
        if given is None or isinstance(given, cls):
            return given
        names = [field.name for field in dataclasses.fields(cls)]
        if isinstance(given, Mapping) and all(name in names for name in given):
            return cls(**given)
        raise InputError(
            f"`adapters={shown(given)}`: pass a kft.LoRA, such as kft.LoRA(rank=8), or a dict of its "
            f"arguments {', '.join(names)}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as JSON values, without defaults other than the rank's."""
        found = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "rank" or value != field.default:
                found[field.name] = list(value) if isinstance(value, tuple) else value
        return found

    def add_to(self, model: keras.Model, seed: int) -> None:
        """Add adapters to the layers of a model whose head is known.

        Args:
            model: a functional model without adapters on these layers.
            seed: seed of the initial values of `A`.

        Raises:
            InputError: no layer of the backbone matches, or there are fewer blocks.
        """
        blocks = find_anatomy(model).blocks
        if self.blocks is not None and self.blocks > len(blocks):
            raise InputError(
                f"`adapters=kft.LoRA(blocks={self.blocks})`, but {model.name!r} has "
                f"{how_many(len(blocks), 'block')}: pass 1 to {len(blocks)}, or None for all."
            )
        candidates: dict[keras.Layer, bool] = {}  # and whether they are within attention
        for block in blocks[: self.blocks]:
            for layer in block.layers:
                candidates |= _adaptable(layer)
        chosen_layers = self._chosen(candidates)
        if not chosen_layers:
            names = sorted({layer.name for layer in candidates})
            has = f"has {', '.join(names[:8])}" if names else "has none that takes adapters"
            raise InputError(
                f"`adapters=kft.LoRA(layers={self.layers and list(self.layers)})` matches no layer of the "
                f"blocks to adapt: {model.name!r} {has}. Pass kinds ({', '.join(map(repr, KINDS))}) or "
                "patterns of names."
            )
        for index, layer in enumerate(chosen_layers):
            if layer.lora_enabled:
                raise InputError(
                    f"`adapters={self!r}`, but the layer {layer.path!r} has adapters already: leave one "
                    "of them out."
                )
            start = keras.initializers.HeUniform(seed=seed + index)
            layer.enable_lora(self.rank, lora_alpha=self.alpha, a_initializer=start)

    def _chosen(self, layers: Mapping[keras.Layer, bool]) -> list[Any]:
        """Return the layers among candidates that get adapters."""
        if self.layers is not None:
            return [one for one, inside in layers.items() if _matches(one, inside, self.layers)]
        dense = [one for one in layers if isinstance(one, _DENSE)]
        return dense or [one for one in layers if isinstance(one, _CONVOLUTIONS)]


def _adaptable(layer: keras.Layer) -> dict[keras.Layer, bool]:
    """Return the layers at any depth that take adapters, and whether they are within attention."""
    layers = [layer, *graph.sublayers(layer)]
    attentions = [one for one in layers if "Attention" in type(one).__name__]  # KerasHub's too
    inside = {inner for one in attentions for inner in graph.sublayers(one)}
    return {one: one in inside for one in layers if isinstance(one, _ADAPTABLE)}


def _matches(layer: keras.Layer, inside: bool, wanted: Sequence[str]) -> bool:
    for one in wanted:
        if one in KINDS:
            if isinstance(layer, KINDS[one]) and (inside or one != "attention"):
                return True
        elif any(fnmatch.fnmatchcase(name, one) for name in (layer.name, layer.path)):
            return True
    return False


def _require(name: str, value: Any, condition: Any, advice: str) -> None:
    if not condition:
        raise InputError(f"`adapters=kft.LoRA({name}={shown(value)})`: pass {advice}")
