"""Which weights a fit ends with, and what it does after its stages, as sentences for its plan."""

from __future__ import annotations

from kft.callbacks.best_state import resolve_restore
from kft.data.examples import Examples
from kft.family.planned import PlannedFit
from kft.family.settings import FitSettings
from kft.report.training import tolerated


def ending(planned: PlannedFit) -> list[str]:
    """Return the sentences of a plan about what follows the training of the stages."""
    return [*_kept(planned.settings), *_followed(planned)]


def _kept(settings: FitSettings) -> list[str]:
    share = settings.interpolate
    if share is True:
        before = [
            "Weights a quarter, half and three quarters of the last stage's way are tried as well."
        ]
    elif share:
        before = [f"The last stage ends {share:.0%} of the way from its first to its last weights."]
    else:
        before = []
    among, monitor = resolve_restore(
        settings.restore_best, settings.monitor, settings.early_stopping
    )
    if among is None or monitor is None:
        return [*before, "The weights of the last epoch are kept."]
    which = {
        "run": "The best epoch of all stages",
        "stage": "The best epoch of the last stage",
        "ends": "The best of the stages' ends",
    }[among]
    rule = f"; {tolerated(settings.tolerance)}" if settings.tolerance else ""
    return [*before, f"{which} is kept, by {monitor.name}{rule}."]


def _followed(planned: PlannedFit) -> list[str]:
    finish, recipe = planned.settings.finish, planned.recipe
    calibrates = finish.calibrate and isinstance(planned.validation, Examples)
    after = []
    if calibrates and recipe.task.calibrates(recipe.model):
        after.append("the probabilities are calibrated on the validation data")
    if finish.refit:
        after.append("the model is trained again on all examples")
    return [f"Then {' and '.join(after)}."] if after else []
