"""The identity of a fit, which must match for it to resume from a commit."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kft.backends import backend
from kft.callbacks.fit_state import FitState
from kft.callbacks.staged_unfreezing import StagedUnfreezing
from kft.distribution import processes
from kft.errors import InputError, KftError
from kft.model.flags import flags_of
from kft.runs.commits import Commit
from kft.runs.differences import plan_difference
from kft.stages.regrouping import describe_optimizer

FORMAT = 2


def describe_fit(fit: FitState, steps: int | None) -> dict[str, Any]:
    """Return the identity that must match for a fit to resume from a commit, as JSON values.

    Args:
        fit: The fit.
        steps: The steps per epoch; None if they are unknown.
    """
    stages = [one.describe() for one in fit.callbacks if isinstance(one, StagedUnfreezing)]
    identity = {
        "backend": backend().name,
        "weights": [
            # Keras numbers the names of unnamed weights.
            [re.sub(r"_\d+$", "", weight.name), list(weight.shape), str(weight.dtype)]
            for weight in fit.model.weights
        ],
        "optimizer": describe_optimizer(fit.model),
        "layers": len(flags_of(fit.model).layers),
        "stages": stages[0] if stages else None,
        "steps": steps,
    }
    return json.loads(json.dumps(identity, default=str))


def check_commit(
    commit: Commit, identity: Mapping[str, Any], directory: Path, allow_changes: bool
) -> None:
    """Check that a commit belongs to this fit; it may come from an untrusted source.

    Args:
        commit: The commit.
        identity: The result of `describe_fit` for this fit.
        directory: The directory of the commits.
        allow_changes: Whether the fit may differ from the one that made the commit.

    Raises:
        KftError: If the commit is damaged, or another version of kft wrote it.
        InputError: If the commit belongs to another fit.
    """
    if commit.state.get("format") != FORMAT:
        raise KftError(
            f"{commit.path} has format {commit.state.get('format')!r}, but this version of kft "
            f"reads format {FORMAT}: resume with the version that wrote it."
        )
    if not _is_sound(commit.state, identity["steps"]):
        raise KftError(f"{commit.path} is damaged: remove it, and the one before it is used.")
    before, now = commit.state["identity"].get("backend"), identity["backend"]
    if before != now and not allow_changes:
        raise InputError(
            f"`{directory}` was begun on {before}, and this is {now}, which rounds in another "
            f"way: resume with KERAS_BACKEND={before}, or pass another directory."
        )
    difference = plan_difference(commit.state["identity"], identity)
    if difference and not allow_changes:
        raise InputError(
            f"`{directory}` holds another run: {'; '.join(difference[:5])}. Pass another "
            "directory or the same settings, or on_mismatch='continue' to resume with these."
        )
    before, now = commit.state.get("threads"), backend().cpu_threads()
    if None not in (before, now) and before != now and processes.rank() == 0:
        warnings.warn(
            f"{commit.path} was made with {before} threads per operation, and this process uses "
            f"{now}: the weights will differ in their last bits from those of a run that nobody "
            "interrupted. Give the process as many cores or threads to avoid that.",
            stacklevel=2,
        )


def _is_sound(state: Mapping[str, Any], steps_now: Any) -> bool:
    position = state.get("position")
    if not isinstance(position, dict) or not isinstance(position.get("stopped"), bool):
        return False
    epoch, step = position.get("epoch"), position.get("step")
    if type(epoch) is not int or type(step) is not int or epoch < 0 or step < 0:
        return False
    identity = state.get("identity")
    parts = (identity, state.get("callbacks"), state.get("random"))
    if not isinstance(identity, dict) or not all(isinstance(part, dict) for part in parts):
        return False
    # The data may have fewer steps now than when the commit was made, which is not damage.
    known = [steps for steps in (steps_now, identity.get("steps")) if steps]
    return all(type(steps) is int for steps in known) and step <= max(known, default=step)
