"""Arguments of `Recipe.fit` with several fields: resuming, finishing, and the choice of the best epoch."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self, get_args

from kft.arguments import check_choice, check_flag, check_whole, is_number, make_plain, shown
from kft.arguments.calls import CheckedCalls
from kft.callbacks.best_state import Restore, check_tolerance
from kft.callbacks.commit_timer import read_interval
from kft.callbacks.monitor import Monitor
from kft.errors import InputError
from kft.runs.identity import may_change


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resume(CheckedCalls):
    """How the state of a fit with `run_dir` is committed, and how the fit resumes from it.

    Args:
        every: How often to commit the state: `"epoch"`, a number of steps, or a time such as
            `"30s"`. Defaults to `"1min"`.
        retries: How many times to resume from the last commit at half the learning rate after the loss
            was NaN or infinite. Defaults to 0.
        allow_changed_plan: Whether to continue an unfinished run in `run_dir` whose plan differs.
            Defaults to False, which makes it an error.

    Raises:
        InputError: If a value is out of its range.

    Example:

    ```python
    recipe.fit("photos", run_dir="runs/photos", resume=kft.Resume(every="10min", retries=2))
    ```
    """

    every: Any = "1min"
    retries: int = 0
    allow_changed_plan: bool = False

    def __post_init__(self) -> None:
        make_plain(self)
        read_interval(self.every, "every")
        check_whole("retries", self.retries, "retries", least=0)
        check_flag("allow_changed_plan", self.allow_changed_plan)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Convert the argument `resume`, whose None means the defaults.

        Raises:
            InputError: If it is something else.
        """
        return _of(cls, value, "resume", "kft.Resume(every='10min')")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finish(CheckedCalls):
    """What a fit does after its stages have trained.

    Args:
        calibrate: Whether to divide the scores by a temperature, found on the validation data, so that
            a probability is how often such an answer is right (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599). The temperature is folded into the head, so exports
            include it. `"auto"` does so with the default stages, for tasks that answer with probabilities.
        refit: Whether to train the model once more from the start, on training and validation data
            together, for as many epochs as led to the best weights. The run's history, evaluation
            and page are those from before. `"auto"` does so with the default stages where kft has
            split off fewer than 200 validation examples itself.
        report: Whether to evaluate the result on the validation data, for the run's `evaluation`
            and its page. Defaults to True; a trial of a search needs only its history.
        keep_examples: Whether to keep four of the training inputs with the recipe, also in the run
            directory, for the warmup and the check of an export. Defaults to True.

    Raises:
        InputError: If a value is not one of these.

    Example:

    ```python
    recipe.fit("photos", finish=kft.Finish(keep_examples=False))
    ```
    """

    calibrate: bool | str = "auto"
    refit: bool | str = "auto"
    report: bool = dataclasses.field(default=True, metadata=may_change("comes after the training"))
    keep_examples: bool = dataclasses.field(
        default=True, metadata=may_change("training does not see it")
    )

    def __post_init__(self) -> None:
        make_plain(self)
        check_choice("calibrate", self.calibrate, ("auto", True, False))
        check_choice("refit", self.refit, ("auto", True, False))
        check_flag("report", self.report)
        check_flag("keep_examples", self.keep_examples)

    def resolved(self, calibrate: bool, refit: bool) -> Self:
        """Return a copy in which `"auto"` is replaced.

        Args:
            calibrate: The value for `calibrate="auto"`.
            refit: The value for `refit="auto"`.
        """
        return dataclasses.replace(
            self,
            calibrate=calibrate if self.calibrate == "auto" else self.calibrate,
            refit=refit if self.refit == "auto" else self.refit,
        )

    @classmethod
    def of(cls, value: Any) -> Self:
        """Convert the argument `finish`, whose None means the defaults.

        Raises:
            InputError: If it is something else.
        """
        return _of(cls, value, "finish", "kft.Finish(keep_examples=False)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestEpoch(CheckedCalls):
    """Which weights a stage and the run end with, and how epochs are compared.

    Args:
        among: `"run"` ends each stage with its best epoch and the run with the best epoch of all
            stages, `"stage"` the run with the best epoch of its last stage, `"ends"` each stage with
            its last epoch and the run with the best of these, None each with its last epoch.
            `"auto"` is `"run"`, but `"ends"` for the default stages with fewer than 200
            validation examples.
        monitor: The logged value by which epochs are compared, or a name and a direction such as
            `("val_kappa", "max")`. Defaults to the monitor of `early_stopping`, or `"val_loss"`; for
            the default stages with at least 200 validation examples to the objective of the task,
            such as `"val_accuracy"`, and with 16 to 199, for a classifier, to `"val_calibrated_loss"`,
            the loss at the best temperature, see `kft.tasks.calibrated_loss`.
        tolerance: By what fraction the end of a stage may be worse than the best end before it and
            still be kept, for `"ends"`; if negative, by what fraction it must be better. Defaults to 0,
            but for the default stages with n validation examples, where chance moves a mean loss by
            1/sqrt(n), to 1/sqrt(n) for texts if n is below 200, and for a classifier of images with a
            solved head to -1/sqrt(n) if n is below 16, otherwise, with `interpolate`, to 1/sqrt(n).
        interpolate: The weights with which the last stage ends, on the line from its first to its last
            ones (WiSE-FT, Wortsman et al. 2022, https://arxiv.org/abs/2109.01903). A number between 0
            and 1 is the fraction of the way. True tries a quarter, half and three quarters on the
            validation data and keeps what is better than the end; False keeps the end. `"auto"` is
            0.5 for a classifier of images with the default stages and 16 to 199 validation examples, see
            `kft.family.usual.usual_end`, otherwise False.

    Raises:
        InputError: If a value is not one of these, or `interpolate` has nothing to compare by.

    Example:

    ```python
    recipe.fit("photos", restore_best=kft.BestEpoch("run", monitor="val_accuracy"))
    ```
    """

    among: Restore | Literal["auto"] | None = dataclasses.field(default="auto", kw_only=False)
    monitor: str | tuple[str, str] | None = None
    tolerance: float | None = None
    interpolate: bool | float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        make_plain(self)
        _check_interpolate(self.interpolate)
        if self.interpolate is True and self.among is None:
            raise InputError(
                "`interpolate=True` tries weights and keeps the best, but with `among=None` nothing is "
                "compared: pass among='ends', or leave it out."
            )
        check_choice("restore_best", self.among, ("auto", *get_args(Restore), None))
        if self.tolerance is not None:
            check_tolerance(self.tolerance, self.among)
        if self.monitor is not None:
            object.__setattr__(self, "monitor", dataclasses.astuple(Monitor.of(self.monitor)))

        if is_number(self.interpolate):
            object.__setattr__(self, "interpolate", float(self.interpolate))
        if self.monitor is not None:
            check_interpolated(self.interpolate, self.monitor[0])

    @classmethod
    def of(cls, value: Any) -> Self:
        """Convert the argument `restore_best`: a `BestEpoch`, or a value of its `among`."""
        return value if isinstance(value, cls) else cls(value)


def check_interpolated(interpolate: Any, monitor: str) -> None:
    """Check that weights on the way can be compared by a value.

    Args:
        interpolate: As for `BestEpoch`.
        monitor: The name of the value.

    Raises:
        InputError: If it is not measured on the validation data.
    """
    if interpolate not in (False, "auto") and not monitor.startswith("val_"):
        raise InputError(
            f"`interpolate={interpolate}` compares weights on the validation data, but `monitor={monitor!r}` "
            "is not measured there: pass monitor='val_loss' or another value that begins with 'val_', or "
            "leave interpolate out."
        )


def _check_interpolate(value: Any) -> None:
    if isinstance(value, bool) or (isinstance(value, str) and value == "auto"):
        return
    if not is_number(value) or not 0 < value < 1:
        raise InputError(
            f"`interpolate={shown(value)}`: pass a fraction of the way between 0 and 1, such as 0.5, True to "
            "try several, False for the end of the way, or 'auto'."
        )


def _of(kind: Any, value: Any, name: str, example: str) -> Any:
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise InputError(f"`{name}={shown(value)}`: pass a kft.{kind.__name__}, such as {example}.")
    return value
