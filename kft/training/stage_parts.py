"""What each stage trains: the whole model on its data, or a suffix on kept features."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from kft.cache.features import Features
from kft.cache.store import FeatureStore
from kft.data.batches import Batches
from kft.stages.stage import Stage
from kft.training.cached_stages import CachedStage
from kft.training.kept_features import (
    build_metrics,
    feature_batches,
    kept_features,
    training_features,
)


@dataclasses.dataclass(frozen=True, eq=False)
class StagePart:
    """What one stage trains.

    Attributes:
        trainer: the whole model, or a suffix that shares its layers.
        batches: what it trains on.
        validation: what it is validated on; None for nothing.
        features: what is kept of the training examples; None where nothing is.
    """

    trainer: keras.Model
    batches: Any
    validation: Any
    features: Features | None


class StageParts:
    """What the stages of a fit train.

    Args:
        model: the whole model, compiled.
        train: batches of its inputs: `Batches`, or without any cut all that `fit` takes.
        validation: the same in their own order, or None.
        settings: the stages.
        stages: what `decide` chose for them.
        views: how many augmented views of each training example are kept; 0 for unchanged examples.
    """

    def __init__(
        self,
        model: keras.Model,
        train: Any,
        validation: Any,
        settings: Sequence[Stage],
        stages: Sequence[CachedStage],
        views: int,
    ) -> None:
        self._model, self._train, self._validation = model, train, validation
        self._settings, self._stages, self._views = settings, stages, views
        self._features: list[Features | None] = [None] * len(stages)
        self._held_out: list[Features | None] = [None] * len(stages)
        self._opened = [data for data in (train, validation) if isinstance(data, Batches)]

    def compute(self, store: FeatureStore, identity: str) -> None:
        """Compute the features that are not kept yet.

        Args:
            store: where features are kept.
            identity: as for `kft.training.staged.run_stages`.
        """
        stages, train = self._stages, self._train
        if all(stage.cut is None for stage in stages):
            return
        settings, views = self._settings, self._views
        self._features = training_features(stages, settings, store, train, identity, views)
        build_metrics(self._model, train, stages, self._features)
        if self._validation is not None:
            self._held_out = kept_features(stages, store, self._validation, identity)

    def of(self, index: int) -> StagePart:
        """Return what a stage trains: a suffix, if all the features that it needs are kept.

        Args:
            index: which stage, from 0.
        """
        cut, validation = self._stages[index].cut, self._validation
        features, held_out = self._features[index], self._held_out[index]
        if cut is None or features is None or (validation is not None and held_out is None):
            return StagePart(self._model, self._train, validation, features)
        # A head is solved on the examples as they are.
        views = 0 if self._settings[index].solve else self._views
        batches = feature_batches(self._train, features, views)
        self._opened.append(batches)
        if held_out is not None:
            validation = feature_batches(validation, held_out)
            self._opened.append(validation)
        return StagePart(cut.suffix, batches, validation, features)

    def close(self) -> None:
        """End the threads that load batches."""
        for batches in self._opened:
            batches.close()
