"""One training of a recipe's model through its stages, on its devices and with cached features."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras

from kft.cache.store import FeatureStore
from kft.callbacks import RunCheckpoint, StagedUnfreezing
from kft.callbacks.monitor import Monitor
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.streams import Stream
from kft.distribution.agreement import agreements
from kft.distribution.model_copies import spread
from kft.distribution.replica_batches import replica_loss
from kft.family.ending import ending
from kft.family.examples_planned import examples_planned
from kft.family.fit_data import batches_of, counted
from kft.family.known import title_of
from kft.family.planned import PlannedFit
from kft.family.retries import FiniteLoss, with_retries
from kft.family.run import Run, journal_content, plain_history
from kft.family.solving import solver_of
from kft.model.graph import counterparts
from kft.stages.plan import plan as plan_stages
from kft.stages.table import PlanTable, plan_table
from kft.stages.usual_optimizer import usual_optimizer
from kft.tasks.calibrated_loss import CALIBRATED_LOSS
from kft.training import compilation
from kft.training.cached_stages import CachedStage, decide
from kft.training.interpolation import Interpolation
from kft.training.journal import Journal
from kft.training.kept_features import kept_part
from kft.training.solver import Solver
from kft.training.staged import run_stages


@contextlib.contextmanager
def training_pass(
    planned: PlannedFit,
    store: FeatureStore,
    optimizer: keras.optimizers.Optimizer,
    announced: str | None = None,
    share: float | None = None,
) -> Iterator[TrainingPass]:
    """Yield a training on its devices; afterwards the weights are back on one device.

    Args:
        planned: The fit.
        store: The store of frozen features.
        optimizer: The result of `prepared`.
        announced: A line to print in place of the table of the stages.
        share: The fraction of the way from the start to the end of the last stage at which the weights
            are left; None for its end, or for what `settings.interpolate` says.
    """
    settings = planned.settings
    batches, held_out = _batches(planned)
    jit = compilation.choose(settings.jit_compile, batches, settings.stages, planned.strategy)
    with spread(planned.recipe.model, optimizer, planned.strategy) as (model, own_optimizer):
        fit = TrainingPass(
            planned, store, model, own_optimizer, batches, held_out, jit, announced, share
        )
        fit.compile_like(model)
        compilation.pad_to_longest(model, batches, held_out)
        yield fit


def prepared(planned: PlannedFit) -> keras.optimizers.Optimizer:
    """Let the recipe learn from the training data, and return the optimizer to train with."""
    recipe, settings = planned.recipe, planned.settings
    if isinstance(planned.train, Examples):
        recipe.learn(planned.train)
    if settings.optimizer is not None:
        return settings.optimizer
    rate = settings.stages[0].learning_rate
    return usual_optimizer(recipe.model, rate, weight_decay=recipe.weight_decay)


def _batches(planned: PlannedFit) -> tuple[Any, Any]:
    recipe, settings, train = planned.recipe, planned.settings, planned.train
    batches: Any
    if isinstance(train, Stream):
        batches = batches_of(recipe, counted(train), settings.batch_size, train.steps)
    else:
        batches = recipe.batches(
            train,
            batch_size=settings.batch_size,
            seed=settings.seed,
            shuffle=True,
            balance=settings.balance,
            augment=settings.augmentation,
        )
    held_out = planned.validation
    if held_out is None:
        return batches, None
    if settings.balance is None or isinstance(held_out, Stream):
        return batches, batches_of(recipe, held_out, settings.batch_size)
    # However training is balanced, all classes have equal weight where epochs are compared.
    size = settings.batch_size
    return batches, recipe.batches(held_out, batch_size=size, balance="weights")


@dataclasses.dataclass(eq=False)
class TrainingPass:
    """A compiled model, its data, and the store of frozen features.

    Attributes:
        planned: The fit.
        store: The store of frozen features.
        model: The model on the devices that it trains on.
        optimizer: Its optimizer.
        batches: The training data.
        held_out: The validation data, or None.
        jit_compile: As in `keras.Model.compile`.
        announced: A line to print in place of the table of the stages.
        share: As for `training_pass`.
        cached_stages: The cache decision for each stage.
    """

    planned: PlannedFit
    store: FeatureStore
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    batches: Any
    held_out: Any
    jit_compile: bool | str
    announced: str | None = None
    share: float | None = None
    cached_stages: list[CachedStage] = dataclasses.field(default_factory=list)

    def compile_like(self, part: keras.Model) -> None:
        """Compile the model, or a part of it, for this fit."""
        recipe = self.planned.recipe
        part.compile(
            self.optimizer,
            loss=replica_loss(recipe.loss()),
            metrics=self.planned.recipe.metrics(),
            weighted_metrics=self._weighted_metrics(),
            jit_compile=self.jit_compile,
        )

    def _weighted_metrics(self) -> list[keras.metrics.Metric]:
        """Return the calibrated loss as a metric if epochs are compared by it."""
        monitor, task = self.planned.settings.monitor, self.planned.recipe.task
        name = None if monitor is None else Monitor.of(monitor).name
        judge = task.calibrated_loss() if name == f"val_{CALIBRATED_LOSS}" else None
        return [] if judge is None else [judge]

    def run(self) -> Run:
        """Train through all stages."""
        settings, directory = self.planned.settings, self.planned.directory
        self.cached_stages = self.decide()
        directory.begin(self.cached_stages)
        table = self.table()
        if settings.verbose != 0:
            print(table if self.announced is None else self.announced)
        unfreezing = StagedUnfreezing(
            settings.stages,
            settings.early_stopping,
            batch_norm=settings.batch_norm,
            restore_best=settings.restore_best,
            monitor=settings.monitor,
            tolerance=settings.tolerance or 0.0,
            verbose=int(settings.verbose != 0),
        )
        checkpoint = directory.checkpoint(settings.resume.every)
        weights = self.planned.recipe.starting_weights
        journal = Journal(self.model, unfreezing, self.store, weights)
        lines = []
        if settings.interpolate or self.share is not None:
            fixed = settings.interpolate
            share = fixed if isinstance(fixed, float) else self.share
            lines = [Interpolation(self.model, unfreezing, share)]
        history = with_retries(
            lambda: self._run_stages(unfreezing, journal, lines, checkpoint),
            checkpoint,
            settings.resume.retries,
            before_retry=lambda: self.compile_like(self.model),
        )
        return Run(
            recipe=self.planned.recipe,
            history=plain_history(history.history),
            run_dir=directory.path,
            training=self.planned.train,
            validation=self.planned.validation,
            stages_table=table._repr_html_(),
            journal=journal_content(
                journal, self.cached_stages, self.planned.train, self.planned.validation
            ),
        )

    def kept_part(self) -> tuple[keras.Model, Batches] | None:
        """Return the part of the model that evaluates the validation data on cached features, if any."""
        if self.planned.strategy is not None or not isinstance(self.held_out, Batches):
            return None
        identity = self.planned.recipe.input_identity()
        return kept_part(self.cached_stages[-1], self.store, self.held_out, identity)

    def decide(self) -> list[CachedStage]:
        """Return for each stage whether it trains on cached features, and on which."""
        settings, train = self.planned.settings, self.planned.train
        keeps = isinstance(self.batches, Batches) and isinstance(self.held_out, Batches | None)
        views, recipe = settings.cache.views, self.planned.recipe
        # Targets computed from a view's inputs would need those inputs, which are not cached.
        follows = recipe.task.collates and recipe.task.reads_inputs
        sizes = (
            recipe.row_count(data) * ((views or 1) if data is train else 1)
            for data in (train, self.planned.validation)
            if isinstance(data, Examples)
        )
        return decide(
            self.model,
            plan_stages(self.model, settings.stages, settings.batch_norm),
            self.store,
            examples=sum(sizes),
            augments=settings.augmentation is not None and (not views or follows),
            cache=settings.cache.on if keeps else False,
            length=getattr(recipe, "length", None),
            before=self.planned.directory.decisions(),
            solver=self.solver,
            sample=self._sample(),
        )

    def _sample(self) -> Callable[[], Any] | None:
        """Return a function that returns a batch for measuring the machine's speed.

        None if the fit may resume without a run directory, which would store the decision.
        """
        if any(isinstance(one, RunCheckpoint) for one in self.planned.settings.callbacks):
            return None
        batches = self.batches if self.held_out is None else self.held_out
        return lambda: batches[0][0]

    @functools.cached_property
    def solver(self) -> Solver | None:
        """The solver of the head of the model in training, if a stage uses one."""
        settings, recipe, train = self.planned.settings, self.planned.recipe, self.planned.train
        if not settings.stages[0].solve or not isinstance(train, Examples):
            return None
        solver = solver_of(recipe, train, settings.batch_size, settings.balance, settings.seed)
        own = counterparts(recipe.model, self.model, solver.head_inputs)
        return dataclasses.replace(solver, head_inputs=tuple(own))

    def table(self) -> PlanTable:
        """Return the plan of the stages, with the decisions of the cache."""
        settings = self.planned.settings
        table = plan_table(
            self.model,
            settings.stages,
            settings.batch_norm,
            weights=self.planned.recipe.starting_weights,
            cache=[one.reason for one in self.cached_stages],
            distribution=self.planned.strategy,
            title=title_of(self.planned.recipe),
        )
        counts = examples_planned(self.planned)
        notes = (*counts, *settings.rules, *ending(self.planned), *table.notes)
        return dataclasses.replace(table, notes=notes)

    def _run_stages(
        self,
        unfreezing: StagedUnfreezing,
        journal: Journal,
        lines: list[Interpolation],
        checkpoint: list,
    ) -> keras.callbacks.History:
        settings = self.planned.settings
        return run_stages(
            self.model,
            self.batches,
            self.held_out,
            unfreezing=unfreezing,
            stages=self.cached_stages,
            store=self.store,
            compile_like=self.compile_like,
            identity=self.planned.recipe.input_identity(),
            views=settings.cache.views,
            solver=self.solver,
            callbacks=[
                *(FiniteLoss(), journal, *lines, *settings.callbacks, *checkpoint),
                *agreements(self.planned.strategy),
            ],
            steps_per_epoch=getattr(self.planned.train, "steps", None),
            verbose=settings.verbose,
        )
