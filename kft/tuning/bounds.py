"""The budget of a search."""

from __future__ import annotations

import dataclasses

from kft.arguments import check_whole, is_number, shown
from kft.errors import InputError
from kft.printing import how_many


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Limits after which no further trial begins; a running trial is completed.

    Args:
        trials: The maximum number of trials.
        seconds: Seconds spent in trials, or with several workers since the search began; None for
            no limit.
        epochs: Epochs trained in all trials together; None for no limit.

    Raises:
        InputError: If one of them is out of its range.
    """

    trials: int
    seconds: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("max_trials", self.trials), ("max_epochs", self.epochs)):
            if value is None and name != "max_trials":
                continue
            check_whole(name, value, name[4:])
        if self.seconds is not None and not (is_number(self.seconds) and self.seconds > 0):
            raise InputError(
                f"`max_seconds={shown(self.seconds)}`: pass a number above 0, or None for no limit."
            )

    def reached(self, seconds: float, epochs: int) -> str | None:
        """Return a message about the limit that was reached; None if none was.

        Args:
            seconds: The seconds so far.
            epochs: The epochs so far.
        """
        if self.seconds is not None and seconds >= self.seconds:
            return f"the limit of {self.seconds:g} s was reached"
        if self.epochs is not None and epochs >= self.epochs:
            more = f", with {epochs} trained" if epochs > self.epochs else ""
            return f"the limit of {how_many(self.epochs, 'epoch')} was reached{more}"
        return None
