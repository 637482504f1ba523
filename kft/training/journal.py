"""The journal of a run: time, memory and rates of its stages, and how far each block moved."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import keras
import numpy as np

from kft.backends import backend
from kft.cache.store import FeatureStore
from kft.callbacks import StagedUnfreezing
from kft.callbacks.best_state import Best
from kft.callbacks.monitor import Monitor
from kft.model.blocks import find_anatomy
from kft.model.graph import is_functional
from kft.model.heads import UnclearHeadError
from kft.model.memory import host_peak
from kft.model.pretrained import StartingWeights
from kft.model.values import value_of

# BatchNorm's statistics follow the data, not the gradient, and would distort the distances.
_STATISTICS = ("moving_mean", "moving_variance")


class Journal(keras.callbacks.Callback):
    """A callback that times the stages of a fit and measures how far its weights move.

    It holds a copy of the model's weights. `RunCheckpoint` saves the entries for a run that is killed
    and resumes; the initial weights are those of the newly built recipe.

    Args:
        model: The model, with the pretrained weights from which distances are measured.
        unfreezing: The callback that sets the rates, which must come before the journal. None omits
            the rates.
        store: Where frozen features are stored. None counts no passes through frozen layers.
        weights: The origin of the model's weights. None omits it.
    """

    def __init__(
        self,
        model: keras.Model,
        unfreezing: StagedUnfreezing | None = None,
        store: FeatureStore | None = None,
        weights: StartingWeights | None = None,
    ) -> None:
        super().__init__()
        self._unfreezing, self._store, self._passes = unfreezing, store, 0
        self._weights = weights
        self._blocks = _weights_by_block(model)
        self._start = {
            name: [value_of(one) for one in weights] for name, weights in self._blocks.items()
        }
        self.seconds: dict[str, float] = {}
        self.epochs: dict[str, int] = {}
        self.memory: dict[str, dict[str, int | None]] = {}
        self.rates: list[dict[str, float]] = []
        self._made = time.perf_counter()
        self._begun: float | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the start time."""
        now = time.perf_counter()
        if self._begun is None:  # the time before the first epoch goes to computing features
            self.seconds["before"] = self.seconds.get("before", 0.0) + now - self._made
        self._begun = now

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the epoch's time, memory and rates to its stage."""
        stage = str((logs or {}).get("stage", 1))
        taken = time.perf_counter() - (self._begun or self._made)
        self.seconds[stage] = self.seconds.get(stage, 0.0) + taken
        self.epochs[stage] = self.epochs.get(stage, 0) + 1
        self.memory[stage] = memory_peaks()
        self.rates.append({} if self._unfreezing is None else dict(self._unfreezing.group_rates))

    @property
    def passes(self) -> int:
        """The number of examples whose features were computed, including those before a kill."""
        return self._passes + (0 if self._store is None else self._store.passes)

    def get_state(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {
            "seconds": dict(self.seconds),
            "epochs": dict(self.epochs),
            "memory": dict(self.memory),
            "rates": list(self.rates),
            "passes": self.passes,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `get_state` returned."""
        self.seconds = {name: float(value) for name, value in state["seconds"].items()}
        self.epochs = {name: int(value) for name, value in state["epochs"].items()}
        self.memory = {name: dict(value) for name, value in state["memory"].items()}
        self.rates = [dict(epoch) for epoch in state["rates"]]
        self._passes = int(state["passes"])

    def content(self) -> dict[str, dict[str, Any]]:
        """Return the journal as plain numbers.

        Returns:
            `seconds` and `epochs` by stage, counted from 1, with the time before the first stage as
            `before`; `memory` by stage, the peak bytes of the process so far on `host` and `device`;
            `rates` by block, the rate of each epoch's last step, None while the block was frozen;
            `best`, if best weights were restored: their epoch and stage, counted from 1, the epochs
            that were compared (`among`, as `restore_best`), the `tolerance`, the interpolated `share`
            if below 1, and `last_share`, the fraction of its way at which the last stage ended, if below 1;
            `starting_weights`, the origin of the initial weights; `moved` by block, the head first: the
            distance from the initial weights relative to their norm.
        """
        blocks = dict.fromkeys(name for epoch in self.rates for name in epoch)
        rates = {name: [epoch.get(name) for epoch in self.rates] for name in blocks}
        moved = {}
        for name, weights in self._blocks.items():
            now = [np.asarray(keras.ops.convert_to_numpy(one), "float64") for one in weights]
            start = [one.astype("float64") for one in self._start[name]]
            way = sum(float(((a - b) ** 2).sum()) for a, b in zip(now, start, strict=True))
            length = sum(float((one**2).sum()) for one in start)
            moved[name] = float(np.sqrt(way / length)) if length else 0.0
        content: dict[str, dict[str, Any]] = {
            "seconds": self.seconds,
            "epochs": dict(self.epochs),
            "memory": dict(self.memory),
            "rates": rates,
            "moved": moved,
        }
        if self._weights is not None:
            content["starting_weights"] = dataclasses.asdict(self._weights)
        unfreezing = self._unfreezing
        if (
            unfreezing is not None
            and unfreezing.monitor is not None
            and unfreezing.best is not None
        ):
            content["best"] = best_noted(
                unfreezing.best,
                unfreezing.monitor,
                among=unfreezing.restore_best,
                tolerance=unfreezing.tolerance,
                last_share=unfreezing.last_share,
            )
        return content


def memory_peaks() -> dict[str, int | None]:
    """Return the most bytes that the process has held, on the host and on the device."""
    return {"host": host_peak(), "device": backend().peak_memory()}


def best_noted(
    best: Best,
    monitor: Monitor,
    *,
    among: str | None,
    tolerance: float = 0.0,
    last_share: float | None = None,
) -> dict[str, Any]:
    """Return what a journal says of the epoch whose weights a run ends with.

    Args:
        best: The epoch.
        monitor: What epochs were compared by.
        among: Which epochs were compared, as `restore_best` says it.
        tolerance: How much worse a later stage might be.
        last_share: The fraction of its way at which the last stage ended; None for its own end.
    """
    found = {
        "monitor": monitor.name,
        "mode": monitor.mode,
        "value": best.value,
        "epoch": best.epoch + 1,
        "stage": best.stage + 1,
        "among": among,
        "tolerance": tolerance,
    }
    if last_share is not None:
        found["last_share"] = last_share
    return found if best.share == 1 else {**found, "share": best.share}


def _weights_by_block(model: keras.Model) -> dict[str, list[keras.Variable]]:
    if not is_functional(model):
        return {}
    try:
        anatomy = find_anatomy(model)
    except UnclearHeadError:  # such a model's stages choose layers by patterns, not by blocks
        return {}
    return {
        block.name: [weight for weight in block.weights if weight.name not in _STATISTICS]
        for block in (anatomy.head, *anatomy.blocks)
    }
