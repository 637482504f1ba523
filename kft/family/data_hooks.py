"""The hooks of a model family for its data: reading, loading, batching and augmenting."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras

from kft.arguments import shown
from kft.arguments.calls import checked_call
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.files import shown as shown_path
from kft.data.image_files import MAX_PIXELS
from kft.data.read import read
from kft.data.sequences import as_rows
from kft.data.stream_checks import StreamCheck, checked
from kft.errors import InputError
from kft.family.raw_examples import as_encoded
from kft.family.serving import ServingInputs
from kft.model.graph import inputs_and_outputs


class DataHooks:
    """The hooks between raw data and the model; the others are in `kft.family.hooks.Family`."""

    modality: ClassVar[str]
    usual_augmentation: ClassVar[str | None] = None  # used with the default stages
    task: Any
    classes: Any

    @checked_call
    def read(
        self,
        source: Any,
        *,
        classes: Any = None,
        text_column: str = "text",
        path_column: str = "path",
        label_column: str | Sequence[str] | Mapping[str, Any] = "label",
        encoding: str = "utf-8",
        on_bad_example: str = "error",
        max_pixels: int = MAX_PIXELS,
        split: str | None = None,
        steps_per_epoch: int | None = None,
        groups: Any = None,
        order: Any = None,
        image_root: str | os.PathLike[str] | None = None,
    ) -> Any:
        """Read labelled data; `fit` and `evaluate` accept the result in place of the source.

        Args:
            source: A folder, table, TFDS name, arrays or stream, as for `kft.data.read`.
            classes: The expected classes, or a dict of them for several tasks; None to use those of the
                data.
            text_column: Column of a table with the texts.
            path_column: Column of a table with paths of images, relative to the table.
            label_column: Column of a table with the labels, several for regression, or a dict of them
                for several tasks, whose default is a column named like each task.
            encoding: Encoding of text files.
            on_bad_example: `"error"`, or `"skip"` to leave out examples that cannot be used.
            max_pixels: The largest image accepted, width times height.
            split: Split of a TFDS, such as `"train[:80%]"`.
            steps_per_epoch: Batches per epoch of a stream that never ends.
            groups: Column of a table whose equal values a split keeps together, such as the person in a
                photo; or a value for each example.
            order: Column or values as for `groups`, with times; a split uses the latest for validation.
            image_root: Folder that paths of images in a table are relative to. Defaults to that of the
                table.

        Returns:
            `Examples`, or a `Stream`.
        """
        data = read(
            source,
            task=self.task,
            modality=self.modality,
            classes=classes,
            text_column=text_column,
            path_column=path_column,
            label_column=label_column,
            encoding=encoding,
            on_bad_example=on_bad_example,
            max_pixels=max_pixels,
            split=split,
            steps_per_epoch=steps_per_epoch,
            groups=groups,
            order=order,
            image_root=image_root,
        )
        if isinstance(data, Examples):
            self.check_examples(data)
            return self.examples_in_pieces(data)
        return data

    def check_examples(self, examples: Examples) -> None:
        """Check that examples suit this recipe, beyond what `kft.data` can check.

        Args:
            examples: The examples, read by `read` or passed by the caller.

        Raises:
            InputError: If they do not.
        """

    def examples_in_pieces(self, examples: Examples) -> Examples:
        """Return examples with a row for each piece of a long input. By default they are unchanged.

        Args:
            examples: The examples, or what this method returned before.
        """
        return examples

    def raw_inputs(self, raw: Any) -> Any:
        """Return the inputs that were passed to `predict` as a sequence.

        Args:
            raw: A single input, or an ordered collection of them, such as a list or an array.

        Returns:
            Inputs that `load` accepts, also as slices.

        Raises:
            InputError: If they have no order or no end, are a whole table, or contain unusable values.
        """
        return as_rows([raw] if isinstance(raw, (str, bytes, os.PathLike)) else raw, "raw")

    @property
    def quotes_inputs(self) -> bool:
        """Whether answers are spans of the inputs: `Task.predictions` then gets the inputs as names."""
        return False

    def in_pieces(self, raw: Any) -> Any:
        """Return the inputs for `predict`, with each long input as several consecutive pieces.

        By default the inputs are unchanged. A family that cuts them sets `quotes_inputs`, so that the task
        can combine the answers for the pieces.

        Args:
            raw: What `raw_inputs` returned, or a part of it.
        """
        return raw

    def input_name(self, value: Any, index: int) -> str:
        """Return the name of an input that `predict` shows next to its answer: its path, or the text itself.

        Args:
            value: One of the inputs that `raw_inputs` returned.
            index: Its position.
        """
        if isinstance(value, str) and self.modality == "text":
            return value
        return shown_path(value) if isinstance(value, (str, os.PathLike)) else f"input {index}"

    def encoded(self, raw: Any) -> list[Any]:
        """Return raw inputs in the form that a request to a server has.

        Args:
            raw: The result of `raw_inputs`, or the inputs of `Examples`.

        Returns:
            Texts, encoded images (bytes), or other rows that `serving_inputs().decode` accepts.
        """
        return [as_encoded(image) for image in raw] if self.modality == "image" else list(raw)

    def load(self, raw: Any) -> Any:
        """Convert raw inputs (paths, strings, arrays) to the model's inputs, as NumPy arrays."""
        raise NotImplementedError(f"{type(self).__name__} must define `load(raw)`.")

    @property
    def model(self) -> keras.Model:
        """The model, built on first access."""
        raise NotImplementedError

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the model's inputs, as the keys of a dict of inputs; empty for a model without a graph."""
        if not getattr(self.model, "inputs", None):
            return ()
        inputs, _ = inputs_and_outputs(self.model)
        flat = keras.tree.flatten(inputs)
        return tuple(inputs) if isinstance(inputs, dict) else tuple(one.name for one in flat)

    def from_stream(self, dataset: Any) -> Any:
        """Prepare a `tf.data.Dataset` or `PyDataset` for the model.

        By default its batches must already be the model's inputs, whose names and targets are checked.
        """
        return checked(dataset, StreamCheck(self.task, inputs=self.input_names))

    def batches(
        self,
        examples: Examples,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        balance: str | None = None,
        augment: Callable | None = None,
    ) -> keras.utils.PyDataset:
        """Return batches of the model's inputs and targets; the arguments are those of `Batches`."""
        return Batches(
            examples,
            self.load,
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            balance=balance,
            augment=augment,
            soft_targets=getattr(augment, "soft_targets", False),
        )

    @property
    def output_names(self) -> Any:
        """The names that the task uses for its numbered outputs, by default the classes."""
        return self.classes

    def row_count(self, examples: Examples) -> int:
        """Return how many rows `batches` makes of examples: one for each, unless they are cut."""
        return len(examples)

    def augmentation(self, chosen: Any) -> Callable | None:
        """Convert the argument `augment` to a function `(x, y, seed) -> (x, y)`, or None."""
        if chosen is None or callable(chosen):
            return chosen
        raise InputError(
            f"`augment={chosen!r}` is unknown to {type(self).__name__}: pass None or a function "
            "(x, y, seed) -> (x, y)."
        )

    def labels_stay_true(self, chosen: Any, made: Callable | None) -> Callable | None:
        """Return an augmentation of the inputs if the task's labels remain true under it.

        Args:
            chosen: The argument `augment`.
            made: The function that `augmentation` returned for it.

        Raises:
            InputError: If it would change inputs, but not labels that depend on positions in them.
        """
        if self.task.augmentable or not hasattr(made, "describe"):  # a user's own function
            return made
        raise InputError(
            f"`augment={shown(chosen)}` changes the inputs and not the labels, which the task "
            f"{self.task.name!r} may tie to places in them: pass a function (x, y, seed) -> (x, y) that "
            "changes both, or say `augmentable = True` in the task."
        )

    def load_all(self, examples: Examples) -> Any:
        """Convert all examples to the model's inputs at once, for small data."""
        return self.load(examples.inputs)

    def serving_inputs(self) -> ServingInputs:
        """Return how the exporter converts raw inputs to the model's inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define `serving_inputs()`.")
