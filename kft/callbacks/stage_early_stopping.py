"""A Keras `EarlyStopping` as the rule that ends a stage."""

from __future__ import annotations

from typing import Any

import keras

from kft.callbacks.others import restore_state, state_of
from kft.callbacks.relative_early_stopping import RelativeEarlyStopping


class StageEarlyStopping:
    """Ask a Keras `EarlyStopping` after each epoch whether the stage should end.

    Keras' callback stops the whole run; here only the stage ends. `BestState` decides which weights
    are kept.

    Args:
        rule: An `EarlyStopping` that nothing else uses, or None for a stage that runs all its epochs.
        model: The model, as the stage begins.
    """

    def __init__(self, rule: keras.callbacks.EarlyStopping | None, model: keras.Model) -> None:
        self._rule = rule
        if rule is not None:
            rule.restore_best_weights = False
            rule.set_model(model)
            rule.on_train_begin()

    def epoch_ended(self, model: keras.Model, epoch: int, logs: dict[str, Any]) -> bool:
        """Return whether the stage should end.

        Args:
            model: The model.
            epoch: Index of the epoch within the stage.
            logs: The logs of the epoch.
        """
        if self._rule is None:
            return False
        run_stops = model.stop_training
        model.stop_training = False
        self._rule.on_epoch_end(epoch, logs)
        stage_stops, model.stop_training = model.stop_training, run_stops
        return stage_stops

    def get_state(self) -> dict[str, Any] | None:
        """Return the state of the rule in this stage."""
        return None if self._rule is None else state_of(self._rule)

    def set_state(self, state: dict[str, Any] | None) -> None:
        """Restore the state that `get_state` returned."""
        if self._rule is not None and state is not None:
            restore_state(self._rule, state)


def describe_rule(rule: keras.callbacks.EarlyStopping | None) -> dict[str, Any] | None:
    """Return the settings of the rule that ends a stage, ready for JSON."""
    if rule is None:
        return None
    names = ["monitor", "mode", "patience", "baseline", "start_from_epoch"]
    # A relative `min_delta` follows the best value, so its fraction describes it.
    names.append("fraction" if isinstance(rule, RelativeEarlyStopping) else "min_delta")
    return {"class": type(rule).__name__} | {name: getattr(rule, name) for name in names}
