"""A stage of fine-tuning, and stages read from and written to a file."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import pathlib
from collections.abc import Sequence
from typing import Any, Literal

import yaml

from kft.errors import InputError

Decay = Literal["constant", "linear", "cosine"]


@dataclasses.dataclass(frozen=True)
class Stage:
    """What trains, for how long, and at which rate.

    Args:
        unfreeze: `0` trains the head alone, `n` also the top `n` blocks (see `kft.find_blocks`),
            `"all"` everything. A list of patterns (`"conv5_*"`, matched against the names and paths
            of layers and the names of blocks, as in a shell) trains the head and what they match; a
            name that exists means itself alone. What was frozen weight by weight (LoRA,
            `variable.trainable = False`) stays frozen.
        epochs: most epochs that the stage takes; early stopping may end it before.
        learning_rate: peak learning rate of the head.
        warmup: the rate rises linearly to its peak over this many steps (`int`), or this fraction of
            the stage's steps (`float` below 1). Groups that already train start from the rate they
            had if it is lower than the new peak, and at the new peak if not. Defaults to 0.
        decay: what follows the warmup: `"constant"`, or `"linear"` or `"cosine"` down to zero at
            the end of the stage's epochs. Defaults to `"constant"`.
        layer_decay: each block's rate is this factor times the rate of the one above it, the head
            being the topmost (discriminative rates: Howard and Ruder 2018,
            https://arxiv.org/abs/1801.06146). Defaults to 1.
        name: shown in tables. Defaults to one made from `unfreeze`.

    Raises:
        InputError: a value is out of its range.

    Example:

    ```python
    kft.Stage(unfreeze=2, epochs=5, learning_rate=1e-4, warmup=0.1)
    ```
    """

    unfreeze: int | Literal["all"] | Sequence[str]
    epochs: int
    learning_rate: float
    warmup: float | int = 0.0
    decay: Decay = "constant"
    layer_decay: float = 1.0
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "unfreeze", _checked_unfreeze(self.unfreeze))
        _require(
            _is_integer(self.epochs) and self.epochs >= 1,
            f"`epochs={self.epochs!r}`: pass a whole number of at least 1.",
        )
        _require(
            _is_number(self.learning_rate) and self.learning_rate > 0,
            f"`learning_rate={self.learning_rate!r}`: pass a positive number, such as 1e-3 for a "
            "new head or 1e-5 for a whole backbone.",
        )
        fits = _is_number(self.warmup) and self.warmup >= 0
        _require(
            fits and (_is_integer(self.warmup) or self.warmup < 1),
            f"`warmup={self.warmup!r}`: pass a number of steps (int), or a fraction of the stage's "
            "steps (float from 0 up to, not including, 1).",
        )
        _require(
            self.decay in ("constant", "linear", "cosine"),
            f"`decay={self.decay!r}`: pass 'constant', 'linear' or 'cosine'.",
        )
        _require(
            _is_number(self.layer_decay) and 0 < self.layer_decay <= 1,
            f"`layer_decay={self.layer_decay!r}`: pass a factor above 0 and at most 1.",
        )
        _require(
            self.name is None or (isinstance(self.name, str) and bool(self.name.strip())),
            f"`name={self.name!r}`: pass some text, or None for a name made from `unfreeze`.",
        )

    @property
    def label(self) -> str:
        """The stage's name, or one made from what it trains."""
        if self.name is not None:
            return self.name
        if self.unfreeze == 0:
            return "head"
        if isinstance(self.unfreeze, int):
            return f"top {self.unfreeze}"
        return "all" if self.unfreeze == "all" else " ".join(self.unfreeze)

    def to_dict(self) -> dict[str, Any]:
        """The stage as plain values, those that are left at their defaults left out."""
        values = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING or value != field.default:
                values[field.name] = list(value) if isinstance(value, tuple) else value
        return values


def checked_stages(stages: Sequence[Stage | dict[str, Any]]) -> tuple[Stage, ...]:
    """Stages from `Stage` objects or dictionaries of their arguments.

    Raises:
        InputError: there are none, or one of them is not a stage.
    """
    if isinstance(stages, (Stage, dict, str)) or not isinstance(stages, Sequence) or not stages:
        raise InputError(
            f"`stages={stages!r}`: pass a list of at least one kft.Stage, such as "
            "[kft.Stage(unfreeze=0, epochs=3, learning_rate=1e-3)]."
        )
    return tuple(_checked_stage(index, stage) for index, stage in enumerate(stages))


def read_stages(path: str | os.PathLike[str]) -> tuple[Stage, ...]:
    """Reads stages from a YAML file: a list, each entry the arguments of one `Stage`.

    Raises:
        InputError: the file is missing, is not YAML, or holds something else.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
        found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the stages file {os.fspath(path)!r}: {error}.") from error
    except yaml.YAMLError as error:
        raise InputError(f"The stages file {os.fspath(path)!r} is not YAML: {error}") from error
    if not isinstance(found, list) or not found:
        raise InputError(
            f"The stages file {os.fspath(path)!r} holds {type(found).__name__}, expected a list: "
            "one '- unfreeze: 0' with 'epochs' and 'learning_rate' for each stage."
        )
    return checked_stages(found)


def write_stages(path: str | os.PathLike[str], stages: Sequence[Stage]) -> None:
    """Writes stages to a YAML file that `read_stages` and `kft fit --stages` take."""
    text = yaml.safe_dump([stage.to_dict() for stage in stages], sort_keys=False)
    pathlib.Path(path).write_text(text, encoding="utf-8")


def _checked_stage(index: int, stage: Stage | dict[str, Any]) -> Stage:
    if isinstance(stage, Stage):
        return stage
    names = [field.name for field in dataclasses.fields(Stage)]
    if not isinstance(stage, dict):
        raise InputError(f"Stage {index + 1} is {stage!r}: pass a kft.Stage.")
    unknown = [key for key in stage if key not in names]
    missing = [key for key in ("unfreeze", "epochs", "learning_rate") if key not in stage]
    if unknown or missing:
        raise InputError(
            f"Stage {index + 1} has unknown settings {unknown} and lacks {missing}: "
            f"a stage takes {', '.join(names)}."
        )
    return Stage(**stage)


def _checked_unfreeze(unfreeze: Any) -> int | str | tuple[str, ...]:
    if unfreeze == "all" or (_is_integer(unfreeze) and unfreeze >= 0):
        return unfreeze if isinstance(unfreeze, str) else int(unfreeze)
    is_list = isinstance(unfreeze, Sequence) and not isinstance(unfreeze, str) and unfreeze
    if is_list and all(isinstance(pattern, str) and pattern for pattern in unfreeze):
        return tuple(unfreeze)
    raise InputError(
        f"`unfreeze={unfreeze!r}`: pass 0 for the head alone, a number of blocks, 'all', or a list "
        "of layer-name patterns such as ['conv5_*']."
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(f"Stage: {message}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value)
