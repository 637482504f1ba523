"""One fit in stages, in which each stage trains on what the frozen part of the model puts out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kft.arguments import shown
from kft.cache.cost import estimate
from kft.cache.cut import Cut, cut_at, find_cut
from kft.cache.store import Features, FeatureStore
from kft.callbacks import RunCheckpoint, StagedUnfreezing
from kft.callbacks.staged_unfreezing import refuse_rivals
from kft.data.augment import NextView
from kft.data.batches import Batches
from kft.data.buckets import BucketedBatches
from kft.distribution import processes
from kft.distribution.feeding import check_shares, for_fit
from kft.distribution.replicas import accompanied, fed
from kft.errors import InputError
from kft.model import graph
from kft.report.terminal import shows_progress
from kft.stages.optimizer import unscaled
from kft.stages.plan import PlannedStage, kept_flags
from kft.stages.regrouping import reorder
from kft.stages.stage import Stage


@dataclasses.dataclass(frozen=True, eq=False)
class Solver:
    """Solves the heads of a model, for a stage with `solve=True`.

    Attributes:
        head_inputs: The tensors of the model that the heads are on.
        solve: Gives the heads of the model their weights. It gets the model and the kept features of
            its training examples, or None where none are kept; and returns a line to show.
        soften: Gives the heads, as the next stage begins, weights to train further from.
    """

    head_inputs: tuple[Any, ...]
    solve: Callable[[keras.Model, Features | None], str]
    soften: Callable[[keras.Model], None]


@dataclasses.dataclass(frozen=True, eq=False)
class CachedStage:
    """Whether a stage trains on kept features.

    Attributes:
        cut: where the model is cut; None if the stage computes everything anew.
        reason: why, for the plan table.
    """

    cut: Cut | None
    reason: str


def decide(
    model: keras.Model,
    planned: Sequence[PlannedStage],
    store: FeatureStore,
    *,
    examples: int,
    augments: bool,
    cache: bool | str,
    length: int | None = None,
    before: Sequence[bool] | None = None,
    solver: Solver | None = None,
) -> list[CachedStage]:
    """Chooses for each stage whether its frozen features are kept.

    Args:
        model: the model; its flags are put back.
        planned: the stages.
        store: where features would be kept.
        examples: number of examples whose features would be kept, validation and views included.
        augments: whether the training inputs change from epoch to epoch.
        cache: True wherever it changes nothing, `"auto"` where it also pays and the disk has room,
            False nowhere.
        length: tokens of a text, where the model does not say it.
        before: what was decided when this run began, if it goes on: it decides again in the same way.
        solver: solves the head in a stage that asks for it.
    """
    if processes.rank() > 0:  # the room on the disk, for one, is seen by the first process alone
        before = processes.from_first(before)
    chosen: list[CachedStage] = []
    moved: set[int] = set()  # variables that an earlier stage trains
    with kept_flags(model):
        for stage in planned:
            stage.enter(model)
            if before is not None and len(before) == len(planned):
                cache = before[len(chosen)]
            chosen.append(
                CachedStage(None, "off")
                if cache is False
                else CachedStage(None, "off: augmentation changes the inputs")
                if augments and not stage.stage.solve
                else _decide(model, stage, moved, store, examples, cache, length, solver)
            )
            moved |= {id(variable) for variable in graph.changing(model)}
    if processes.rank() == 0:
        processes.from_first([stage.cut is not None for stage in chosen])
    return chosen


def _decide(
    model: keras.Model,
    stage: PlannedStage,
    moved: set[int],
    store: FeatureStore,
    examples: int,
    cache: bool | str,
    length: int | None,
    solver: Solver | None,
) -> CachedStage:
    cut: Cut | None
    solves = stage.stage.solve and solver is not None
    if solver is not None and solves:  # which reads its features twice: to solve and to evaluate
        cut, reason, epochs = cut_at(model, solver.head_inputs), "", 2
    else:
        (cut, reason), epochs = find_cut(model, moved), stage.stage.epochs
    if cut is None:
        return CachedStage(None, f"off: {reason}")
    cost = estimate(cut, examples, epochs, store.directory, length)
    if cache == "auto" and not cost.fits:
        return CachedStage(None, f"off: the disk has no room ({cost})")
    if cache == "auto" and not cost.pays and not solves:
        below = f"{reason}, and what lies below it" if reason else "it"
        return CachedStage(None, f"off: {below} would not pay ({cost})")
    return CachedStage(cut, f"on: {cost}")


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
    """As `model.fit(train, callbacks=[unfreezing, *callbacks])`, with frozen work done once.

    A stage with a cut trains the suffix, which shares the model's layers and optimizer; callbacks
    see the whole model throughout. A `RunCheckpoint` among the callbacks says where to begin.

    Args:
        model: the compiled model.
        train: batches of its inputs: `Batches`, or without any cut all that `fit` takes.
        validation: the same in their own order, or None.
        unfreezing: the stages.
        stages: what `decide` chose for them.
        store: where features are kept.
        compile_like: compiles a suffix with the model's loss and metrics; its optimizer is replaced.
        identity: what decides the model's inputs besides the examples: the preprocessing.
        views: how many augmented views of each training example are kept; 0 for unchanged examples.
        solver: solves the head, if the first stage asks for it.
        callbacks: Keras callbacks.
        steps_per_epoch: as in `keras.Model.fit`; needs stages without a cut.
        verbose: as in `keras.Model.fit`; `"auto"` is a bar for a person at a terminal or a notebook,
            and elsewhere a line an epoch.

    Returns:
        One history over all stages.
    """
    if verbose == "auto":
        verbose = 1 if shows_progress() else 2
    if solver is not None:
        unfreezing.leave_solving()
    check_shares(model, train, validation, unfreezing.stages, unfreezing.batch_norm)
    run = _OneRun(
        accompanied([unfreezing, *callbacks], model),
        add_history=True,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=sum(stage.epochs for stage in unfreezing.stages),
        steps=_steps(train) if steps_per_epoch is None else steps_per_epoch,
    )
    run.stages, run.unfreezing = stages, unfreezing
    run.checkpoint = next((one for one in callbacks if isinstance(one, RunCheckpoint)), None)
    data: list[Features | None] = [None] * len(stages)
    held_out: list[Features | None] = [None] * len(stages)
    if any(stage.cut is not None for stage in stages):
        data = _features_of_stages(stages, unfreezing.stages, store, train, identity, views)
        _build_metrics(model, train, stages, data)
        if validation is not None:
            held_out = _features(stages, store, validation, identity)
    model.stop_training = False
    opened = [data for data in (train, validation) if isinstance(data, Batches)]
    try:
        epoch = run.begin()
        while epoch < run.params["epochs"] and not run.stopped:
            unfreezing.prepare(epoch)
            index = unfreezing.stage_index or 0
            if solver is not None and epoch == 1:  # a run that resumes replaces this
                solver.soften(model)
            trainer, batches, val = model, train, validation
            cut, kept, kept_val = stages[index].cut, data[index], held_out[index]
            solves = unfreezing.stages[index].solve
            if cut is not None and kept is not None and (val is None or kept_val is not None):
                trainer, batches = cut.suffix, _cached(train, kept, 0 if solves else views)
                val = None if val is None or kept_val is None else _cached(val, kept_val)
                opened += [batches] if val is None else [batches, val]
                compile_like(trainer)
            if solves and solver is not None:
                epoch = run.solve(solver, kept, trainer, batches, val, epoch, steps_per_epoch)
            else:
                epoch = run.train(trainer, batches, val, epoch, steps_per_epoch, verbose)
        optimizer = unscaled(model.optimizer)
        optimizer.finalizes = True
        optimizer.finalize_variable_values(model.trainable_variables)
        run.end()
    finally:
        unscaled(model.optimizer).finalizes = True
        if run.checkpoint is not None:
            run.checkpoint.close()
        for batches in opened:
            batches.close()
        run.close()
    return model.history


def check_callbacks(callbacks: Any) -> None:
    """Refuse what is not a list of callbacks.

    Raises:
        InputError: It is something else, or something in it is.
    """
    way_out = "pass a list of Keras callbacks, such as [keras.callbacks.CSVLogger('log.csv')]."
    if not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
        raise InputError(f"`callbacks={shown(callbacks)}`: {way_out}")
    for index, one in enumerate(callbacks):
        if not isinstance(one, keras.callbacks.Callback):
            raise InputError(f"`callbacks[{index}]` is {shown(one)}: {way_out}")
    refuse_rivals(callbacks)


def kept_part(
    stage: CachedStage, store: FeatureStore, batches: Batches, identity: str
) -> tuple[keras.Model, Batches] | None:
    """The part of a model that a stage has trained, and the batches that it takes.

    Args:
        stage: what `decide` chose for the stage, which has trained.
        store: where features are kept.
        batches: batches of the whole model's inputs.
        identity: as `run_stages` was given it.

    Returns:
        None where the stage computed everything anew, or the features that were kept are rounded.
    """
    if stage.cut is None or store.dtype != "float32":
        return None
    (kept,) = _features([stage], store, batches, identity)
    return None if kept is None else (stage.cut.suffix, _cached(batches, kept))


class _OneRun(keras.callbacks.CallbackList):
    """Callbacks that see several fits of several models as a single fit of one model."""

    stages: Sequence[CachedStage]
    unfreezing: StagedUnfreezing
    checkpoint: RunCheckpoint | None

    def __init__(self, callbacks: list, model: keras.Model, **params: Any) -> None:
        super().__init__(callbacks, model=model, **params)
        self._whole = model
        self._trainer = model
        self._batches: Any = None
        self._last_logs: dict[str, Any] | None = None
        self.next_epoch = 0
        self.stopped = False

    def begin(self) -> int:
        """Begins the run; returns the epoch that it begins with."""
        super().on_train_begin()
        position = None if self.checkpoint is None else self.checkpoint.position
        return 0 if position is None else position[0]

    def end(self) -> None:
        super().on_train_end(self._last_logs)

    def close(self) -> None:
        """End the threads in which Keras calls callbacks after batches.

        Keras (3.15.1) ends them in `on_train_end`, which a fit that fails does not reach, and offers
        no public way to do it.
        """
        if self._executor is not None:
            self._executor.shutdown()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Nothing: the run began before the first of its fits."""

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Nothing: the run goes on after this fit."""
        self._last_logs = logs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the order of the examples to the epoch's."""
        if isinstance(self._batches, Batches):
            self._batches.epoch = epoch
        super().on_epoch_begin(epoch, logs)
        unscaled(self._whole.optimizer).finalizes = False  # a stage brings a new optimizer

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Passes on a callback's wish to stop."""
        super().on_train_batch_end(batch, logs)
        if self._whole.stop_training:
            self.stopped = self._trainer.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends this fit with its stage, if the next stage trains on something else."""
        super().on_epoch_end(epoch, logs)
        self.next_epoch = epoch + 1
        self.stopped = self._whole.stop_training
        now = self.unfreezing.stage_index or 0
        cuts = [stage.cut for stage in self.stages[now : now + 2]]
        ended = self.unfreezing.stage_ended and any(cut is not None for cut in cuts)
        if self.stopped or ended:
            self._trainer.stop_training = True

    def solve(
        self,
        solver: Solver,
        kept: Features | None,
        trainer: keras.Model,
        batches: Any,
        validation: Any,
        epoch: int,
        steps: int | None,
    ) -> int:
        """Solves the head in an epoch without steps; returns the next epoch.

        Several processes each read all of a batch here, and take their parts of it.
        """
        self._turn_to(trainer, batches, epoch)
        self.on_epoch_begin(epoch)
        said = solver.solve(self._whole, kept)
        if self.params["verbose"] and processes.rank() == 0:
            print(said)
        # Made before `evaluate` knows the metrics, it would not say on which devices those lie.
        trainer.test_function = None
        logs = trainer.evaluate(for_fit(batches), steps=steps, verbose=0, return_dict=True)
        if validation is not None:
            held_out = trainer.evaluate(for_fit(validation), verbose=0, return_dict=True)
            logs |= {f"val_{name}": value for name, value in held_out.items()}
        self.on_epoch_end(epoch, logs)
        return self.next_epoch

    def _turn_to(self, trainer: keras.Model, batches: Any, epoch: int) -> None:
        """Note what the epochs from this one on run, before they begin."""
        self._trainer, self._batches, self.next_epoch = trainer, batches, epoch
        if self.checkpoint is not None:
            self.checkpoint.follow(trainer, batches if isinstance(batches, Batches) else None)

    def train(
        self,
        trainer: keras.Model,
        batches: Any,
        validation: Any,
        epoch: int,
        steps: int | None,
        verbose: Any,
    ) -> int:
        """Trains a stage, or as many as train on the same; returns the next epoch."""
        batches, validation = fed(batches, validation)
        whole = self._whole
        self._turn_to(trainer, batches, epoch)
        order = trainer.trainable_variables
        if [id(v) for v in order] != [id(v) for v in whole.trainable_variables]:
            reorder(whole, order)
        unscaled(whole.optimizer).finalizes = False
        # Made before `fit` knows the metrics, they would not say on which devices those lie.
        trainer.train_function = trainer.test_function = None
        synced = trainer is not whole and hasattr(whole, "jax_state_sync")
        if trainer is not whole:
            trainer.optimizer = whole.optimizer
            trainer.history = whole.history
        if synced:  # JAX: whoever reads the whole model between steps gets the suffix' new values
            whole.jax_state_sync = trainer.jax_state_sync
        try:
            trainer.fit(
                for_fit(batches),
                validation_data=for_fit(validation),
                initial_epoch=epoch,
                epochs=self.params["epochs"],
                steps_per_epoch=steps,
                shuffle=False,  # `Batches` has an order of its own
                callbacks=self,
                verbose=verbose,
            )
        finally:
            if synced:
                del whole.jax_state_sync
        return self.next_epoch


def _features_of_stages(
    stages: Sequence[CachedStage],
    settings: Sequence[Stage],
    store: FeatureStore,
    batches: Batches,
    identity: str,
    views: int,
) -> list[Features | None]:
    """Return the features of each stage; a head is solved on the examples as they are."""
    if not views or not settings[0].solve:
        return _features(stages, store, batches, identity, views)
    solved = _features(stages[:1], store, batches, identity)
    return [*solved, *_features(stages[1:], store, batches, identity, views)]


def _steps(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:  # a tf.data.Dataset that does not know, or never ends
        return None


def _features(
    stages: Sequence[CachedStage],
    store: FeatureStore,
    batches: Batches,
    identity: str,
    views: int = 0,
) -> list[Features | None]:
    cuts = [stage.cut for stage in stages if stage.cut is not None]
    if not cuts:
        return [None] * len(stages)
    settings: dict[str, Any] = {"batch_size": batches.batch_size}
    if views:
        settings["seed"] = batches.seed
        identity += f", {views} views by {batches.augment.describe()} from {settings}"
        settings["augment"] = batches.augment
    if isinstance(batches, BucketedBatches):
        settings |= {"lengths": batches.lengths, "buckets": batches.buckets}
        plain: Batches = BucketedBatches(batches.examples, batches.load, **settings)
    else:
        plain = Batches(batches.examples, batches.load, **settings)
    found = processes.in_turn(lambda: store.fetch(cuts, plain, identity, views or 1))
    lacking = processes.any_of(*(one is None for one in found))
    kept = (None if lacks else one for one, lacks in zip(found, lacking, strict=True))
    return [None if stage.cut is None else next(kept) for stage in stages]


def _cached(batches: Batches, features: Features, views: int = 0) -> Batches:
    """The same batches, of features in place of inputs."""
    rows = np.arange(len(batches.examples))
    examples = dataclasses.replace(batches.examples, kind="arrays", inputs=rows)
    settings: dict[str, Any] = {
        "batch_size": batches.batch_size,
        "seed": batches.seed,
        "shuffle": batches.shuffle,
        "balance": batches.balance,
        "soft_targets": batches.soft_targets,
        "inputs_of": batches,
    }
    if not isinstance(batches, BucketedBatches):
        view = NextView(len(rows), views) if views else None
        return Batches(examples, features.load, augment=view, **settings)
    buckets, lengths = batches.buckets, batches.lengths
    return BucketedBatches(examples, features.load, lengths=lengths, buckets=buckets, **settings)


def _build_metrics(
    model: keras.Model,
    batches: Batches,
    stages: Sequence[CachedStage],
    data: Sequence[Features | None],
) -> None:
    """Lets callbacks find the metrics by name, though the model itself may never train.

    The outputs of one example, whatever their structure and shapes, are what builds the metrics.
    """
    for stage, kept in zip(stages, data, strict=True):
        if stage.cut is None or kept is None:
            continue
        x, y, *_ = _cached(batches, kept)[0]
        x, y = keras.tree.map_structure(lambda rows: rows[:1], (x, y))
        model.compute_metrics(x, y, stage.cut.suffix(x, training=False))
        model.reset_metrics()
        return
