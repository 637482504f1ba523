"""Conversion of options of `kft fit` to arguments of `Recipe.fit`."""

from __future__ import annotations

from typing import Any

from kft.arguments import is_number
from kft.cli import build
from kft.cli.fit_choices import Distribution, RestoreBest
from kft.cli.groups import given
from kft.errors import InputError


def distribution(chosen: Distribution | None) -> Any:
    """Return the argument `distribution`; None if the option was not passed."""
    if chosen is Distribution.model_parallel:
        from kft.distribution import ModelParallel

        return ModelParallel()
    return chosen


def interval(text: str) -> int | str:
    """Return how often the state is committed: a number of steps, or a text for `kft.Resume`."""
    steps = build.whole_number(text)
    return text if steps is None else steps


def policies(**known: tuple[Any, dict[str, Any]]) -> dict[str, Any]:
    """Return the arguments with several fields of which any was passed.

    Args:
        known: By argument, the class of its value and the fields that were passed.
    """
    return {name: kind(**parts) for name, (kind, parts) in known.items() if parts}


def monitoring(
    patience: int | None,
    min_delta: float | None,
    monitor: str | None,
    restore_best: RestoreBest | None,
) -> dict[str, Any]:
    """Return the arguments about early stopping and the best epoch, as far as they were passed.

    Raises:
        InputError: If two options contradict each other.
    """
    from kft.callbacks import RelativeEarlyStopping
    from kft.callbacks.monitor import Monitor
    from kft.family.policies import BestEpoch

    found: dict[str, Any] = {}
    best: dict[str, Any] = given(among=restore_best)
    if restore_best is RestoreBest.none:
        best["among"] = None
    rule: dict[str, Any] = given(patience=patience, min_delta=min_delta)
    if patience == 0 and min_delta is not None:
        raise InputError(
            f"--min-delta {min_delta} is for --early-stopping, which is off: leave it out."
        )
    if monitor is not None:
        name, colon, mode = monitor.partition(":")
        chosen = Monitor.of((name, mode) if colon else name)
        best["monitor"] = (chosen.name, chosen.mode)
        rule |= {"monitor": chosen.name, "mode": chosen.mode}
    if best:
        found["restore_best"] = BestEpoch(**best)
    if patience == 0:
        found["early_stopping"] = None
    elif patience is not None or min_delta is not None:
        found["early_stopping"] = RelativeEarlyStopping(**rule)
    return found


def optimizer(name: str | None, clipnorm: float | None, accumulation: int | None = None) -> Any:
    """Return the Keras optimizer of that name; None if no name was passed.

    Raises:
        InputError: If Keras has no such optimizer, the norm is not a positive number, or both a norm and
            accumulation were passed.
    """
    import keras

    passed = given(clipnorm=clipnorm, gradient_accumulation_steps=accumulation)
    words = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in passed.items())
    if name is None:
        if passed:
            raise InputError(f"{words}: name the optimizer too, as in --optimizer adam.")
        return None
    if clipnorm is not None and not (is_number(clipnorm) and clipnorm > 0):
        raise InputError(f"--clipnorm {clipnorm}: pass a finite number above 0, such as 1.0.")
    if len(passed) == 2:
        raise InputError(f"{words}: Keras would clip each part of the sum. Leave one out.")
    settings = {"global_clipnorm" if key == "clipnorm" else key: v for key, v in passed.items()}
    try:
        return keras.optimizers.get({"class_name": name, "config": settings})
    except (TypeError, ValueError) as error:
        raise InputError(
            f"--optimizer {name!r} is not one of Keras' optimizers: pass a name such as adam, "
            "adamw, sgd or lion."
        ) from error
