"""The contrastive warm start of a fit, before its stages."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np

from kft.data.examples import Examples
from kft.distribution import processes
from kft.family.directory import WARM_START
from kft.family.planned import PlannedFit
from kft.family.retries import FiniteLoss
from kft.model.flags import kept_flags
from kft.model.precision import built_with
from kft.printing import how_many
from kft.report.progress import Progress
from kft.stages.plan import plan
from kft.stages.stage import Stage
from kft.stages.usual_optimizer import usual_optimizer
from kft.training.contrastive import (
    STEPS,
    ContrastiveBatches,
    train_contrastively,
    unit_vectors_of,
    warmup_cosine,
)

_ALL = Stage(unfreeze="all", epochs=1, learning_rate=1.0)  # only its trainable flags are used


def warm_start(planned: PlannedFit) -> dict[str, Any] | None:
    """Train the encoder contrastively on the classes of the examples, if the settings ask for it.

    It is committed like the stages, so that a killed run resumes from there.

    Args:
        planned: The fit, whose directory is locked and whose recipe has learned from the data.

    Returns:
        What the report shows of it: `examples`, `steps` and `seconds`; None without a warm start.
    """
    recipe, settings, train = planned.recipe, planned.settings, planned.train
    if not settings.contrast:
        return None
    assert isinstance(train, Examples)
    began = time.perf_counter()
    model = recipe.model
    classes = np.asarray(recipe.task.balanced(train.targets), "int32")
    batches = ContrastiveBatches(recipe.load_all(train), classes, settings.seed)
    optimizer = usual_optimizer(model, warmup_cosine(), weight_decay=recipe.weight_decay)
    with built_with(recipe.precision):  # sets whether the loss is scaled
        body = unit_vectors_of(model, recipe.head_input)
    planned.directory.begin_before_stages()
    checkpoint = planned.directory.checkpoint(settings.resume.every, WARM_START)
    what = f"Contrastive warm start on {how_many(len(train), 'example')}"
    verbose = settings.verbose if processes.rank() == 0 else 0
    with Progress(what, STEPS, verbose=verbose) as progress, kept_flags(model):
        plan(model, [_ALL], settings.batch_norm)[0].enter(model)
        callbacks = [FiniteLoss(), _Shown(progress), *checkpoint]
        try:
            train_contrastively(body, batches, optimizer, callbacks)
        finally:
            for one in checkpoint:
                one.close()
    seconds = time.perf_counter() - began
    return {"examples": len(train), "steps": STEPS, "seconds": seconds}


class _Shown(keras.callbacks.Callback):
    """Advance a progress bar with each step."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance by a step."""
        self._progress.advance()
