"""The model and data of each stage: the whole model on its inputs, or a suffix on cached features."""

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
    """The model that one stage trains, with its data.

    Attributes:
        trainer: the whole model, or a suffix that shares its layers.
        batches: the training batches.
        validation: the validation batches, or None.
        features: the cached features of the training examples, or None.
    """

    trainer: keras.Model
    batches: Any
    validation: Any
    features: Features | None


class StageParts:
    """The models and data of all stages of a fit.

    Args:
        model: the whole model, compiled.
        train: batches of its inputs: `Batches`, or without any cut whatever `fit` takes.
        validation: batches in a fixed order to validate on, or None.
        settings: the stages.
        stages: the decisions of `decide`.
        views: augmented views cached per training example; 0 caches the unaugmented examples.
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
        """Compute the features that are not cached yet.

        Args:
            store: where features are stored.
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
        """Return the part that a stage trains: a suffix if all its features are cached.

        Args:
            index: the stage's index, from 0.
        """
        cut, validation = self._stages[index].cut, self._validation
        features, held_out = self._features[index], self._held_out[index]
        if cut is None or features is None or (validation is not None and held_out is None):
            return StagePart(self._model, self._train, validation, features)
        # Heads are solved on unaugmented examples.
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
