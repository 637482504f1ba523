"""The `trainable` flags of a model: reading, setting, restoring, and which ones the user set."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras

from kft.model import graph
from kft.model.adapters import own_adapters


@dataclasses.dataclass(frozen=True)
class Flags:
    """All `trainable` flags of a model.

    Attributes:
        layers: flags of the model and of each layer in it, parents before their children.
        variables: flags of `model.variables`.
    """

    layers: tuple[bool, ...]
    variables: tuple[bool, ...]

    def fit(self, others: Flags) -> bool:
        """Return whether both have the same number of layers and of variables."""
        return len(self.layers) == len(others.layers) and len(self.variables) == len(
            others.variables
        )

    def to_text(self) -> list[str]:
        """Return the flags as strings of 0 and 1."""
        return ["".join(str(int(flag)) for flag in each) for each in (self.layers, self.variables)]

    @classmethod
    def from_text(cls, texts: Sequence[str]) -> Flags:
        """Return the flags from the strings of `to_text`."""
        layers, variables = (tuple(letter == "1" for letter in text) for text in texts)
        return cls(layers, variables)


def flags_of(model: keras.Model) -> Flags:
    """Return the `trainable` flags of all layers and variables."""
    layers = (model, *graph.sublayers(model))
    return Flags(
        tuple(bool(layer.trainable) for layer in layers),
        tuple(bool(variable.trainable) for variable in model.variables),
    )


def set_flags(model: keras.Model, flags: Flags) -> None:
    """Set all flags to those that `flags_of` returned for a model of the same layers."""
    layers = (model, *graph.sublayers(model))
    for layer, flag in zip(layers, flags.layers, strict=True):
        _set(layer, flag)  # parents come first, since setting their flag sets their children's
    for variable, flag in zip(model.variables, flags.variables, strict=True):
        variable.trainable = flag


def unfreeze_all(model: keras.Model) -> None:
    """Unfreeze every layer at every depth: a frozen container would hide trainable weights inside."""
    for layer in (model, *graph.sublayers(model)):
        _set(layer, True)


def _set(layer: keras.Layer, flag: bool) -> None:
    """Set the flags of a layer and of everything inside, whatever they were before.

    On TensorFlow, Keras (3.15.1) ignores setting a flag to its current value, and then leaves the
    layers inside unchanged.
    """
    layer.trainable = not flag
    layer.trainable = flag


@contextlib.contextmanager
def kept_flags(model: keras.Model) -> Iterator[None]:
    """Restore the flags of all layers and variables at the end."""
    flags = flags_of(model)
    notes = [(weight, _note_of(weight)) for weight in model.weights]
    try:
        yield
    finally:
        set_flags(model, flags)
        for weight, before in notes:
            setattr(weight, _NOTE, before)


class Decisions(NamedTuple):
    """The user's decisions about the weights of a model, by their `id`.

    Attributes:
        trains: weights that a stage may train.
        frozen: weights that could train but were frozen by the user.
    """

    trains: set[int]
    frozen: set[int]


def decisions(model: keras.Model) -> Decisions:
    """Distinguish the weights that stages may train from those that the user froze.

    Flags of layers do not count, since stages set them. A weight is frozen by the user if its own
    flag is off while those of the layers that hold it are on (`layer.kernel.trainable = False`), or
    if LoRA freezes it, whatever the flags. Flags that a stage has set are recognised, so that a second
    fit decides like the first.
    """
    above = _flags_above(model)
    before = {id(weight): bool(weight.trainable) for weight in model.weights}
    with kept_flags(model):
        unfreeze_all(model)
        made_to_train = {id(weight) for weight in model.weights if weight.trainable}
    fixed = _fixed_by_lora(model)
    trains = set()
    for weight in model.weights:
        key, note = id(weight), _note_of(weight)
        if key in fixed:
            continue
        if before[key]:
            trains.add(key)
        elif note is not None and (note.layers == above[key] or not note.trains):
            trains |= {key} if note.trains else set()
        elif key in made_to_train and not all(above[key]):
            trains.add(key)
    return Decisions(trains, (made_to_train | fixed) - trains)


def _fixed_by_lora(model: keras.Model) -> set[int]:
    """Return the weights that LoRA adapts, and others that a KerasHub backbone with LoRA freezes.

    `Backbone.enable_lora` freezes the whole backbone except for the layers that it adapts. KerasHub
    (0.32) has no public way to find out whether it was called.
    """
    adapted: set[int] = set()
    adaptable: set[int] = set()  # all weights of the layers that are adapted
    backbones: set[int] = set()
    for layer in (model, *graph.sublayers(model)):
        if getattr(layer, "_lora_enabled_layers", None):
            backbones |= {id(weight) for weight in layer.weights}
        if isinstance(layer, keras.Model):
            continue
        adapters = own_adapters(layer)
        if adapters:
            adaptable |= {id(weight) for weight in graph.own_weights(layer)}
            adapted |= {id(one.base) for one in adapters}
    return adapted | (backbones - adaptable)


# A stage stores its note on the weight itself, which has the right lifetime and is copied with it.
_NOTE = "_left_by_kft"


class _Note(NamedTuple):
    """A note on a weight that a stage froze: the flags of its layers, and the user's decision."""

    layers: tuple[bool, ...]
    trains: bool


def _note_of(weight: keras.Variable) -> _Note | None:
    return getattr(weight, _NOTE, None)


def remember(model: keras.Model, decided: Decisions) -> None:
    """Store the user's decision on each frozen weight, for the next call of `decisions`."""
    above = _flags_above(model)
    for weight in model.weights:
        note = None if weight.trainable else _Note(above[id(weight)], id(weight) in decided.trains)
        setattr(weight, _NOTE, note)


def _flags_above(model: keras.Model) -> dict[int, tuple[bool, ...]]:
    """Return for each weight, by its `id`, the flags of the layers that hold it directly."""
    found: dict[int, tuple[bool, ...]] = {}
    for layer in (model, *graph.sublayers(model)):
        for weight in graph.own_weights(layer):
            found[id(weight)] = (*found.get(id(weight), ()), bool(layer.trainable))
    return found
