"""The training loop over stages, each of which trains on the outputs of the model's frozen part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from kft.arguments import shown
from kft.cache.store import FeatureStore
from kft.callbacks import StagedUnfreezing
from kft.callbacks.staged_unfreezing import refuse_conflicts
from kft.distribution.replica_batches import check_shares
from kft.errors import InputError
from kft.report.terminal import shows_progress
from kft.stages.optimizer import unscaled
from kft.training.cached_stages import CachedStage
from kft.training.single_run import SingleRun
from kft.training.solver import Solver
from kft.training.stage_parts import StageParts


def run_stages(
    model: keras.Model,
    train: Any,
    validation: Any,
    *,
    unfreezing: StagedUnfreezing,
    stages: Sequence[CachedStage],
    store: FeatureStore,
    compile_like: Callable[[keras.Model], None],
    identity: str,
    views: int = 0,
    solver: Solver | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    steps_per_epoch: int | None = None,
    verbose: int | str = "auto",
) -> keras.callbacks.History:
    """Run `model.fit(train, callbacks=[unfreezing, *callbacks])` with frozen work done once.

    A stage with a cut trains the suffix, which shares the model's layers and optimizer; callbacks
    see the whole model throughout. A `RunCheckpoint` among the callbacks decides where to begin.

    Args:
        model: the compiled model.
        train: batches of its inputs: `Batches`, or without any cut whatever `fit` takes.
        validation: batches in a fixed order to validate on, or None.
        unfreezing: the stages.
        stages: the decisions of `decide`.
        store: where features are stored.
        compile_like: compiles a suffix with the model's loss and metrics; its optimizer is replaced.
        identity: everything besides the examples that affects the model's inputs: the preprocessing.
        views: augmented views cached per training example; 0 caches the unaugmented examples.
        solver: solves the head, if the first stage asks for it.
        callbacks: Keras callbacks.
        steps_per_epoch: as in `keras.Model.fit`; needs stages without a cut.
        verbose: 0 prints nothing, 1 updates one line, 2 prints a line per epoch; `"auto"` is 1 in a
            terminal or a notebook, else 2.

    Returns:
        One history over all stages.
    """
    if verbose == "auto":
        verbose = 1 if shows_progress() else 2
    if solver is not None:
        unfreezing.leave_solving()
    check_shares(model, train, validation, unfreezing.stages, unfreezing.batch_norm)
    run = SingleRun(
        model,
        unfreezing,
        stages,
        callbacks,
        epochs=sum(stage.epochs for stage in unfreezing.stages),
        steps=_steps(train) if steps_per_epoch is None else steps_per_epoch,
        verbose=int(verbose),
    )
    parts = StageParts(model, train, validation, unfreezing.stages, stages, views)
    parts.compute(store, identity)
    model.stop_training = False
    try:
        epoch = began = run.begin()
        while epoch < run.params["epochs"] and not run.stopped:
            unfreezing.prepare(epoch)
            index = unfreezing.stage_index or 0
            if solver is not None and epoch == 1:  # a resumed run restores its weights later
                solver.soften(model)
            part = parts.of(index)
            if part.trainer is not model:
                compile_like(part.trainer)
            if solver is not None and unfreezing.stages[index].solve:
                epoch = run.solve(solver, part, epoch, steps_per_epoch)
            else:
                epoch = run.train(part, epoch, steps_per_epoch)
        optimizer = unscaled(model.optimizer)
        optimizer.finalizes = True
        optimizer.finalize_variable_values(model.trainable_variables)
        if epoch > began:  # else the run had ended and was restored with its final weights
            run.settle(part)
        run.end()
    finally:
        unscaled(model.optimizer).finalizes = True
        if run.checkpoint is not None:
            run.checkpoint.close()
        parts.close()
        run.close()
    return model.history


def check_callbacks(callbacks: Any) -> None:
    """Check that `callbacks` is a list of Keras callbacks.

    Raises:
        InputError: It is not a list, or an item is not a callback.
    """
    way_out = "pass a list of Keras callbacks, such as [keras.callbacks.CSVLogger('log.csv')]."
    if not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
        raise InputError(f"`callbacks={shown(callbacks)}`: {way_out}")
    for index, one in enumerate(callbacks):
        if not isinstance(one, keras.callbacks.Callback):
            raise InputError(f"`callbacks[{index}]` is {shown(one)}: {way_out}")
    refuse_conflicts(callbacks)


def _steps(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:  # a tf.data.Dataset of unknown or infinite length
        return None
