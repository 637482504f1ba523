"""Pretrained weights: their origin, and loading them from a file after comparing the shapes."""

import os
import re
from collections import Counter
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import keras

from kft.errors import InputError


@dataclass(frozen=True)
class StartingWeights:
    """The origin of a model's weights before a fit; prints as in the plan.

    Attributes:
        source: The origin, such as "ImageNet".
        pretrained: Whether they were trained before; False if they are random.
    """

    source: str
    pretrained: bool = True

    def __str__(self) -> str:
        return self.source


_LISTED = 3  # layers to name in a message
RANDOM = StartingWeights("random, nothing is pretrained", pretrained=False)


def load_weights_file(model: keras.Model, path: str | PathLike, *, architecture: str) -> None:
    """Load a Keras weights file into a model, which is unchanged if the file does not match.

    Keras loads the older `.h5` files layer by layer in the order of the file, so a file of another
    architecture can fill part of the model before it fails. Here the shapes of all weights are
    compared first.

    Args:
        model: The model without its classifier.
        path: A weights file without classifier ("notop"), `.weights.h5` or the older `.h5`.
        architecture: The model's name, for messages.

    Raises:
        InputError: There is no such file, it is not a weights file, or it belongs to another
            architecture.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise InputError(
            f"`weights={str(path)!r}` is not a file: pass the path of a weights file of "
            f"{architecture}, 'imagenet' to download one, or weights=None to start from scratch."
        )
    if path.suffix != ".h5":
        raise InputError(
            f"`weights={str(path)!r}` is not a Keras weights file: pass a file ending in .h5."
        )
    found = _shapes_in(path)
    in_file, in_model = _counted(found), _shapes_of(model)
    if in_file != in_model:
        raise InputError(
            f"`weights={str(path)!r}` does not fit {architecture}: "
            f"{_difference(in_file, in_model)}{_by_layer(found, model)} Pass the file that "
            f"keras.applications has for {architecture} with include_top=False."
        )
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(
            f"`weights={str(path)!r}` has as many weights as {architecture}, but they do not go "
            f"into it: {error}"
        ) from error


def fits(model: keras.Model, path: str | PathLike) -> bool:
    """Return whether a file has weights of the shapes that a model's weights have.

    Args:
        model: The model without its classifier; its weights need no values.
        path: A weights file.

    Raises:
        InputError: The file cannot be read as HDF5.
    """
    return _counted(_shapes_in(Path(path))) == _shapes_of(model)


def why_not_downloaded(detail: str, url: str) -> str:
    """Return a short reason why Keras could not download a file.

    Args:
        detail: The message of Keras' exception, "URL fetch failure on URL: CODE -- REASON".
        url: The address of the file.
    """
    code, _, reason = detail.partition(f"{url}: ")[2].partition(" -- ")
    if code.isdigit() and len(code) == 3:
        return f"the server answered {code}, {reason}"
    reason = re.sub(r"^(<urlopen error )?(\[Errno -?\d+\] )?", "", reason or detail).rstrip(">. ")
    return f"{reason} (is there a network?)"


def _shapes_in(path):
    """Return the shapes of the model's weights in a file by layer, without slots and random seeds."""
    import h5py

    shapes: dict[str, list[tuple[int, ...]]] = {}

    def visit(name, item):
        parts = name.split("/")
        if not isinstance(item, h5py.Dataset) or parts[0].startswith("optimizer"):
            return
        if "seed_generator" not in name and "top_level_model_weights" not in parts:
            layer = parts[1] if parts[0] == "layers" and len(parts) > 1 else parts[0]
            shapes.setdefault(layer, []).append(item.shape)

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except OSError as error:
        raise InputError(
            f"`weights={str(path)!r}` cannot be read as HDF5 ({error}): download the file again, it "
            "may be truncated."
        ) from error
    return shapes


def _counted(by_layer):
    return Counter(shape for shapes in by_layer.values() for shape in shapes)


def _shapes_of(model):
    return Counter(tuple(weight.shape) for weight in model.weights)


def _by_layer(in_file, model):
    """Return a sentence on the layers whose shapes differ, if the file's names of layers match."""
    expected = {}
    for layer, name in zip(model.layers, _names_in_files(model), strict=True):
        if layer.weights:
            key = layer.name if layer.name in in_file else name
            expected[key] = layer.name, [tuple(weight.shape) for weight in layer.weights]
    if in_file.keys() != expected.keys():
        return ""
    differ = [key for key in expected if sorted(in_file[key]) != sorted(expected[key][1])]
    named = ", ".join(
        f"{expected[key][0]} ({max(in_file[key], key=len)} in the file, "
        f"{max(expected[key][1], key=len)} in the model)"
        for key in differ[:_LISTED]
    )
    more = f" and {len(differ) - _LISTED} more" if len(differ) > _LISTED else ""
    return f" The shapes differ in the layers {named}{more}." if differ else ""


def _names_in_files(model):
    """Yield the name of each layer in a `.weights.h5` file: its class, numbered in the model's order."""
    counts: Counter[str] = Counter()
    for layer in model.layers:
        words = re.sub(r"([A-Z][a-z]+)", r"_\1", re.sub(r"\W+", "", type(layer).__name__))
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower().strip("_").replace("__", "_")
        yield f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1


def _difference(in_file, in_model):
    extra, missing = in_file - in_model, in_model - in_file
    detail = f"the file has {in_file.total()} weights, the model {in_model.total()};"
    if not missing and len(extra) <= 4:
        tops = ", ".join(map(str, sorted(extra)))
        return f"{detail} it seems to include the classifier (shapes {tops})."
    for name, shapes in (("the file", extra), ("the model", missing)):
        if shapes:
            largest = max(shapes, key=lambda shape: (len(shape), shape))
            detail += f" {shapes.total()} only in {name}, such as {largest},"
    return detail.rstrip(",;") + "."
