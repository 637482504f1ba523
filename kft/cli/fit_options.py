"""The options of `kft fit` that set arguments of `Recipe.fit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from kft.cli import fit_arguments
from kft.cli import options as o
from kft.cli.fit_choices import Balance, CacheDtype, Distribution, RestoreBest, Switch
from kft.cli.groups import given

_TRAINING = "Training"

_CACHE = {Switch.auto: "auto", Switch.off: False}


@dataclass(frozen=True, kw_only=True)
class Training:
    """Options for how a recipe is trained; None leaves the default to `Recipe.fit`."""

    stages: o.Stages = None
    batch_size: o.AutoBatchSize = None
    early_stopping: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="EPOCHS",
            help="End a stage after this many epochs in which --monitor does not improve; 0: never. "
            "Default: 3 with --stages; the default stages run all of their epochs.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    min_delta: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help="The least improvement that counts for --early-stopping, as a fraction of the best "
            "value so far. Default: 0.001.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    monitor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:min|max]",
            help="The logged value by which epochs are compared, such as val_accuracy, or "
            "val_kappa:max if the name does not imply the direction. Default: val_loss, and with the "
            "default stages and at least 200 validation examples the objective of the task.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    restore_best: Annotated[
        RestoreBest | None,
        typer.Option(
            help="End with the best epoch of the run, with the best of its last stage, with the best "
            "of the stages' last epochs, or with the last epoch. Default: auto, which is run, "
            "or ends for the default stages with fewer than 200 validation examples.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    batch_norm: o.BatchNormMode = None
    optimizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A Keras optimizer such as sgd or lion. Default: AdamW with --weight-decay.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    clipnorm: Annotated[
        float | None,
        typer.Option(
            help="Clip the gradients' global norm; needs --optimizer.", rich_help_panel=_TRAINING
        ),
    ] = None
    gradient_accumulation_steps: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=10_000,
            help="Batches whose gradients are added up before each update, which has the effect of a batch that "
            "many times as large; needs --optimizer.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    balance: Annotated[
        Balance | None,
        typer.Option(
            help="How to handle imbalanced classes: weight the loss, or repeat or leave out "
            "examples. Default: not at all.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Random changes of the training inputs: light or standard, for images strong too, or none. "
            "Default: auto, which is light for images with the default stages, and otherwise none.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    jit_compile: Annotated[
        bool | None,
        typer.Option(
            help="Compile with XLA. Default: as Keras does, and if many texts repay it.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    calibrate: Annotated[
        bool | None,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Divide the scores by a temperature, found on the validation data, so that a "
            "probability is how often such an answer is right. Default: auto, which does so with the "
            "default stages.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    refit: Annotated[
        bool | None,
        typer.Option(
            "--refit/--no-refit",
            help="Finally train again from the start, on training and validation data together. "
            "Default: auto, which does so with the default stages and fewer than 200 validation "
            "examples that were split off.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    keep_examples: Annotated[
        bool | None,
        typer.Option(
            "--keep-examples/--no-keep-examples",
            help="Keep four of the training inputs in the run directory, for the warmup and the "
            "check of an export. Default: --keep-examples.",
            rich_help_panel="Data",
        ),
    ] = None
    cache: Annotated[
        Switch | None,
        typer.Option(
            help="Compute the output of frozen layers once and cache it: where it saves time, or never. "
            "Default: auto.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    cache_dtype: Annotated[
        CacheDtype | None,
        typer.Option(
            help="The dtype of that cache; 16 bits take half the disk space, and round. Default: "
            "float32.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    cached_views: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With --augment: make and cache this many views of each example. "
            "Default: 0, which augments again in every epoch and caches nothing.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    checkpoint_every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|STEPS|epoch",
            help="How often the state is committed, so that a killed run can resume: 30s, 10min, "
            "500 (steps) or epoch. Default: 1min.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    allow_changed_plan: Annotated[
        bool,
        typer.Option(
            "--allow-changed-plan",
            help="Continue the unfinished run in --run-dir although its plan is different.",
        ),
    ] = False
    retries: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How many times to resume from the last commit, at half the learning rate, after a "
            "NaN loss. Default: 0.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    distribution: Annotated[
        Distribution | None,
        typer.Option(
            help="One device, a copy of the model on each, or its weights sharded over them; auto: a "
            "copy on each if there are several accelerators. Default: auto.",
            rich_help_panel=_TRAINING,
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `Recipe.fit` that were passed."""
        from kft.cache.settings import Cache
        from kft.family.policies import Finish, Resume

        every = self.checkpoint_every
        settings = given(
            stages=o.read_stages(self.stages),
            batch_size=self.batch_size,
            batch_norm=self.batch_norm,
            optimizer=fit_arguments.optimizer(
                self.optimizer, self.clipnorm, self.gradient_accumulation_steps
            ),
            balance=self.balance,
            augment=self.augment,
            jit_compile=self.jit_compile,
            distribution=fit_arguments.distribution(self.distribution),
        )
        settings |= fit_arguments.policies(
            cache=(
                Cache,
                given(
                    on=None if self.cache is None else _CACHE[self.cache],
                    dtype=self.cache_dtype,
                    views=self.cached_views,
                ),
            ),
            resume=(
                Resume,
                given(
                    every=None if every is None else fit_arguments.interval(every),
                    allow_changed_plan=self.allow_changed_plan or None,
                    retries=self.retries,
                ),
            ),
            finish=(
                Finish,
                given(calibrate=self.calibrate, refit=self.refit, keep_examples=self.keep_examples),
            ),
        )
        return settings | fit_arguments.monitoring(
            self.early_stopping, self.min_delta, self.monitor, self.restore_best
        )
