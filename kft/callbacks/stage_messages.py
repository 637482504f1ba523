"""The messages of a fit in stages: each stage as it begins, and the epoch whose weights are kept."""

from __future__ import annotations

import warnings

import keras
from keras import ops

from kft.callbacks.best_state import BestState
from kft.printing import how_many
from kft.report.training import tolerated
from kft.stages.stage import Stage


def print_stage(model: keras.Model, stage: Stage, number: int, count: int) -> None:
    """Print what trains in a stage, for how long and at which rate.

    Args:
        model: The model, with the flags of this stage.
        stage: The stage.
        number: Its number, from 1.
        count: The number of stages.
    """
    trained = sum(int(ops.size(variable)) for variable in model.trainable_variables)
    what = (
        f"{trained:,} parameters train, up to {how_many(stage.epochs, 'epoch')}, "
        f"learning rate {stage.learning_rate:.3g}"
    )
    if stage.solve:
        what = f"{trained:,} parameters are solved for, without a step"
    print(f"\nStage {number}/{count} ({stage.label}): {what}")


def print_best(
    state: BestState, restore_best: str | None, share: float | None, *, verbose: bool
) -> None:
    """Print which epoch's weights the model ends with; warn if there is no best epoch.

    Args:
        state: The best state at the end of the run.
        restore_best: The argument of `StagedUnfreezing`.
        share: The fraction of its way at which the last stage ended; None for its own end.
        verbose: Whether to print; the warning is always issued.
    """
    best, name = state.best, state.monitor.name
    allowed = f" ({tolerated(state.tolerance)})" if state.tolerance else ""
    if best is None:
        warnings.warn(
            f"`restore_best={restore_best!r}` found no finite {name!r} in the logs of any "
            "epoch, so the model keeps its last weights: pass validation_data, or name a logged "
            "value by monitor=....",
            stacklevel=3,
        )
    elif verbose and best.share < 1:
        print(
            f"The model keeps the weights {best.share:.0%} of the way from the start of stage "
            f"{best.stage + 1} to epoch {best.epoch + 1} of the run{allowed}: {name} {best.value:.4f}"
        )
    elif verbose:
        among = " at the end of a stage" if restore_best == "ends" else ""
        among += "" if share is None else f", the last of which ended at {share:.0%} of its way"
        among += allowed
        print(
            f"The model keeps the weights of epoch {best.epoch + 1} of the run (stage {best.stage + 1}), the "
            f"best{among}: {name} {best.value:.4f}"
        )
