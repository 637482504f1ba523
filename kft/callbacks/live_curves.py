"""Curves in a notebook, updated while a fit runs."""

from __future__ import annotations

from typing import Any

import keras

from kft import plots
from kft.arguments import check_whole, plain
from kft.arguments.calls import CheckedCalls
from kft.report.terminal import in_notebook


class LiveCurves(CheckedCalls, keras.callbacks.Callback):
    """Draw losses, metrics and learning rate after each epoch, with the stages marked.

    In a notebook each picture replaces the one before; elsewhere nothing is drawn, so that the
    same code runs as a script. Put it after `StagedUnfreezing`.

    Args:
        every: Epochs between two pictures; the last epoch is always drawn. Defaults to 1.

    Raises:
        InputError: If `every` is not a whole number of at least 1.

    Example:

    ```python
    curves = kft.callbacks.LiveCurves()
    model.fit(x, y, epochs=8, verbose=0, callbacks=[kft.callbacks.StagedUnfreezing(stages), curves])
    ```
    """

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        self.every = plain(every)
        check_whole("every", self.every, "epochs")
        self.history: dict[str, list[float]] = {}
        self._place: Any = None
        self._drawn = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin a new picture."""
        self.history, self._place, self._drawn = {}, None, 0

    def get_state(self) -> dict[str, Any]:
        """Return the curves so far."""
        return {"history": {name: list(values) for name, values in self.history.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the curves."""
        self.history = {name: list(values) for name, values in state["history"].items()}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the epoch, and draw if it is time."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if self._epochs() - self._drawn >= self.every:
            self._draw()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Draw the epochs that are not drawn yet."""
        if self._epochs() > self._drawn:
            self._draw()

    def _epochs(self) -> int:
        return max(map(len, self.history.values()), default=0)

    def _draw(self) -> None:
        self._drawn = self._epochs()
        if not in_notebook():
            return
        from IPython.display import display

        figure = plots.curves(self.history)
        if self._place is None:
            self._place = display(figure, display_id=True)
        else:
            self._place.update(figure)
