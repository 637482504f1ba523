"""The decision which trials of a search train together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kft.errors import KftError
from kft.report.progress import Progress
from kft.runs.files import refused_write
from kft.runs.signals import stoppable
from kft.tuning.bounds import Bounds
from kft.tuning.epoch_progress import EpochProgress
from kft.tuning.garbage_collection import Collector
from kft.tuning.head_trials import HeadTrial, alike, why_one_by_one
from kft.tuning.space import TrialPlan
from kft.tuning.stack import Stack
from kft.tuning.trials import Trial, brief_reason, not_written


class Together:
    """Train the next trial together with those that the oracle will propose later.

    They are written like trials that ended, and found when the oracle proposes them. Nothing else
    changes: neither their order, nor what the oracle is told, nor what a resumed search finds.

    Args:
        stack: Trains them.
        ahead: Returns the hyperparameters of the first trials, up to the first that depends on a score.
        plan: Returns the plan of a trial with given hyperparameters.
        bounds: The budget of the search.
        prune: Whether trials end early by comparison with earlier ones, so that they train separately.
        say: Called with a message for the user.
        verbose: How progress is shown.
        garbage: Frees the models after a fit.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        ahead: Callable[[], list[Any]],
        plan: Callable[[Any], TrialPlan],
        bounds: Bounds,
        prune: bool,
        say: Callable[[str], None],
        verbose: int | str,
        garbage: Collector,
    ) -> None:
        self._stack, self._plan, self._bounds = stack, plan, bounds
        self._say, self._verbose, self._garbage = say, verbose, garbage
        self._foresee = ahead
        self._ahead: list[Any] | None = None
        self._apart = prune or bool(why_one_by_one(stack.recipe, stack.settings, stack.parts))

    def train(self, number: int, hp: Any, ended: Sequence[Trial]) -> None:
        """Train the next trial with others like it, if it is new and there are any.

        Args:
            number: The trial's number, counted from 1.
            hp: Its hyperparameters.
            ended: The trials that have ended.
        """
        if self._apart:
            return
        if self._ahead is None:
            self._ahead = self._foresee()
        later = self._ahead[number - 1 :]
        if not later or later[0].values != hp.values:
            return
        found = alike(self._stack.recipe, self._stack.trials_dir, self._allowed(number, ended))
        members = [one for one in found if one.folder not in self._stack.failed]
        if len(members) > 1 and members[0] is found[0]:
            self._train(members)

    def _allowed(self, number: int, ended: Sequence[Trial]) -> Iterator[tuple[int, Any, TrialPlan]]:
        """Yield the trials from this number on that the budget of the search allows.

        Since their duration is unknown, with a time limit as many may begin as have ended.
        """
        seconds, epochs = self._bounds.seconds, self._bounds.epochs
        planned = sum(trial.epochs for trial in ended)
        assert self._ahead is not None
        for place, hp in enumerate(self._ahead[number - 1 :]):
            if seconds is not None and place >= max(1, len(ended)):
                return
            if epochs is not None and planned >= epochs:
                return
            try:
                plan = self._plan(hp)
            except KftError:  # reported when the trial is run
                continue
            planned += plan.epochs
            yield number + place, hp, plan

    def _train(self, members: list[HeadTrial]) -> None:
        what = (
            f"trials {members[0].number} to {members[-1].number} of {self._bounds.trials}, epochs"
        )
        longest = max(one.plan.epochs for one in members)
        try:
            with stoppable(_standing), Progress(what, longest, verbose=self._verbose) as progress:
                why = self._stack.train(members, [EpochProgress(progress)])
        except Exception as error:  # whatever it is, each trial can still be fitted alone
            if refused_write(error):
                raise not_written(error, self._stack.trials_dir.parent) from error
            why = f"training them together failed ({brief_reason(error)})"
            self._stack.forget()
        finally:
            self._stack.hypermodel.latest = None
            self._garbage.collect()
        if why:
            self._apart = True
            self._say(f"Trials of the head alone are fitted one by one, since {why}.")


def _standing() -> str:
    return "the trials that have ended are kept; make the same call again to continue."
