"""The times at which a fit commits: once per epoch, after some steps, or after some time."""

from __future__ import annotations

import datetime
import re
import time
from typing import Any

from kft.arguments import is_whole, shown
from kft.errors import InputError

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_INTERVAL = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(s|min|h)")


class CommitTimer:
    """Determine when the next commit is due; the first is due at once.

    Args:
        every: The argument of `RunCheckpoint`.

    Raises:
        InputError: If `every` is not a valid interval.

    Attributes:
        steps: The steps taken since the last commit.
    """

    def __init__(self, every: Any) -> None:
        self._every_steps, self._every_seconds = read_interval(every)
        self._last: tuple[int, float] | None = None  # epoch and time of the newest commit
        self.steps = 0

    def restart(self, epoch: int) -> None:
        """Record that the state has just been committed.

        Args:
            epoch: The current epoch.
        """
        self._last, self.steps = (epoch, time.monotonic()), 0

    def is_due(self, epoch: int) -> bool:
        """Return whether a commit is due.

        Args:
            epoch: The current epoch.
        """
        if self._last is None:
            return True
        last_epoch, moment = self._last
        if self._every_steps is not None:
            return self.steps >= self._every_steps
        if self._every_seconds is not None:
            return time.monotonic() - moment >= self._every_seconds
        return epoch != last_epoch


def read_interval(every: Any, name: str = "every") -> tuple[int | None, float | None]:
    """Return the steps or the seconds between two commits; both are None for once per epoch.

    Args:
        every: The argument of `RunCheckpoint`.
        name: The name under which it was passed.

    Raises:
        InputError: If `every` is not a valid interval.
    """
    if isinstance(every, str) and every == "epoch":
        return None, None
    if is_whole(every, 1):
        return int(every), None
    if isinstance(every, datetime.timedelta) and every.total_seconds() > 0:
        return None, every.total_seconds()
    found = _INTERVAL.fullmatch(every) if isinstance(every, str) else None
    if found is None or not float(found[1]):
        raise InputError(
            f"`{name}={shown(every)}`: pass 'epoch', a number of steps, or a time such as '30s', '10min' "
            "or '2h'."
        )
    return None, float(found[1]) * _UNITS[found[2]]
