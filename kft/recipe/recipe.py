"""`Recipe`, the main class for users: it fits, tunes, evaluates, predicts, saves and exports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.arguments import check_choice, check_whole
from kft.arguments.calls import checked_call
from kft.errors import InputError
from kft.family import saving
from kft.family.adapter_files import load_adapters, save_adapters
from kft.family.answers import evaluate
from kft.family.description import read_description
from kft.family.naming import named_as
from kft.family.predicting import check_choices, concatenate_outputs, predictions_of
from kft.family.raw_examples import RAW_EXAMPLES
from kft.family.run_files import HISTORY, read_history
from kft.family.settings import CHOICES
from kft.family.views import averaged, check_views
from kft.recipe.fitted import Fitted
from kft.recipe.searched import Searched
from kft.report.progress import SHORT, Progress
from kft.tasks import Predictions


@dataclass(kw_only=True, eq=False)
class Recipe(Fitted, Searched):
    """A pretrained model, a new head, and everything needed to fine-tune and serve them.

    A family of models is a subclass; its `task` is what the models are fine-tuned for. A subclass can
    override, each with a default:

    - the model: `inputs()`, `backbone(inputs)`, `head(features, inputs)`;
    - the training: `loss()`, `metrics()`, `default_stages()`, `learn(examples)`;
    - the data: `read(source)`, `load(raw)`, `batches(examples)`, `augmentation(chosen)`.

    A subclass with arguments of its own is a dataclass with keyword-only fields, as below. Every
    argument must remain an attribute of the same name, from which a saved recipe is rebuilt; what a
    recipe learns from the data belongs in `state()`.

    Args:
        num_classes: Number of classes, at least 2; for regression the number of values predicted.
        task: `"single_label"`, `"multi_label"`, `"regression"` or a `kft.tasks.Task`. Defaults to
            `"single_label"`.
        classes: Names of the classes in the order of the model's outputs, or for several tasks a dict
            of them. Defaults to those of the training data.
        hidden: Widths of hidden layers in the head. Defaults to none.
        dropout: Fraction dropped in the head while training. Defaults to 0.2.
        weight_decay: Decoupled weight decay of the default optimizer; norms and biases are
            excluded. Defaults to 0.01.
        label_smoothing: Fraction of each target spread over all classes. Defaults to 0.
        adapters: A `kft.LoRA`, whose adapters train in place of the backbone's layers, or a dict of
            its arguments. Defaults to none.
        precision: The precision of computation: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"`
            with a scaled loss, or `"auto"`, the fastest that the accelerator supports. Weights are
            always float32, and the precision is not saved. Defaults to Keras' dtype policy, which is
            float32 unless it was set.
        seed: Seed of everything random in the model. Defaults to 0.

    Raises:
        InputError: If an argument is out of its range; `model` raises it if the weights do not fit.

    Example:

    ```python
    @dataclass(kw_only=True, eq=False)
    class ThumbnailRecipe(ImageRecipe):
        architectures = {"MobileNetV3Small": keras.applications.MobileNetV3Small}
        name: str = field(default="MobileNetV3Small", kw_only=False)

        def preprocess(self, inputs):
            return inputs  # MobileNetV3 scales them itself
    ```
    """

    @checked_call
    def evaluate(
        self,
        data: Any,
        *,
        batch_size: int = 32,
        on_bad_example: str = "error",
        perturb: str | Sequence[str] | None = None,
        views: int = 1,
    ) -> Any:
        """Evaluate the recipe on labelled data.

        Args:
            data: As `train` of `fit`; its labels must be among the known ones.
            batch_size: Examples per step.
            on_bad_example: `"error"`, or `"skip"` to leave out files that cannot be used.
            perturb: `"standard"`, or names of corruptions, to also evaluate on corrupted data, see
                `kft.insight.robustness.evaluate_perturbed`.
            views: As for `predict`.

        Returns:
            The figures, an `Evaluation`, or with `perturb` a `Robustness`; they print as a table.
        """
        check_whole("batch_size", batch_size, "examples")
        check_choice("on_bad_example", on_bad_example, CHOICES["on_bad_example"])
        check_views(self, views)
        if perturb is not None:
            if views > 1:
                raise InputError(
                    f"`perturb` is for a single view, but `views={views}`: leave one of them out."
                )
            from kft.insight.robustness import evaluate_perturbed, perturbation_names

            perturbation_names(self, perturb)
        read = self.read(data, classes=self.classes, on_bad_example=on_bad_example)
        if perturb is not None:
            return evaluate_perturbed(self, read, perturb, batch_size=batch_size)
        with named_as(self, read):
            return evaluate(self, read, batch_size, views=views)

    @checked_call
    def predict(
        self, raw: Any, *, batch_size: int = 32, coverage: float | None = None, views: int = 1
    ) -> Predictions:
        """Predict raw inputs.

        Args:
            raw: A list or column of paths of images, of encoded images (bytes), of Pillow images or of
                texts, or an array of images with values from 0 to 255; or a single path, image or text,
                but not a single array; or a folder of images or clips, including its sub-folders, or a
                pattern of paths such as `"photos/**/*.jpg"`.
            batch_size: Inputs per step.
            coverage: The probability with which a prediction should contain the truth, such as 0.9: each
                is a set of classes, or a range around its number (split conformal prediction on the
                validation data of the fit, Angelopoulos and Bates 2021,
                https://arxiv.org/abs/2107.07511). After a final training on all data, they describe the
                model before it. Defaults to none.
            views: The number of views of each input over which its answer is averaged: the input itself, and
                others by the augmentation that is usual for the recipe, such as flips and crops
                (test-time augmentation, Krizhevsky et al. 2012). It takes that many times as long. Which
                views an input has depends on its place among the inputs and on `batch_size`. Defaults
                to 1.

        Returns:
            The prediction for each input, such as a label and its probability; they print as a table.

        Raises:
            InputError: If an input cannot be used; the message names it.
        """
        check_whole("batch_size", batch_size, "inputs")
        check_choices(self, coverage, views)
        raw = self.raw_inputs(raw)
        if not len(raw):
            raise InputError("`predict` got no inputs: pass at least one.")
        raw = self.in_pieces(raw)
        forward, outputs = averaged(self, views), []
        with Progress("Predicting", len(raw), after=SHORT) as progress:
            for start in range(0, len(raw), batch_size):
                chunk = raw[start : start + batch_size]
                outputs.append(self.task.reduced(forward(self.load(chunk))))
                progress.advance(len(chunk))
        names = [self.input_name(one, index) for index, one in enumerate(raw)]
        answers = predictions_of(self, names, concatenate_outputs(outputs), coverage)
        return answers.with_inputs(raw)

    @checked_call
    def save(self, directory: str | os.PathLike) -> Path:
        """Write the recipe to a directory that `kft.load` reads on any backend.

        Args:
            directory: A directory that does not exist yet.

        Returns:
            The directory.
        """
        return saving.save(self, directory)

    @checked_call
    def save_adapters(self, directory: str | os.PathLike) -> Path:
        """Write everything trained except the backbone: adapters, head, norms and biases, a few MB.

        Args:
            directory: A directory that does not exist yet.

        Returns:
            The directory.

        Raises:
            InputError: If the recipe has no adapters, or its last fit trained other weights too.
        """
        return save_adapters(self, directory)

    @checked_call
    def load_adapters(self, directory: str | os.PathLike) -> None:
        """Load what `save_adapters` wrote, in place of what was trained on this backbone.

        Several can be loaded on one backbone, one after another, whichever backend trained them.

        Args:
            directory: The directory that `save_adapters` returned.

        Raises:
            InputError: If they were trained on another backbone, for another task or with another
                `LoRA`, or the directory is damaged.
        """
        load_adapters(self, directory)

    @checked_call
    def export(
        self,
        base_dir: str | os.PathLike,
        *,
        format: str = "saved_model",
        weights: str = "float32",
        batch_sizes: Sequence[int] = (1, 2, 8),
        examples: Any = None,
        data: str | os.PathLike | None = None,
        clients: bool = False,
    ) -> Path:
        """Write the next version for TensorFlow Serving, and check it before it becomes visible.

        A new process on the TensorFlow backend does the work, whichever backend this one runs on. Of
        several processes that trained together the first one exports, while the others wait.

        Args:
            base_dir: The directory of the versions, the server's `base_path`.
            format: `"saved_model"`, or another of `kft.export.launch.FORMATS`.
            weights: How weights are stored: `"float32"`, `"float16"` or `"int8"`.
            batch_sizes: Batch sizes of the warmup requests.
            examples: Raw inputs for warmup and check, as for `predict`. Defaults to a few of the training
                data.
            data: Labelled data that show the loss of quality by smaller weights.
            clients: Whether to write a server configuration and example clients next to the
                versions.

        Returns:
            The directory of the version, `base_dir/N`.

        Raises:
            InputError: If an argument is wrong, or the class of the recipe or of its task was defined
                in a script or a notebook, from which the other process cannot import it.
            kft.export.launch.ExportError: If the version did not pass its check.
        """
        from kft.export.from_recipe import export_recipe

        return export_recipe(
            self,
            base_dir,
            format=format,
            weights=weights,
            batch_sizes=batch_sizes,
            examples=examples,
            data=data,
            clients=clients,
        )

    def save_files(self, directory: Path) -> None:
        """Write a few raw inputs for exports."""
        from kft.export.launch import LARGEST_EXAMPLE, encode_examples, size_of

        kept = [raw for raw in self.raw_examples if size_of(raw) <= LARGEST_EXAMPLE]
        if kept:
            path = directory / RAW_EXAMPLES
            path.write_text(encode_examples(kept), encoding="utf-8")

    def restore_files(self, directory: Path) -> None:
        """Restore the raw inputs, and the origin of the weights."""
        from kft.export.launch import read_examples

        path = directory / RAW_EXAMPLES
        if os.path.exists(path):
            self.raw_examples = list(read_examples(path, within=directory))
        plan = read_description(directory).get("plan")
        logged = read_history(directory) if os.path.exists(directory / HISTORY) else {}
        self.origin = {"plan": plan, "history": logged}
