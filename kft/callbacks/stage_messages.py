"""What a fit in stages prints: the stage that begins, and the epoch whose weights are kept."""

from __future__ import annotations

import warnings

import keras
from keras import ops

from kft.callbacks.best_state import BestState
from kft.printing import how_many
from kft.stages.stage import Stage


def print_stage(model: keras.Model, stage: Stage, number: int, count: int) -> None:
    """Print what trains in a stage, how long and at which rate.

    Args:
        model: the model, in this stage.
        stage: the stage.
        number: its number, from 1.
        count: how many stages there are.
    """
    trained = sum(int(ops.size(variable)) for variable in model.trainable_variables)
    what = (
        f"{trained:,} parameters train, up to {how_many(stage.epochs, 'epoch')}, "
        f"learning rate {stage.learning_rate:g}"
    )
    if stage.solve:
        what = f"{trained:,} parameters are solved for, without a step"
    print(f"\nStage {number}/{count} ({stage.label}): {what}")


def print_best(state: BestState, restore_best: str | None, *, verbose: bool) -> None:
    """Print which epoch's weights the model ends with; warn if it is none.

    Args:
        state: the best state at the end of the run.
        restore_best: what `StagedUnfreezing` was given.
        verbose: whether to print; the warning comes in any case.
    """
    best, name = state.best, state.monitor.name
    if best is None:
        warnings.warn(
            f"`restore_best={restore_best!r}` found no finite {name!r} in the logs of any "
            "epoch, so the model keeps its last weights: pass validation_data, or name a logged "
            "value by monitor=....",
            stacklevel=3,
        )
    elif verbose and best.share < 1:
        print(
            f"The model keeps weights {best.share:.0%} of the way from the start of stage {best.stage + 1} to "
            f"epoch {best.epoch + 1} of the run, which do better than either: {name} {best.value:.4f}"
        )
    elif verbose:
        among = " of the stages' ends" if restore_best == "ends" else ""
        if state.tolerance:
            among += f", where a later one loses only by more than {state.tolerance:.0%}"
        print(
            f"The model keeps the weights of epoch {best.epoch + 1} of the run (stage {best.stage + 1}), the "
            f"best{among}: {name} {best.value:.4f}"
        )
