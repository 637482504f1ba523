"""What a family of models may say of its data: how they are read, loaded, batched and augmented."""

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
    """The hooks between raw data and a model; `kft.family.hooks.Family` has the others."""

    modality: ClassVar[str]
    usual_augmentation: ClassVar[str | None] = None  # of the default stages
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
        """Read labelled data; `fit` and `evaluate` take what it returns in place of the source.

        Args:
            source: A folder, table, TFDS name, arrays or stream, as for `kft.data.read`.
            classes: The classes to expect, a dict of them for several tasks; None to take those of
                the data.
            text_column: Column of a table with the texts.
            path_column: Column of a table with paths of images, relative to the table.
            label_column: Column of a table with the labels, several for regression, or a dict of them
                for several tasks, for which the default stands for columns called like them.
            encoding: Encoding of text files.
            on_bad_example: `"error"`, or `"skip"` to leave out what cannot be used.
            max_pixels: The largest image accepted, width times height.
            split: Split of a TFDS, such as `"train[:80%]"`.
            steps_per_epoch: Batches that an epoch takes of a stream that never ends.
            groups: Column of a table with what a split keeps together, such as the person in a photo;
                or a value for each example.
            order: The same with times, of which a split takes the latest for validation.
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
        """Check that what was read is what the recipe takes, beyond what `kft.data` can know.

        Args:
            examples: What `read` read, or was handed.

        Raises:
            InputError: If it is not.
        """

    def examples_in_pieces(self, examples: Examples) -> Examples:
        """Return examples with a row for each piece of a long input, by default as they are.

        Args:
            examples: What was read, or what this method has returned before.
        """
        return examples

    def raw_inputs(self, raw: Any) -> Any:
        """Return what `predict` was given as a list or an array, each input by its position.

        Args:
            raw: A single input, or whatever holds several in an order.

        Returns:
            Inputs that `load` takes, and slices of which it takes.

        Raises:
            InputError: If it has no order or no end, is a whole table, or holds what cannot be used.
        """
        return as_rows([raw] if isinstance(raw, (str, bytes, os.PathLike)) else raw, "raw")

    @property
    def quotes_inputs(self) -> bool:
        """Whether answers are cut out of the inputs: `Task.predictions` then gets these as names."""
        return False

    def in_pieces(self, raw: Any) -> Any:
        """Return what `predict` is to answer, a long input as several pieces, one after another.

        By default the inputs as they are. A family that cuts them `quotes_inputs`, so that the task can
        put the answers to the pieces together.

        Args:
            raw: What `raw_inputs` returned, or a part of it.
        """
        return raw

    def input_name(self, value: Any, index: int) -> str:
        """Return what to call an input of `predict` beside its answer: its path, or the text itself.

        Args:
            value: One of what `raw_inputs` returned.
            index: Its position.
        """
        if isinstance(value, str) and self.modality == "text":
            return value
        return shown_path(value) if isinstance(value, (str, os.PathLike)) else f"input {index}"

    def encoded(self, raw: Any) -> list[Any]:
        """Return raw inputs as a request to a server has them.

        Args:
            raw: What `raw_inputs` returned, or the inputs of `Examples`.

        Returns:
            Texts, encoded images (bytes), or what else `serving_inputs().decode` takes a row of.
        """
        return [as_encoded(image) for image in raw] if self.modality == "image" else list(raw)

    def load(self, raw: Any) -> Any:
        """Turn raw inputs (paths, strings, arrays) into what the model takes, as NumPy arrays."""
        raise NotImplementedError(f"{type(self).__name__} must define `load(raw)`.")

    @property
    def model(self) -> keras.Model:
        """The model, built when it is first asked for."""
        raise NotImplementedError

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the model's inputs, as a dict of inputs has them; none for a model without a graph."""
        if not getattr(self.model, "inputs", None):
            return ()
        inputs, _ = inputs_and_outputs(self.model)
        flat = keras.tree.flatten(inputs)
        return tuple(inputs) if isinstance(inputs, dict) else tuple(one.name for one in flat)

    def from_stream(self, dataset: Any) -> Any:
        """Put in front of a `tf.data.Dataset` or `PyDataset` what makes the model's inputs of its.

        By default a check of the names of inputs and of each batch's targets: a stream yields what the model takes.
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
        """Batches of the model's inputs and targets; the arguments are those of `Batches`."""
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
        """What the task calls the outputs that it numbers: by default the classes."""
        return self.classes

    def row_count(self, examples: Examples) -> int:
        """Return how many rows `batches` has for examples: one for each, unless they are cut."""
        return len(examples)

    def augmentation(self, chosen: Any) -> Callable | None:
        """Turn what was passed as `augment` into `(x, y, seed) -> (x, y)`, or None."""
        if chosen is None or callable(chosen):
            return chosen
        raise InputError(
            f"`augment={chosen!r}` is unknown to {type(self).__name__}: pass None or a function "
            "(x, y, seed) -> (x, y)."
        )

    def labels_stay_true(self, chosen: Any, made: Callable | None) -> Callable | None:
        """Return an augmentation of the inputs, if the task's labels stay true under it.

        Args:
            chosen: What was passed as `augment`.
            made: What was made of it.

        Raises:
            InputError: If inputs would change, and labels that depend on places in them would not.
        """
        if self.task.augmentable or not hasattr(made, "describe"):  # a function of a person's own
            return made
        raise InputError(
            f"`augment={shown(chosen)}` changes the inputs and not the labels, which the task "
            f"{self.task.name!r} may tie to places in them: pass a function (x, y, seed) -> (x, y) that "
            "changes both, or say `augmentable = True` in the task."
        )

    def load_all(self, examples: Examples) -> Any:
        """Turn examples into what the model takes, all at once: for few examples."""
        return self.load(examples.inputs)

    def serving_inputs(self) -> ServingInputs:
        """What the exporter needs to get from raw inputs to the model's inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define `serving_inputs()`.")
