"""Progress of long work: a bar at a terminal, elsewhere a line from time to time."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, ClassVar, Self

from kft.report.terminal import in_notebook, shows_progress

__all__ = ["SHORT", "Progress", "duration"]

SHORT = 2.0  # seconds of work without a bar


class Progress:
    """Show on standard error how far a task is and about how long it will still take.

    Standard output remains free for results.

    Args:
        what: The task, such as `"find-lr: head"`.
        total: The maximum number of steps, None if unknown.
        verbose: 0 shows nothing, 1 a bar, 2 a line every `every` seconds. `"auto"` chooses the bar
            at a terminal or in a notebook, and lines elsewhere. A notebook without ipywidgets gets
            lines.
        after: Seconds after which a bar appears; shorter tasks have none. Defaults to 0.

    Attributes:
        every: Seconds between two lines.

    Example:

    ```python
    with Progress("photos/", total=len(files)) as progress:
        for file in files:
            ...
            progress.advance()
    ```
    """

    every: ClassVar[float] = 30.0

    def __init__(
        self,
        what: str,
        total: float | None = None,
        *,
        verbose: int | str = "auto",
        after: float = 0.0,
    ) -> None:
        self.what, self.total, self.done = what, total, 0.0
        self._after = after
        self._verbose = (1 if shows_progress(sys.stderr) else 2) if verbose == "auto" else verbose
        if self._verbose == 1 and in_notebook() and importlib.util.find_spec("ipywidgets") is None:
            self._verbose = 2  # rich would warn at each update, and draw nothing
        self._bar: Any = None
        self._task: Any = None
        self._began = self._said = time.monotonic()
        self._first: tuple[float, float] | None = (
            None  # when the first step ended, and how far it led
        )

    def __enter__(self) -> Self:
        self._began = self._said = time.monotonic()
        self._begin_bar()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, what: str) -> None:
        """Set the name of the part of the task that begins."""
        self.what = what
        self._show()

    def advance(self, by: float = 1.0) -> None:
        """Count finished steps."""
        self.done += by
        if self._first is None:
            self._first = (time.monotonic(), self.done)
        self._show()

    def drop(self, steps: float) -> None:
        """Reduce the total by steps that are not needed."""
        if self.total is not None:
            self.total -= steps
        self._show()

    def say(self, line: str) -> None:
        """Print a permanent line, above the bar if there is one."""
        if self._verbose == 0:
            return
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Clear the bar while other code prints to the terminal."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()

    @property
    def left(self) -> float | None:
        """Estimated seconds for the rest; None before two steps are done.

        The first step is left out, since it includes compilation.
        """
        if self.total is None or self._first is None or self.done <= self._first[1]:
            return None
        began, counted = self._first
        speed = (time.monotonic() - began) / (self.done - counted)
        return max(0.0, speed * (self.total - self.done))

    def _begin_bar(self) -> None:
        if (
            self._bar is None
            and self._verbose == 1
            and time.monotonic() - self._began >= self._after
        ):
            self._bar = _bar(self.total)
            self._task = self._bar.add_task(self.what, total=self.total)
            self._bar.start()

    def _show(self) -> None:
        self._begin_bar()
        if self._bar is not None:
            self._bar.update(
                self._task, description=self.what, completed=self.done, total=self.total
            )
        elif self._verbose == 2 and time.monotonic() - self._said >= self.every:
            self._said = time.monotonic()
            self.say(self._line())

    def _line(self) -> str:
        if self.total is None:
            return f"{self.what}: {self.done:,.0f} done"
        line = f"{self.what}: {self.done:,.0f} of {self.total:,.0f}"
        return line if self.left is None else f"{line}, about {duration(self.left)} left"


def duration(seconds: float) -> str:
    """Return a duration in a readable unit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bar(total: float | None) -> Any:
    from rich import progress
    from rich.console import Console

    counted = (
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(compact=True),
    )
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        *(counted if total is not None else (progress.TimeElapsedColumn(),)),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # otherwise piped output would appear on the terminal
    )
