"""`Fitted`: the method `fit` of recipes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import keras

from kft.arguments.calls import checked_call
from kft.cache.settings import Cache
from kft.callbacks.best_state import Restore
from kft.distribution.replicas import in_all_processes
from kft.family.directory import stopped_safely
from kft.family.fit import loaded, trained
from kft.family.fit_arguments import settings_of
from kft.family.fit_data import is_fraction
from kft.family.hooks import Family
from kft.family.planned import PlannedFit
from kft.family.policies import BestEpoch, Finish, Resume
from kft.family.run import Run
from kft.stages.plan import BatchNorm
from kft.stages.stage import Stage


class Fitted(Family):
    """A family that can be fine-tuned in stages: the method `fit` of every `kft.Recipe`."""

    @checked_call
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

        Fitting starts from the model's current weights: a recipe that was fitted or loaded is trained
        further.

        Args:
            train: A folder with one sub-folder per class, or with such folders `train` and `val`, or
                other data that `kft.data.read.read` accepts: a table in a file or in memory, an
                archive, a TFDS name or prepared directory, `(x, y)` arrays, pairs, a `tf.data.Dataset`
                or a `PyDataset`. The result of `read` also has groups or times to split by.
            validation_data: The same for validation, or the fraction of `train` to split off. Defaults
                to 0.2.
            stages: `kft.Stage`s. Defaults to `default_stages(steps)`: the head is solved, and then
                everything trains for about 500 steps.
            run_dir: Directory for the trained recipe, its history and a report. An unfinished
                run of the same plan resumes where it was killed, with the same result; a finished
                one is loaded instead of trained again.
            batch_size: Examples per step. `"auto"` is 32, but with default stages few enough for 10
                steps per epoch, at least 8.
            callbacks: Your own Keras callbacks.
            early_stopping: The Keras `EarlyStopping` that ends a stage, None for none. `"auto"` for
                `stages` is a `kft.callbacks.RelativeEarlyStopping`, 3 epochs in which `monitor` does
                not improve by a thousandth; the default stages run all of their epochs.
            restore_best: Which weights a stage and the run end with: `"run"`, `"stage"`, `"ends"`, None
                or `"auto"`, as `kft.BestEpoch` describes them, or a `kft.BestEpoch`, which also sets
                how epochs are compared.
            batch_norm: The mode of BatchNorm layers, as in `kft.callbacks.StagedUnfreezing`.
            optimizer: A Keras optimizer; the stages set its learning rate. Defaults to AdamW with
                the recipe's weight decay.
            balance: `"weights"`, `"oversample"` or `"undersample"` against class imbalance.
            augment: Random changes of the training inputs, see `augmentation`; None for none. `"auto"`
                is none, but `"light"` for images with the default stages, if the task declares that its
                labels remain true.
            jit_compile: As in `keras.Model.compile`; `"auto"` also compiles for texts on TensorFlow
                if there are enough steps to repay it.
            cache: Whether the output of a stage's frozen layers is computed once and kept on disk, with
                the same result: `"auto"` where it saves time, True wherever it is possible, or False; or
                a `kft.Cache`, which also sets where and how.
            resume: How often the state is committed to `run_dir` and how a fit resumes from it, a
                `kft.Resume`. By default it is committed every minute.
            finish: What follows the training, a `kft.Finish`. By default the result is evaluated and
                shown on a page.
            distribution: `"none"` for one device, `"data_parallel"` for all of them, a
                `kft.distribution.DataParallel` or `ModelParallel`, or `"auto"`: data parallel with
                several accelerators or a group of processes. The result does not depend on it, and a
                resumed run may have another one.
            seed: Seed of the validation split, of the order of the examples, and of augmentation.
            on_bad_example: `"error"`, or `"skip"` to leave out files that cannot be used.
            verbose: 0 prints nothing; 1 the plan, a progress line and a summary of each stage; 2 a
                line per epoch in place of the progress line, which suits log files. `"auto"` is 1 at a
                terminal or in a notebook, otherwise 2.

        Returns:
            The `Run`.

        Raises:
            InputError: If an argument or the data are wrong, or `run_dir` belongs to another plan or
                is in use by another process.
            NonFiniteLossError: If the loss is not a finite number.
            Interrupted: After SIGTERM or SIGINT, once the training state is saved in `run_dir`.
        """
        is_fraction(validation_data)  # raises first if it is neither a fraction nor data
        settings = settings_of(
            self,
            stages=stages,
            run_dir=run_dir,
            batch_size=batch_size,
            callbacks=callbacks,
            early_stopping=early_stopping,
            restore_best=restore_best,
            batch_norm=batch_norm,
            optimizer=optimizer,
            balance=balance,
            augment=augment,
            jit_compile=jit_compile,
            cache=cache,
            resume=resume,
            finish=finish,
            distribution=distribution,
            seed=seed,
            on_bad_example=on_bad_example,
            verbose=verbose,
        )
        with stopped_safely(settings.run_dir):
            planned = PlannedFit.of(self, train, validation_data, settings)
            return loaded(planned) if planned.is_finished() else trained(planned)
