"""`Fitted`: a family that is fine-tuned in stages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import keras

from kft.arguments import path_of
from kft.arguments.calls import checked_call
from kft.cache.settings import Cache
from kft.callbacks.best_state import Restore
from kft.distribution.replicas import in_all_processes
from kft.family.directory import stopped_safely
from kft.family.fit import loaded, trained
from kft.family.fit_data import is_fraction
from kft.family.hooks import Family
from kft.family.planned import PlannedFit
from kft.family.policies import BestEpoch, Finish, Resume
from kft.family.run import Run
from kft.family.settings import FitSettings, is_auto
from kft.stages.plan import BatchNorm
from kft.stages.stage import Stage, checked_stages


class Fitted(Family):
    """What can be fine-tuned: the method `fit` of every `kft.Recipe`."""

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
            verbose: 0 prints nothing; 1 the plan, a line that follows the steps and one that sums up each
                stage; 2 a line an epoch in place of the one that moves, as a log file wants it. `"auto"`
                is 1 at a terminal or in a notebook, else 2.

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
            interpolate=best.interpolate,
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
