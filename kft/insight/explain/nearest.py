"""The training examples nearest to an input in the model's features."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.arguments import check_whole
from kft.arguments.calls import checked_call
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.trees import taken
from kft.errors import InputError
from kft.family.predicting import predictions_of
from kft.insight.explain.images import load_inputs
from kft.insight.given import check_recipe
from kft.model import graph
from kft.plots.explain import neighbour_images
from kft.plots.style import Figure

if TYPE_CHECKING:
    from kft.family.hooks import Family


@dataclass(frozen=True, eq=False, repr=False)
class Neighbours:
    """The nearest training examples of each input; prints as a table.

    Attributes:
        names: The name of each input.
        labels: The recipe's prediction for each input.
        indices: The positions of its nearest examples in the training data, `(n, count)`.
        similarities: Cosine similarity of their features, 1 for the same direction.
        neighbour_names: The name of each nearest example.
        neighbour_labels: The label of each nearest example.
        images: For images, each input followed by its neighbours, `(n, 1 + count, height, width, 3)`;
            None for texts and clips.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    indices: np.ndarray
    similarities: np.ndarray
    neighbour_names: tuple[tuple[str, ...], ...]
    neighbour_labels: tuple[tuple[str, ...], ...]
    images: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        lines = []
        for name, label, *found in self._rows():
            lines.append(f"{name}: {label}")
            lines += [
                f"  {cosine:.3f}  {title}  {other}"
                for cosine, title, other in zip(*found, strict=True)
            ]
        return "\n".join(lines)

    __repr__ = __str__

    def plot(self) -> Figure:
        """Return a figure with each input and its nearest examples in a row.

        Raises:
            InputError: If the inputs are not images.
        """
        if self.images is None:
            raise InputError("only images have a picture: print the neighbours instead.")
        titles = [
            [
                label,
                *(f"{title} {cosine:.2f}" for title, cosine in zip(labels, cosines, strict=True)),
            ]
            for label, labels, cosines in zip(
                self.labels, self.neighbour_labels, self.similarities, strict=True
            )
        ]
        return neighbour_images(self.images, titles)

    def _repr_html_(self) -> str:
        lines = []
        for name, label, *found in self._rows():
            cells = "".join(
                f"<li>{html.escape(title)} ({cosine:.3f}): {html.escape(other)}</li>"
                for cosine, title, other in zip(*found, strict=True)
            )
            lines.append(f"<p>{html.escape(name)}: {html.escape(label)}</p><ol>{cells}</ol>")
        return "".join(lines)

    def _rows(self) -> Any:
        return zip(
            self.names,
            self.labels,
            self.similarities,
            self.neighbour_labels,
            self.neighbour_names,
            strict=True,
        )


@checked_call
def nearest(
    recipe: Family, raw: Any, data: Any, *, count: int = 5, batch_size: int = 32
) -> Neighbours:
    """Find the training examples that are most similar to an input in the model's own features.

    The features are the inputs of the last layer with weights, compared by cosine similarity.

    Args:
        recipe: A fitted recipe.
        raw: As for `predict`.
        data: The training data, as for `fit`, but not a stream.
        count: How many to find. Defaults to 5, or all if there are fewer.
        batch_size: Examples per step.

    Returns:
        The neighbours, nearest first.

    Raises:
        InputError: If the data are a stream, or `count` or `batch_size` is not a number of examples.
    """
    check_recipe(recipe)
    check_whole("count", count, "examples")
    check_whole("batch_size", batch_size, "examples")
    raw = [raw] if isinstance(raw, (str, bytes, os.PathLike)) else raw
    examples = recipe.read(data, classes=recipe.classes)
    if not isinstance(examples, Examples):
        raise InputError(
            f"a {examples.source} has no examples to go back to: pass files or arrays."
        )
    model = graph.features(recipe.model)
    inputs = load_inputs(recipe, raw)
    known = np.concatenate([_directions(model, x) for x in _each(recipe, examples, batch_size)])
    cosines = _directions(model, inputs) @ known.T
    indices = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    names = _names(raw, "input")
    are_named = examples.kind != "arrays"
    every = _names(examples.inputs, "example") if are_named else None
    images = None
    if recipe.modality == "image":
        others = [recipe.load(taken(examples.inputs, row)) for row in indices]
        images = np.stack(
            [np.concatenate([one[None], two]) for one, two in zip(inputs, others, strict=True)]
        )
    return Neighbours(
        names,
        tuple(
            map(str, predictions_of(recipe, names, recipe.model.predict_on_batch(inputs)).labels)
        ),
        indices,
        np.take_along_axis(cosines, indices, axis=1),
        tuple(tuple(every[i] if every else f"example {i}" for i in row) for row in indices),
        tuple(tuple(examples.label(int(i)) for i in row) for row in indices),
        images,
    )


def _each(recipe: Family, examples: Examples, batch_size: int) -> Any:
    for start in range(0, len(examples), batch_size):
        yield recipe.load(taken(examples.inputs, slice(start, start + batch_size)))


def _directions(model: keras.Model, inputs: Any) -> np.ndarray:
    found = np.asarray(model.predict_on_batch(inputs), "float32")
    found = found.reshape(len(found), -1)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def _names(raw: Any, kind: str) -> tuple[str, ...]:
    return tuple(
        shown(one) if isinstance(one, (str, os.PathLike)) else f"{kind} {index}"
        for index, one in enumerate(raw)
    )
