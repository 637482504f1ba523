"""`kft fit` and `kft plan`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kft.cli import build, together
from kft.cli import options as o
from kft.cli.groups import grouped
from kft.launch import speaks

_TRAINING = "Training"


class Balance(StrEnum):
    """What to do about imbalanced classes."""

    weights = "weights"
    oversample = "oversample"
    undersample = "undersample"


class Switch(StrEnum):
    """Something that looks after itself, or is off."""

    auto = "auto"
    off = "off"


class Distribution(StrEnum):
    """How a fit is spread over devices."""

    auto = "auto"
    none = "none"
    data_parallel = "data_parallel"
    model_parallel = "model_parallel"


class CacheDtype(StrEnum):
    """What frozen features are kept as."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"


@grouped
def fit(
    recipe: o.RecipeName,
    data: o.TrainingData,
    run_dir: Annotated[
        Path,
        typer.Option(
            help="Directory that gets the trained recipe, its history and a report. The same "
            "command again goes on with an unfinished run, and loads a finished one."
        ),
    ],
    validation: o.Validation,
    model: o.Model,
    reading: o.Reading,
    stages: o.Stages = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Examples a step.", rich_help_panel=_TRAINING)
    ] = 32,
    early_stopping: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="EPOCHS",
            help="End a stage after so many epochs without a better validation loss and go on from "
            "its best weights; 0: never.",
            rich_help_panel=_TRAINING,
        ),
    ] = 3,
    batch_norm: o.BatchNormMode = o.BatchNorm.frozen,
    optimizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A Keras optimizer such as sgd or lion. Default: AdamW with --weight-decay.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    clipnorm: Annotated[
        float | None,
        typer.Option(
            help="Clip the gradients' global norm; needs --optimizer.", rich_help_panel=_TRAINING
        ),
    ] = None,
    balance: Annotated[
        Balance | None,
        typer.Option(help="Against imbalanced classes.", rich_help_panel=_TRAINING),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Random changes of the training inputs; images: light, standard or strong.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    jit_compile: Annotated[
        bool | None,
        typer.Option(
            help="Compile with XLA. Default: where Keras does, or many texts repay it.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    steps_per_epoch: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps an epoch, for data that never end.", rich_help_panel=_TRAINING
        ),
    ] = None,
    keep_examples: Annotated[
        bool,
        typer.Option(
            help="Keep four of the training inputs in the run directory, for the warmup and the "
            "check of an export.",
            rich_help_panel="Data",
        ),
    ] = True,
    cache: Annotated[
        Switch,
        typer.Option(
            help="Whether what stays frozen may be computed once.", rich_help_panel=_TRAINING
        ),
    ] = Switch.auto,
    cache_dtype: Annotated[
        CacheDtype,
        typer.Option(
            help="What it is kept as; 16 bits take half the disk, rounded.",
            rich_help_panel=_TRAINING,
        ),
    ] = CacheDtype.float32,
    cached_views: Annotated[
        int,
        typer.Option(
            min=0,
            help="With --augment: make so many views of each example once and keep them. Default: "
            "augment anew in every epoch, with no cache.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0,
    checkpoint_every: Annotated[
        str,
        typer.Option(
            metavar="TIME|STEPS|epoch",
            help="How often the state is committed, so that a killed run goes on: 30s, 10min, 500 "
            "(steps) or epoch.",
            rich_help_panel=_TRAINING,
        ),
    ] = "1min",
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="Start over beside what lies in --run-dir: in a new RUN_DIR-2, -3, ..."
        ),
    ] = False,
    allow_changed_plan: Annotated[
        bool,
        typer.Option(
            "--allow-changed-plan",
            help="Go on with the unfinished run in --run-dir though its plan is another.",
        ),
    ] = False,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            help="With KERAS_BACKEND=torch: processes on this machine, each with its part of every "
            "batch; one for each GPU.",
            rich_help_panel=_TRAINING,
        ),
    ] = 1,
    retries: Annotated[
        int,
        typer.Option(
            min=0,
            help="How often to go on from the last commit at half the rate after a NaN loss.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0,
    distribution: Annotated[
        Distribution,
        typer.Option(
            help="One device, a copy on each, or the weights cut in parts; auto: a copy on each "
            "where there are several accelerators.",
            rich_help_panel=_TRAINING,
        ),
    ] = Distribution.auto,
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of the new layers, the split, the order and the augmentation.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the outcome only.")] = False,
) -> None:
    """Fine-tune a recipe in stages and keep the run.

    kft fit ResNetRecipe --data photos/ --run-dir runs/photos --image-size 160
    """
    if processes > 1:
        together.start(processes)
    prepared, train, valid = o.recipe_and_data(
        recipe, model, reading, data, validation.validation_data, seed
    )
    if fresh:
        from kft.run_directory import fresh as fresh_directory

        run_dir = fresh_directory(run_dir)
    run = prepared.fit(
        train,
        valid,
        stages=o.read_stages(stages),
        run_dir=run_dir,
        batch_size=batch_size,
        validation_split=validation.validation_split,
        early_stopping=_stopping(early_stopping),
        batch_norm=batch_norm.value,
        optimizer=_optimizer(optimizer, clipnorm),
        balance=None if balance is None else balance.value,
        augment=augment,
        jit_compile="auto" if jit_compile is None else jit_compile,
        steps_per_epoch=steps_per_epoch,
        keep_examples=keep_examples,
        cache="auto" if cache is Switch.auto else False,
        cache_dtype=cache_dtype.value,
        cached_views=cached_views,
        checkpoint_every=int(checkpoint_every) if checkpoint_every.isdigit() else checkpoint_every,
        allow_changed_plan=allow_changed_plan,
        retries=retries,
        distribution=_distribution(distribution),
        seed=seed,
        verbose=_verbosity(quiet),
    )
    if not speaks():
        return
    if run.evaluation is not None:
        typer.echo(f"On the validation data:\n{run.evaluation}")
    typer.echo(f"Report: {run.report()}")


@grouped
def plan(
    recipe: o.RecipeName,
    model: o.Model,
    num_classes: Annotated[
        int, typer.Option(min=1, help="Number of classes, or of values for regression.")
    ] = 2,
    stages: o.Stages = None,
    batch_norm: o.BatchNormMode = o.BatchNorm.frozen,
) -> None:
    """Print what each stage would train, without data and without pretrained weights.

    kft plan ResNetRecipe --model ResNet50 --stages stages.yaml
    """
    recipe_class = build.find_recipe(recipe)
    needed: dict[str, Any] = {"num_classes": num_classes}
    if "weights" in getattr(recipe_class, "__dataclass_fields__", {}):
        needed["weights"] = model.weights or "none"  # a plan needs none, so it downloads none
    planned = recipe_class(**model.arguments(recipe_class, **needed))

    from kft.tables import plan_table

    chosen = o.read_stages(stages) or planned.default_stages()
    typer.echo(str(plan_table(planned.model, chosen, batch_norm=batch_norm.value)))


def _distribution(chosen: Distribution) -> Any:
    if chosen is Distribution.model_parallel:
        from kft.distribution import ModelParallel

        return ModelParallel()
    return chosen.value


def _stopping(patience: int) -> Any:
    import keras

    if patience == 0:
        return None
    return keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)


def _optimizer(name: str | None, clipnorm: float | None) -> Any:
    import keras

    from kft.errors import InputError

    if name is None:
        if clipnorm is not None:
            raise InputError(
                f"--clipnorm {clipnorm}: name the optimizer too, as in --optimizer adam."
            )
        return None
    settings = {} if clipnorm is None else {"global_clipnorm": clipnorm}
    try:
        return keras.optimizers.get({"class_name": name, "config": settings})
    except (TypeError, ValueError) as error:
        raise InputError(
            f"--optimizer {name!r} is none of Keras': pass a name such as adam, adamw, sgd or lion."
        ) from error


def _verbosity(quiet: bool) -> int | str:
    """Return Keras' `verbose`: `fit` itself knows who is looking."""
    return 0 if quiet else "auto"
