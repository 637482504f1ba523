"""The cached features that stages train on, and batches of them in place of the model's inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kft.cache.features import Features
from kft.cache.store import FeatureStore
from kft.data.augment import NextView
from kft.data.batches import Batches
from kft.data.buckets import BucketedBatches
from kft.distribution import processes
from kft.stages.stage import Stage
from kft.training.cached_stages import CachedStage


def training_features(
    stages: Sequence[CachedStage],
    settings: Sequence[Stage],
    store: FeatureStore,
    batches: Batches,
    identity: str,
    views: int,
) -> list[Features | None]:
    """Return the features that each stage trains on; heads are solved on unaugmented examples.

    Args:
        stages: the decisions of `decide`.
        settings: the stages themselves.
        store: where features are stored.
        batches: the training batches.
        identity: as for `kft.training.staged.run_stages`.
        views: augmented views cached per training example; 0 caches the unaugmented examples.
    """
    if not views or not settings[0].solve:
        return kept_features(stages, store, batches, identity, views)
    solved = kept_features(stages[:1], store, batches, identity)
    return [*solved, *kept_features(stages[1:], store, batches, identity, views)]


def kept_features(
    stages: Sequence[CachedStage],
    store: FeatureStore,
    batches: Batches,
    identity: str,
    views: int = 0,
) -> list[Features | None]:
    """Return each stage's cached features, computing the missing ones; None for a stage without a cut.

    Args:
        stages: the decisions of `decide`.
        store: where features are stored.
        batches: batches of the whole model's inputs.
        identity: as for `kft.training.staged.run_stages`.
        views: augmented views cached per example; 0 caches the unaugmented examples.
    """
    cuts = [stage.cut for stage in stages if stage.cut is not None]
    if not cuts:
        return [None] * len(stages)
    settings: dict[str, Any] = {"batch_size": batches.batch_size}
    if views:
        settings["seed"] = batches.seed
        identity += f", {views} views by {batches.augment.describe()} from {settings}"
        settings["augment"] = batches.augment
    if isinstance(batches, BucketedBatches):
        settings |= {"lengths": batches.lengths, "buckets": batches.buckets}
        plain: Batches = BucketedBatches(batches.examples, batches.load, **settings)
    else:
        plain = Batches(batches.examples, batches.load, **settings)
    found = processes.in_turn(lambda: store.fetch(cuts, plain, identity, views or 1))
    lacking = processes.any_of(*(one is None for one in found))
    kept = (None if lacks else one for one, lacks in zip(found, lacking, strict=True))
    return [None if stage.cut is None else next(kept) for stage in stages]


def feature_batches(batches: Batches, features: Features, views: int = 0) -> Batches:
    """Return the same batches with features in place of inputs.

    Args:
        batches: batches of the model's inputs.
        features: the cached features of these inputs.
        views: cached views per example, of which each epoch uses one; 0 for none.
    """
    rows = np.arange(len(batches.examples))
    examples = dataclasses.replace(batches.examples, kind="arrays", inputs=rows)
    settings: dict[str, Any] = {
        "batch_size": batches.batch_size,
        "seed": batches.seed,
        "shuffle": batches.shuffle,
        "balance": batches.balance,
        "soft_targets": batches.soft_targets,
        "inputs_of": batches,
    }
    if not isinstance(batches, BucketedBatches):
        view = NextView(len(rows), views) if views else None
        return Batches(examples, features.load, augment=view, **settings)
    buckets, lengths = batches.buckets, batches.lengths
    return BucketedBatches(examples, features.load, lengths=lengths, buckets=buckets, **settings)


def kept_part(
    stage: CachedStage, store: FeatureStore, batches: Batches, identity: str
) -> tuple[keras.Model, Batches] | None:
    """Return the part of a model that a stage has trained, and its batches of features.

    Args:
        stage: the decision of `decide` for the stage, which has trained.
        store: where features are stored.
        batches: batches of the whole model's inputs.
        identity: as for `kft.training.staged.run_stages`.

    Returns:
        None if the stage ran the whole model, or if its features are stored with less precision.
    """
    if stage.cut is None or store.dtype != "float32":
        return None
    (kept,) = kept_features([stage], store, batches, identity)
    return None if kept is None else (stage.cut.suffix, feature_batches(batches, kept))


def build_metrics(
    model: keras.Model,
    batches: Batches,
    stages: Sequence[CachedStage],
    data: Sequence[Features | None],
) -> None:
    """Build the whole model's metrics, so that callbacks find them by name even if it never trains.

    One example is enough to build them, whatever the structure and shapes of the outputs.

    Args:
        model: the whole model.
        batches: batches of its inputs.
        stages: the decisions of `decide`.
        data: the features that the stages train on.
    """
    for stage, kept in zip(stages, data, strict=True):
        if stage.cut is None or kept is None:
            continue
        x, y, *_ = feature_batches(batches, kept)[0]
        x, y = keras.tree.map_structure(lambda rows: rows[:1], (x, y))
        model.compute_metrics(x, y, stage.cut.suffix(x, training=False))
        model.reset_metrics()
        return
