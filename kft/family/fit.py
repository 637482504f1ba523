"""One fit of a recipe, step by step: planned, trained, kept, evaluated, shown."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

import keras

from kft.cache.store import FeatureStore
from kft.callbacks import StagedUnfreezing
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.data.streams import Stream
from kft.distribution import processes
from kft.distribution.agreement import agreements
from kft.distribution.feeding import replica_loss
from kft.distribution.spreading import spread
from kft.distribution.strategies import Strategy, resolve
from kft.family import run as fitting
from kft.family.directory import RunDirectory
from kft.family.hooks import Family
from kft.family.known import title_of
from kft.family.run import Run
from kft.family.settings import FitSettings, as_json
from kft.family.solving import check_solving, solver_of
from kft.model.graph import counterparts
from kft.model.precision import policy_of
from kft.runs.places import FEATURES_PLACE, check_apart_from_data
from kft.runs.signals import end_if_asked, put_off
from kft.stages.optimizer import norms_and_biases
from kft.stages.plan import plan as plan_stages
from kft.stages.table import PlanTable, plan_table
from kft.training import compilation
from kft.training.journal import Journal
from kft.training.staged import CachedStage, Solver, decide, kept_part, run_stages

if TYPE_CHECKING:
    from kft.tasks import Evaluation

_T = TypeVar("_T")
Data = Examples | Stream


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedFit:
    """A fit whose arguments and data have been checked, before anything is trained.

    Attributes:
        recipe: The recipe.
        train: The training data.
        validation: The validation data.
        settings: The arguments of `Recipe.fit`.
        strategy: Where it trains; None for one device.
        plan: Everything that decides what the fit computes, as JSON: equal plans give equal weights.
        directory: Where the run is kept.
    """

    recipe: Family
    train: Data
    validation: Data
    settings: FitSettings
    strategy: Strategy | None
    plan: Mapping[str, Any]
    directory: RunDirectory

    @classmethod
    def of(cls, recipe: Family, train: Any, validation_data: Any, settings: FitSettings) -> Self:
        """Read the data and identify the run.

        Args:
            recipe: The recipe.
            train: What was passed to `fit`.
            validation_data: What was passed to `fit`.
            settings: The other arguments.

        Raises:
            InputError: If the data are wrong, or results would be written among them.
        """
        strategy = resolve(settings.distribution)
        places = {"run_dir": settings.run_dir, FEATURES_PLACE: settings.cache.path}
        check_apart_from_data(places, (train, validation_data))
        training, validation = fitting.read_both(
            recipe, train, validation_data, settings.seed, settings.on_bad_example
        )
        settings = settings.decided(recipe, training, validation)
        check_solving(recipe, training, settings.stages)
        plan = {
            **fitting.identity_of(recipe, training, validation),
            **settings.identity(),
            "precision": policy_of(recipe.precision) or keras.config.dtype_policy().name,
        }
        directory = RunDirectory(
            settings.run_dir, as_json(plan), settings.resume.allow_changed_plan
        )
        return cls(recipe, training, validation, settings, strategy, directory.plan, directory)

    def is_finished(self) -> bool:
        """Return whether the run directory holds this very run, finished.

        Raises:
            InputError: If it holds another run.
        """
        return self.directory.path is not None and self.directory.is_finished()

    def loaded(self) -> Run:
        """Load the finished run into the recipe, and complete it if its page is missing."""
        path = self.directory.path
        assert path is not None
        run = fitting.take_over(self.recipe, path, verbose=self.settings.verbose)
        run = dataclasses.replace(run, training=self.train, validation=self.validation)
        if self.settings.finish.report and not (path / fitting.REPORT).is_file():
            return self._shown(run, None)
        return run

    def trained(self) -> Run:
        """Train, keep the weights, and only then evaluate and draw.

        Whatever fails after the weights are kept is a warning: training is never lost to a page.

        Raises:
            NonFiniteLossError: If the loss is not a finite number.
            Interrupted: After SIGTERM or SIGINT, once the state is committed.
        """
        recipe, settings = self.recipe, self.settings
        optimizer = self._prepared()
        needs = 4 * recipe.model.count_params()
        with self.directory.held(settings.cache.path, settings.cache.dtype, needs) as store:
            with self._fit(store, optimizer) as fit:
                run = fit.run()
                kept = fit.kept_part() if settings.finish.report else None
            recipe.is_fitted, recipe.loaded_from = True, None  # the weights are back on one device
            recipe.origin = {"plan": self.plan, "history": run.history}
            with put_off():
                self.directory.keep(lambda: fitting.keep(run, self.plan))
            end_if_asked()
            return self._shown(run, kept) if settings.finish.report else run

    def _prepared(self) -> keras.optimizers.Optimizer:
        """Give the recipe what it takes from the data; return the optimizer to train with."""
        recipe, settings = self.recipe, self.settings
        model = recipe.model
        if isinstance(self.train, Examples):
            recipe.learn(self.train)
            keeps = settings.finish.keep_examples
            recipe.raw_examples = fitting.raw_examples(self.train) if keeps else []
        if settings.optimizer is not None:
            return settings.optimizer
        rate = settings.stages[0].learning_rate
        optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
        optimizer.exclude_from_weight_decay(var_list=norms_and_biases(model))
        return optimizer

    @contextlib.contextmanager
    def _fit(self, store: FeatureStore, optimizer: keras.optimizers.Optimizer) -> Iterator[_Fit]:
        """Give the fit on its devices; when the block ends, the weights are back on one."""
        batches, held_out = self._batches()
        jit = compilation.choose(
            self.settings.jit_compile, batches, self.settings.stages, self.strategy
        )
        with spread(self.recipe.model, optimizer, self.strategy) as (model, own_optimizer):
            fit = _Fit(self, store, model, own_optimizer, batches, held_out, jit)
            fit.compile_like(model)
            compilation.pad_to_need(model, batches, held_out)
            yield fit

    def _batches(self) -> tuple[Any, Any]:
        recipe, settings = self.recipe, self.settings
        batches: Any
        if isinstance(self.train, Stream):
            batches = fitting.batches_of(
                recipe, fitting.counted(self.train), settings.batch_size, self.train.steps
            )
        else:
            batches = recipe.batches(
                self.train,
                batch_size=settings.batch_size,
                seed=settings.seed,
                shuffle=True,
                balance=settings.balance,
                augment=settings.augmentation,
            )
        return batches, fitting.batches_of(recipe, self.validation, settings.batch_size)

    def _shown(self, run: Run, kept: tuple[keras.Model, Batches] | None) -> Run:
        """Evaluate a run whose weights are kept, and write its page; failures are warnings."""
        path = self.directory.path
        evaluation: Evaluation | None = _attempt(
            "evaluating the run",
            "`recipe.evaluate(data)`" if path is None else f"`kft evaluate {path} --data DATA`",
            lambda: fitting.evaluate(self.recipe, self.validation, self.settings.batch_size, kept),
        )
        run = dataclasses.replace(run, evaluation=evaluation)
        if path is None or evaluation is None:
            return run
        journal = _attempt(
            "writing the page of the run",
            f"`kft report {path} --data DATA`",
            lambda: processes.decided(lambda: fitting.add_page(run)),
        )
        return run if journal is None else dataclasses.replace(run, journal=journal)


@dataclasses.dataclass(eq=False)
class _Fit:
    """The training itself: a compiled model, its data, and where frozen features are kept."""

    planned: PlannedFit
    store: FeatureStore
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    batches: Any
    held_out: Any
    jit_compile: bool | str
    decided: list[CachedStage] = dataclasses.field(default_factory=list)

    def compile_like(self, part: keras.Model) -> None:
        """Compile the model, or a part of it, for this fit."""
        recipe = self.planned.recipe
        part.compile(
            self.optimizer,
            loss=replica_loss(recipe.loss()),
            metrics=recipe.metrics(),
            jit_compile=self.jit_compile,
        )

    def run(self) -> Run:
        """Train through all stages."""
        settings, directory = self.planned.settings, self.planned.directory
        self.decided = self._decided()
        directory.begin(self.decided)
        table = self._table()
        if settings.verbose != 0:
            print(table)
        unfreezing = StagedUnfreezing(
            settings.stages,
            settings.early_stopping,
            batch_norm=settings.batch_norm,
            restore_best=settings.restore_best,
            monitor=settings.monitor,
            verbose=int(settings.verbose != 0),
        )
        checkpoint = directory.checkpoint(settings.resume.every)
        weights = self.planned.recipe.starting_weights
        journal = Journal(self.model, unfreezing, self.store, weights)
        history = fitting.with_retries(
            lambda: self._run_stages(unfreezing, journal, checkpoint),
            checkpoint,
            settings.resume.retries,
            before_retry=lambda: self.compile_like(self.model),
        )
        return Run(
            recipe=self.planned.recipe,
            history=fitting.plain_history(history.history),
            run_dir=directory.path,
            training=self.planned.train,
            validation=self.planned.validation,
            stages_table=table._repr_html_(),
            journal=fitting.noted(
                journal, self.decided, self.planned.train, self.planned.validation
            ),
        )

    def kept_part(self) -> tuple[keras.Model, Batches] | None:
        """Return what evaluates the validation data on features that are kept, if any does."""
        if self.planned.strategy is not None or not isinstance(self.held_out, Batches):
            return None
        identity = self.planned.recipe.input_identity()
        return kept_part(self.decided[-1], self.store, self.held_out, identity)

    def _decided(self) -> list[CachedStage]:
        settings, train = self.planned.settings, self.planned.train
        keeps = isinstance(self.batches, Batches) and isinstance(self.held_out, Batches)
        views, task = settings.cache.views, self.planned.recipe.task
        # Targets that follow a view's inputs would need those inputs, which are not kept.
        follows = task.collates and task.reads_inputs
        sizes = (
            len(data) * (views or 1) if data is train else len(data)
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
            length=getattr(self.planned.recipe, "length", None),
            before=self.planned.directory.decisions(),
            solver=self.solver,
        )

    @functools.cached_property
    def solver(self) -> Solver | None:
        """Return what solves the head of the model that is trained, where a stage asks for it."""
        settings, recipe, train = self.planned.settings, self.planned.recipe, self.planned.train
        if not settings.stages[0].solve or not isinstance(train, Examples):
            return None
        solver = solver_of(recipe, train, settings.batch_size, settings.balance, settings.seed)
        own = counterparts(recipe.model, self.model, solver.head_inputs)
        return dataclasses.replace(solver, head_inputs=tuple(own))

    def _table(self) -> PlanTable:
        settings = self.planned.settings
        return plan_table(
            self.model,
            settings.stages,
            settings.batch_norm,
            weights=self.planned.recipe.starting_weights,
            cache=[one.reason for one in self.decided],
            distribution=self.planned.strategy,
            title=title_of(self.planned.recipe),
        )

    def _run_stages(
        self, unfreezing: StagedUnfreezing, journal: Journal, checkpoint: list
    ) -> keras.callbacks.History:
        settings = self.planned.settings
        return run_stages(
            self.model,
            self.batches,
            self.held_out,
            unfreezing=unfreezing,
            stages=self.decided,
            store=self.store,
            compile_like=self.compile_like,
            identity=self.planned.recipe.input_identity(),
            views=settings.cache.views,
            solver=self.solver,
            callbacks=[
                *(fitting.FiniteLoss(), journal, *settings.callbacks, *checkpoint),
                *agreements(self.planned.strategy),
            ],
            steps_per_epoch=getattr(self.planned.train, "steps", None),
            verbose=settings.verbose,
        )


def _attempt(what: str, again: str, function: Callable[[], _T]) -> _T | None:
    """Return what the function returns; what it raises becomes a warning that names the way out."""
    try:
        return function()
    except Exception as error:  # whatever it is, what was trained is worth more
        warnings.warn(
            f"The run is finished and its weights are kept, but {what} failed with "
            f"{type(error).__name__}: {error} To repeat it: {again}.",
            stacklevel=3,
        )
        return None
