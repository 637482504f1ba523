"""What a run notes as it goes: time, memory and rates of its stages, and how far blocks moved."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import keras
import numpy as np

from kft.backends import backend
from kft.cache.store import FeatureStore
from kft.callbacks import StagedUnfreezing
from kft.model.blocks import find_anatomy
from kft.model.graph import is_functional
from kft.model.heads import UnclearHeadError
from kft.model.memory import host_peak
from kft.model.pretrained import StartingWeights
from kft.model.values import value_of

# BatchNorm's statistics follow the data, not the gradient.
_STATISTICS = ("moving_mean", "moving_variance")


class Journal(keras.callbacks.Callback):
    """Times the stages of a fit, and remembers the weights that it began with.

    It holds a copy of the model's weights. A run that resumes after it was killed keeps what was
    noted, by `RunCheckpoint`; the weights that it began with are those that the recipe is built with.

    Args:
        model: The model, with the weights to measure from: the pretrained ones.
        unfreezing: The callback that sets the rates; it stands in front of the journal. None leaves
            the rates out.
        store: Where frozen features are kept. None counts none.
        weights: Which weights the model has before the fit. None leaves that out.
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
        """Note the time."""
        now = time.perf_counter()
        if self._begun is None:  # frozen features are computed before the first epoch
            self.seconds["before"] = self.seconds.get("before", 0.0) + now - self._made
        self._begun = now

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the epoch to its stage."""
        stage = str((logs or {}).get("stage", 1))
        taken = time.perf_counter() - (self._begun or self._made)
        self.seconds[stage] = self.seconds.get(stage, 0.0) + taken
        self.epochs[stage] = self.epochs.get(stage, 0) + 1
        self.memory[stage] = {"host": host_peak(), "device": backend().peak_memory()}
        self.rates.append({} if self._unfreezing is None else dict(self._unfreezing.group_rates))

    @property
    def passes(self) -> int:
        """How many examples went through frozen layers to be kept, before a kill included."""
        return self._passes + (0 if self._store is None else self._store.passes)

    def get_state(self) -> dict[str, Any]:
        """What a resumed run goes on with."""
        return {
            "seconds": dict(self.seconds),
            "epochs": dict(self.epochs),
            "memory": dict(self.memory),
            "rates": list(self.rates),
            "passes": self.passes,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_state` gave."""
        self.seconds = {name: float(value) for name, value in state["seconds"].items()}
        self.epochs = {name: int(value) for name, value in state["epochs"].items()}
        self.memory = {name: dict(value) for name, value in state["memory"].items()}
        self.rates = [dict(epoch) for epoch in state["rates"]]
        self._passes = int(state["passes"])

    def content(self) -> dict[str, dict[str, Any]]:
        """The journal as plain numbers.

        Returns:
            `seconds` and `epochs` by stage, counted from 1, `before` being what came before the
            first; `memory` by stage, the most bytes that the process had held by its end, on `host` and
            `device`; `rates` by block, for each epoch the rate of its last step, None while the block
            was frozen; `best`, the epoch whose weights the run ends with, counted from 1, if any were
            put back, among which it was the best, as `restore_best` says, within which `tolerance`, and
            which `share` of the way to it its stage has gone, where it is not all of it;
            `starting_weights`, those that the model had before; `moved` by block, the head first: the
            length of the way from the first weights to these as a part of the length of the first.
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
            content["best"] = {
                "monitor": unfreezing.monitor.name,
                "mode": unfreezing.monitor.mode,
                "value": unfreezing.best.value,
                "epoch": unfreezing.best.epoch + 1,
                "stage": unfreezing.best.stage + 1,
                "among": unfreezing.restore_best,
                "tolerance": unfreezing.tolerance,
            }
            if unfreezing.best.share < 1:
                content["best"]["share"] = unfreezing.best.share
        return content


def _weights_by_block(model: keras.Model) -> dict[str, list[keras.Variable]]:
    if not is_functional(model):
        return {}
    try:
        anatomy = find_anatomy(model)
    except UnclearHeadError:  # its stages choose layers by patterns
        return {}
    return {
        block.name: [weight for weight in block.weights if weight.name not in _STATISTICS]
        for block in (anatomy.head, *anatomy.blocks)
    }
