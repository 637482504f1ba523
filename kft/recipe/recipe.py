"""`Recipe`: what a person calls - fit in stages, evaluate, predict, save and export."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import keras

from kft.arguments import check_choice, check_whole, path_of
from kft.cache.settings import Cache
from kft.callbacks.best_state import Restore
from kft.distribution.replicas import in_all_processes
from kft.errors import InputError
from kft.family import saving
from kft.family.adapter_files import load_adapters, save_adapters
from kft.family.answers import evaluate
from kft.family.description import read_description
from kft.family.directory import stopped_safely
from kft.family.fit import loaded, trained
from kft.family.fit_data import is_fraction
from kft.family.hooks import Family
from kft.family.planned import PlannedFit
from kft.family.policies import BestEpoch, Finish, Resume
from kft.family.predicting import answered, check_coverage, joined_outputs
from kft.family.raw_examples import RAW_EXAMPLES
from kft.family.run import Run
from kft.family.run_files import HISTORY, read_history
from kft.family.settings import CHOICES, FitSettings, is_auto
from kft.model.forward import Forward
from kft.stages.plan import BatchNorm
from kft.stages.stage import Stage, checked_stages
from kft.tasks import Predictions

if TYPE_CHECKING:
    from kft.tuning import Search


@dataclass(kw_only=True, eq=False)
class Recipe(Family):
    """A pretrained model, a new head, and everything needed to fine-tune and serve them.

    A family of models is a subclass; what its models are fine-tuned to do is its `task`. What a
    subclass may say, each with a default:

    - the model: `inputs()`, `backbone(inputs)`, `head(features, inputs)`;
    - the training: `loss()`, `metrics()`, `default_stages()`, `learn(examples)`;
    - the data: `read(source)`, `load(raw)`, `batches(examples)`, `augmentation(chosen)`.

    A subclass with arguments of its own is a dataclass with keyword-only fields, as below. Every
    argument stays an attribute of the same name, which is how a saved recipe is built again; what a
    recipe learns from the data goes into `state()`.

    Args:
        num_classes: Number of classes, at least 2; for regression the number of values predicted.
        task: `"single_label"`, `"multi_label"`, `"regression"` or a `kft.tasks.Task`. Defaults to
            `"single_label"`.
        classes: Names of the classes in the order of the model's outputs, or for several tasks a dict
            of them. By default the training data name them.
        hidden: Widths of hidden layers in the head. Defaults to none.
        dropout: Fraction dropped in the head while training. Defaults to 0.2.
        weight_decay: Decoupled weight decay of the default optimizer; norms and biases are
            excluded. Defaults to 0.01.
        label_smoothing: Fraction of each target spread over all classes. Defaults to 0.
        adapters: A `kft.LoRA`, which gives layers of the backbone adapters to train in their place, or a
            dict of its arguments. Defaults to none.
        precision: What the model computes with: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"`,
            whose loss is scaled, or `"auto"`, the fastest that the accelerator is made for. The
            weights are float32 in any case, and a saved recipe does not keep it. Defaults to Keras'
            dtype policy, which is float32 unless it was set.
        seed: Seed of everything random in the model. Defaults to 0.

    Raises:
        InputError: If an argument is out of its range; `model` raises it for weights that do not
            fit.

    Example:

    ```python
    @dataclass(kw_only=True, eq=False)
    class ThumbnailRecipe(ImageRecipe):
        architectures = {"MobileNetV3Small": keras.applications.MobileNetV3Small}
        name: str = field(default="MobileNetV3Small", kw_only=False)

        def preprocess(self, inputs):
            return inputs  # MobileNetV3 brings its own
    ```
    """

    @in_all_processes
    def fit(
        self,
        train: Any,
        validation_data: Any = 0.2,
        *,
        stages: Sequence[Stage] | None = None,
        run_dir: str | os.PathLike | None = None,
        batch_size: int | Literal["auto"] = "auto",
        callbacks: Sequence[keras.callbacks.Callback] = (),
        early_stopping: Any = "auto",
        restore_best: BestEpoch | Restore | Literal["auto"] | None = "auto",
        batch_norm: BatchNorm = "frozen",
        optimizer: keras.optimizers.Optimizer | None = None,
        balance: str | None = None,
        augment: Any = "auto",
        jit_compile: bool | str = "auto",
        cache: Cache | bool | str = "auto",
        resume: Resume | None = None,
        finish: Finish | None = None,
        distribution: Any = "auto",
        seed: int = 0,
        on_bad_example: str = "error",
        verbose: int | str = "auto",
    ) -> Run:
        """Fine-tune in stages.

        Fitting starts from the weights that the model has: a recipe that was fitted or loaded is
        trained further.

        Args:
            train: A folder with one sub-folder per class, or with the folders `train` and `val` of such,
                or anything else that `kft.data.read.read` takes: a table in a file or in memory, an
                archive, a TFDS name or prepared directory, `(x, y)` arrays, pairs, a `tf.data.Dataset`
                or a `PyDataset`. What `read` returns also holds groups or times to split by.
            validation_data: The same for validation, or the part of `train` that becomes validation
                data. Defaults to 0.2.
            stages: `kft.Stage`s. Defaults to `default_stages(steps)`: the head is solved, and then
                everything trains for about 500 steps.
            run_dir: Directory that gets the trained recipe, its history and a report. An unfinished
                run of the same plan continues where it was killed, with the same result; a finished
                one is loaded instead of trained again.
            batch_size: Examples per step. `"auto"` is 32, but with default stages as few as make 10
                steps per epoch, at least 8.
            callbacks: Keras callbacks of your own.
            early_stopping: The Keras `EarlyStopping` that ends a stage, None for none. `"auto"` for
                `stages` is a `kft.callbacks.RelativeEarlyStopping`, 3 epochs in which `monitor` does
                not improve by a thousandth; the default stages take all of their epochs.
            restore_best: Which weights a stage and the run end with: `"run"`, `"stage"`, `"ends"`, None
                or `"auto"`, as `kft.BestEpoch` describes them, or a `kft.BestEpoch`, which also says
                what tells which epoch is better.
            batch_norm: What BatchNorm layers do, as in `kft.callbacks.StagedUnfreezing`.
            optimizer: A Keras optimizer; the stages set its learning rate. Defaults to AdamW with
                the recipe's weight decay.
            balance: Against imbalanced classes `"weights"`, `"oversample"` or `"undersample"`.
            augment: Random changes of the training inputs, see `augmentation`; None for none. `"auto"`
                is none, but `"light"` for images with the default stages, if the task says that its
                labels stay true.
            jit_compile: As in `keras.Model.compile`; `"auto"` also compiles for texts on TensorFlow
                where there are steps enough to repay it.
            cache: Whether what a stage keeps frozen is computed once and kept on disk, with the same
                result: `"auto"` where it pays, True wherever it changes nothing, or False; or a
                `kft.Cache`, which also says where and how.
            resume: How often the state is committed to `run_dir` and how a fit goes on from there, a
                `kft.Resume`. By default it is committed every minute.
            finish: What follows the training, a `kft.Finish`. By default the outcome is evaluated and
                shown on a page.
            distribution: `"none"` for one device, `"data_parallel"` for all of them, a
                `kft.distribution.DataParallel` or `ModelParallel`, or `"auto"`: data parallel where
                there are several accelerators or a group of processes. The result does not depend
                on it, and a run that goes on may have another one.
            seed: Seed of the validation split, of the order of the examples, and of augmentation.
            on_bad_example: `"error"`, or `"skip"` for files that cannot be used.
            verbose: As in `keras.Model.fit`; 0 prints no plan either. `"auto"` shows bars at a terminal
                or in a notebook, and elsewhere a line an epoch.

        Returns:
            The `Run`.

        Raises:
            InputError: If an argument or the data are wrong, or `run_dir` belongs to another plan or
                is in use by another process.
            NonFiniteLossError: If the loss is no finite number.
            Interrupted: After SIGTERM or SIGINT, once what was trained is kept in `run_dir`.
        """
        best = BestEpoch.of(restore_best)
        is_fraction(validation_data)  # or data; neither is refused before anything else
        settings = FitSettings(
            stages=() if stages is None else checked_stages(stages),
            run_dir=None if run_dir is None else path_of("run_dir", run_dir),
            batch_size=batch_size,
            callbacks=callbacks,
            early_stopping=early_stopping,
            restore_best=best.among,
            monitor=best.monitor,
            tolerance=best.tolerance,
            batch_norm=batch_norm,
            optimizer=optimizer,
            balance=balance,
            augment=augment,
            augmentation=self.augmentation(None if is_auto(augment) else augment),
            jit_compile=jit_compile,
            cache=Cache.of(cache),
            resume=Resume.of(resume),
            finish=Finish.of(finish),
            distribution=distribution,
            seed=seed,
            on_bad_example=on_bad_example,
            verbose=verbose,
        )
        with stopped_safely(settings.run_dir):
            planned = PlannedFit.of(self, train, validation_data, settings)
            return loaded(planned) if planned.is_finished() else trained(planned)

    def evaluate(
        self,
        data: Any,
        *,
        batch_size: int = 32,
        on_bad_example: str = "error",
        perturb: str | Sequence[str] | None = None,
    ) -> Any:
        """Compare the recipe's answers with labelled data.

        Args:
            data: As `train` of `fit`; its labels must be among those of the training.
            batch_size: Examples a step.
            on_bad_example: `"error"`, or `"skip"` for files that cannot be used.
            perturb: `"standard"`, or names of corruptions, to evaluate on worse data too, see
                `kft.insight.robustness.evaluate_perturbed`.

        Returns:
            The figures, an `Evaluation`, or with `perturb` a `Robustness`; they print as a table.
        """
        check_whole("batch_size", batch_size, "examples")
        check_choice("on_bad_example", on_bad_example, CHOICES["on_bad_example"])
        if perturb is not None:
            from kft.insight.robustness import evaluate_perturbed, names_of

            names_of(self, perturb)
        read = self.read(data, classes=self.classes, on_bad_example=on_bad_example)
        if perturb is not None:
            return evaluate_perturbed(self, read, perturb, batch_size=batch_size)
        self.name_classes(read.classes, read.source)
        return evaluate(self, read, batch_size)

    def predict(
        self, raw: Any, *, batch_size: int = 32, coverage: float | None = None
    ) -> Predictions:
        """Answer raw inputs.

        Args:
            raw: A list or column of paths of images, of encoded images (bytes), of Pillow's images
                or of texts, or an array of images with values from 0 to 255; or a single path, image
                or text, but no single array.
            batch_size: Inputs a step.
            coverage: The probability with which an answer is to hold the truth, such as 0.9: each
                gets a set of classes, or a range around its number (split conformal prediction on the
                validation data of the fit, Angelopoulos and Bates 2021,
                https://arxiv.org/abs/2107.07511). Defaults to none.

        Returns:
            The answer for each input, such as a label and its probability; they print as a table.

        Raises:
            InputError: If an input cannot be used; the message names it.
        """
        check_whole("batch_size", batch_size, "inputs")
        check_coverage(self, coverage)
        raw = self.raw_inputs(raw)
        if not len(raw):
            raise InputError("`predict` got no inputs: pass at least one.")
        raw = self.in_pieces(raw)
        chunks = [raw[start : start + batch_size] for start in range(0, len(raw), batch_size)]
        forward = Forward(self.model)
        outputs = [self.task.reduced(forward(self.load(chunk))) for chunk in chunks]
        names = [self.input_name(one, index) for index, one in enumerate(raw)]
        return answered(self, names, joined_outputs(outputs), coverage)

    def tune(
        self,
        train: Any,
        validation_data: Any = 0.2,
        *,
        run_dir: str | os.PathLike,
        max_trials: int = 20,
        max_seconds: float | None = None,
        max_epochs: int | None = None,
        algorithm: str = "random",
        prune: str | None = None,
        space: Any = None,
        objective: Any = None,
        stages: Sequence[Stage] | None = None,
        batch_size: int = 32,
        early_stopping: Any = "auto",
        batch_norm: BatchNorm = "frozen",
        balance: str | None = None,
        jit_compile: bool | str = "auto",
        cache: bool | str = True,
        resume: Resume | None = None,
        workers: int | None = None,
        host: str | None = None,
        distribution: Any = "auto",
        seed: int = 0,
        on_bad_example: str = "error",
        verbose: int | str = "auto",
    ) -> Search:
        """Search for stages, rates and other settings; each trial is one staged fit.

        A trial's score is the objective's best epoch over all its stages, and the model that it
        keeps is the one of that epoch. All trials share the frozen features, so that what lies
        below the shallowest block that trains runs once for each depth. A failed trial is recorded
        with its reason; a search that was killed continues with the same trials when it is called in
        the same way.

        Args:
            train: As in `fit`.
            validation_data: As in `fit`; the same for all trials.
            run_dir: Directory of the search: trials, features, a report, the best stages.
            max_trials: Most trials. Defaults to 20.
            max_seconds: After so many seconds in trials no other one begins. Defaults to no limit.
            max_epochs: After so many epochs in all trials together no other one begins. Defaults to
                no limit.
            algorithm: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`.
            prune: `"median"` ends a trial that is worse than the median of those before it; None
                lets all run. Defaults to None.
            space: What is searched, in KerasTuner's terms, as in `kft.tuning.StagedHyperModel`:
                `lambda hp: hp.Float("head_lr", 1e-4, 1e-2, sampling="log")`. Defaults to
                `kft.tuning.default_space`.
            objective: Name of a validation metric, or a `keras_tuner.Objective`. Defaults to the
                task's, such as `"val_accuracy"`.
            stages: The stages that a trial's values change. Defaults to `default_stages()`.
            batch_size: Examples per step. Defaults to 32.
            early_stopping: As in `fit`; by default 3 epochs without a better objective.
            batch_norm: As in `fit`.
            balance: As in `fit`.
            jit_compile: As in `fit`.
            cache: Whether frozen features are kept, as in `fit`. Defaults to True, since what does
                not pay in a single fit does in many.
            resume: As in `fit`: how often the trial that runs commits its state, from which it
                resumes after a kill.
            workers: How many processes run trials side by side; each runs the command of this one
                again. By default this process runs them, or has the part that KerasTuner's
                environment variables give it.
            host: The address at which workers on other machines reach this process, for trusted
                networks only. Defaults to this machine alone.
            distribution: As in `fit`, for each trial; the search may go on with another one.
            seed: Seed of the search, and of each fit.
            on_bad_example: As in `fit`.
            verbose: 0 prints nothing, everything else a line a trial.

        Returns:
            The `kft.tuning.Search`.

        Raises:
            InputError: If an argument or the data are wrong, or `run_dir` belongs to another search.
            KftError: If every trial fails.
        """
        from kft.tuning.search import search
        from kft.tuning.settings import SearchSettings

        settings = SearchSettings(
            run_dir=run_dir,
            max_trials=max_trials,
            max_seconds=max_seconds,
            max_epochs=max_epochs,
            algorithm=algorithm,
            prune=prune,
            space=space,
            objective=objective,
            stages=stages,
            batch_size=batch_size,
            early_stopping=early_stopping,
            batch_norm=batch_norm,
            balance=balance,
            jit_compile=jit_compile,
            cache=cache,
            resume=resume,
            workers=workers,
            host=host,
            distribution=distribution,
            seed=seed,
            on_bad_example=on_bad_example,
            verbose=verbose,
        )
        return search(self, train, validation_data, settings)

    def save(self, directory: str | os.PathLike) -> Path:
        """Write the recipe to a directory that `kft.load` reads on any backend.

        Args:
            directory: A directory that does not exist yet.

        Returns:
            The directory.
        """
        return saving.save(self, directory)

    def save_adapters(self, directory: str | os.PathLike) -> Path:
        """Write what was trained without the backbone: adapters, head, norms and biases, a few MB.

        Args:
            directory: A directory that does not exist yet.

        Returns:
            The directory.

        Raises:
            InputError: If the recipe has no adapters, or its last fit trained more than these.
        """
        return save_adapters(self, directory)

    def load_adapters(self, directory: str | os.PathLike) -> None:
        """Take over what `save_adapters` wrote, in place of what was trained on this backbone.

        Several can be loaded on one backbone, one after another, whichever backend trained them.

        Args:
            directory: What `save_adapters` returned.

        Raises:
            InputError: If they were trained on another backbone, for another task or with another
                `LoRA`, or the directory is damaged.
        """
        load_adapters(self, directory)

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
        """Write the next version for TensorFlow Serving, proven before it becomes visible.

        The work is done by a fresh process on the TensorFlow backend, whichever backend this one
        runs on. Of several processes that have trained together the first one exports, while the
        others wait.

        Args:
            base_dir: The directory of the versions, the server's `base_path`.
            format: `"saved_model"`, or another of `kft.export.launch.FORMATS`.
            weights: How weights are stored: `"float32"`, `"float16"` or `"int8"`.
            batch_sizes: Batch sizes of the warmup requests.
            examples: Real raw inputs for warmup and check, as for `predict`. Defaults to a few of the
                training data.
            data: Labelled data that show what smaller weights cost.
            clients: Whether to write a server configuration and example clients beside the
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
        """Keep a few raw inputs for exports."""
        from kft.export.launch import LARGEST_EXAMPLE, encode_examples

        kept = [raw for raw in self.raw_examples if len(raw) <= LARGEST_EXAMPLE]
        if kept:
            path = directory / RAW_EXAMPLES
            path.write_text(encode_examples(kept), encoding="utf-8")

    def restore_files(self, directory: Path) -> None:
        """Take over the raw inputs that were kept, and where the weights come from."""
        from kft.export.launch import read_examples

        path = directory / RAW_EXAMPLES
        if path.exists():
            self.raw_examples = list(read_examples(path, within=directory))
        plan = read_description(directory).get("plan")
        logged = read_history(directory) if (directory / HISTORY).exists() else {}
        self.origin = {"plan": plan, "history": logged}
